#!/usr/bin/env bash
#
# Numba 0.68.1, np.mean and np.std of a float32 array in compiled code, beside NumPy 2.4.6.
#
# Expected: the mean of 20 million times 0.1 is 0.1, and the standard deviation 0,
#           to about seven digits, as NumPy has them.
# Happens:  compiled code adds in float32, one by one, where NumPy adds pairwise. Sums
#           above 2^24 times a value lose it: the mean is 5 % off, without a warning.
#           With np.mean(x.astype(np.float64)) it is right.
# Seen:
#   NumPy:    mean 0.1000000, standard deviation 7.5e-09
#   compiled: mean 0.1048576, standard deviation 4.9e-03
#   compiled, in float64: mean 0.1000000
set -euo pipefail

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install -qq --no-compile numba==0.68.1 numpy==2.4.6

venv/bin/python - <<'PY'
import numba
import numpy as np

mean = numba.njit(lambda x: np.mean(x))
spread = numba.njit(lambda x: np.std(x))
in_double = numba.njit(lambda x: np.mean(x.astype(np.float64)))

x = np.full(20_000_000, 0.1, np.float32)
print(f"NumPy:    mean {x.mean():.7f}, standard deviation {x.std():.1e}")
print(f"compiled: mean {mean(x):.7f}, standard deviation {spread(x):.1e}")
print(f"compiled, in float64: mean {in_double(x):.7f}")
assert abs(x.mean() - 0.1) < 1e-7 and x.std() < 1e-7, "CHANGED: NumPy's own"
assert 0.104 < mean(x) < 0.105 and spread(x) > 4e-3, "CHANGED: sums of float32 in compiled code"
assert abs(in_double(x) - 0.1) < 1e-7, "CHANGED: the way out"
print("as found")
PY
