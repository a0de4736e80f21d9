#!/usr/bin/env bash
#
# SciPy 1.17.1 minimize, methods COBYQA and COBYLA with bounds: circuits trained without gradients.
#
# Expected: the first evaluation is at x0, and no evaluation leaves the bounds.
# Happens:  COBYQA moves a start near a bound by up to half its first trust region and
#           never evaluates x0: from a trained set of parameters the run begins
#           somewhere worse and may end worse than it began. COBYLA leaves the bounds:
#           1.9 in a box that ends at 1.
# Seen:
#   COBYQA from [0.05 0.95] first evaluates [0. 1.] - start ever evaluated: False
#   COBYQA with initial_tr_radius=0.02 first evaluates [0.05 0.95]
#   COBYLA in [0, 1]: evaluates between -0.050 and 1.900
set -euo pipefail

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install -qq --no-compile scipy==1.17.1 numpy==2.4.6

venv/bin/python -W ignore - <<'PY'
import numpy as np
from scipy.optimize import minimize


def points(method, start, **options):
    seen = []

    def loss(x):
        seen.append(x.copy())
        return float(np.sum((x - 0.3) ** 2))

    result = minimize(loss, start, method=method, bounds=[(0, 1)] * 2, options=options)
    return np.array(seen), result


start = np.array([0.05, 0.95])
seen, result = points("COBYQA", start, maxiter=10)
print("COBYQA from", start, "first evaluates", seen[0], "- start ever evaluated:", bool((seen == start).all(1).any()))
assert not (seen == start).all(1).any(), "CHANGED: COBYQA evaluates its start"
near, _ = points("COBYQA", start, initial_tr_radius=0.02)
print("COBYQA with initial_tr_radius=0.02 first evaluates", near[0])
assert np.allclose(near[0], start), "CHANGED: the control"
seen, _ = points("COBYLA", np.array([0.9, 0.5]))
print(f"COBYLA in [0, 1]: evaluates between {seen.min():.3f} and {seen.max():.3f}")
assert seen.max() > 1.5, "CHANGED: COBYLA keeps to the bounds"
print("as found")
PY
