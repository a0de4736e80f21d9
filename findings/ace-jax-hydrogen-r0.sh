#!/usr/bin/env bash
#
# ace-jax 0.4.1, `aj fit` on frames with hydrogen.
#
# Expected: `aj fit` builds a basis for H and O, or does so once a distance is given, as its error
#           asks for: "pass `r0` explicitly".
# Happens:  `--r0` does not reach the basis; the same error with and without it. Only
#           `ace_jax.basis.model.build_model(..., r0=...)` from Python builds one, for `--model`.
# Seen:
#   without --r0: ValueError: no tabulated bond length for Z=1; pass `r0` explicitly
#   with --r0:    ValueError: no tabulated bond length for Z=1; pass `r0` explicitly
#   build_model:  a basis for [1, 8]
set -euo pipefail

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install -qq --no-compile ace-jax==0.4.1

venv/bin/python -W ignore - <<'PY'
import subprocess
import sys
from pathlib import Path

import ase.io
import numpy as np
from ase.build import molecule

rng, images = np.random.default_rng(1), []
for _ in range(4):
    atoms = molecule("H2O")
    atoms.rattle(0.05, rng=rng)
    atoms.info["energy"], atoms.arrays["forces"] = float(rng.normal()), rng.normal(size=(3, 3))
    images.append(atoms)
ase.io.write("water.extxyz", images)
command = [Path(sys.executable).with_name("aj"), "fit", "--train", "water.extxyz", "--order", "2",
           "--max-degree", "4", "--rcut", "4", "--out", "fit"]
found = []
for name, more in (("without --r0:", []), ("with --r0:   ", ["--r0", "1.0"])):
    done = subprocess.run([*command, *more], capture_output=True, text=True)
    found.append(done.stderr.strip().splitlines()[-1])
    print(name, found[-1])

import jax

jax.config.update("jax_enable_x64", True)
from ace_jax.basis.model import build_model

made = build_model(["H", "O"], 2, 4, rcut=4.0, r0=1.0)
print("build_model:  a basis for", [int(z) for z in made.meta["elements"]])
assert all("no tabulated bond length for Z=1" in line for line in found), "CHANGED: `aj fit` ends otherwise"
print("as found")
PY
