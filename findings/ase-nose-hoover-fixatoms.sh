#!/usr/bin/env bash
#
# ASE 3.29.0, ase.md.nose_hoover_chain.NoseHooverChainNVT with FixAtoms.
#
# Expected: the atoms that may move reach the temperature asked for, as with
#           LangevinBAOAB; or the class refuses the constraint.
# Happens:  accepted in silence. The integrator keeps momenta of its own, in which
#           the forces go on accelerating the fixed atoms, and the chain
#           thermostats those: the mobile atoms are far too cold and the
#           "conserved" energy drifts.
# Seen:
#   chain, 32 mobile atoms of 32:   302 K, conserved energy within 0.006 eV
#   chain, 16 mobile atoms of 32:   39 K, conserved energy within 3.539 eV
#   LangevinBAOAB, 16 of 32 mobile: 309 K
set -euo pipefail

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install -qq --no-compile ase==3.29.0 numpy==2.4.6 scipy==1.17.1

venv/bin/python -W ignore - <<'PY'
import numpy as np
from ase import units
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.constraints import FixAtoms
from ase.md.langevinbaoab import LangevinBAOAB
from ase.md.nose_hoover_chain import NoseHooverChainNVT
from ase.md.velocitydistribution import thermalize_momenta


def run(kind, fixed):
    rng = np.random.default_rng(3)
    atoms = bulk("Cu", cubic=True) * (2, 2, 2)
    if fixed:
        atoms.set_constraint(FixAtoms(range(16)))
    atoms.calc = EMT()
    thermalize_momenta(atoms, temperature_K=600, rng=rng)  # half goes to the potential
    if kind == "chain":
        dyn = NoseHooverChainNVT(atoms, 4 * units.fs, temperature_K=300, tdamp=60 * units.fs)
    else:
        dyn = LangevinBAOAB(atoms, 4 * units.fs, temperature_K=300, T_tau=60 * units.fs, rng=rng)
    dyn.run(300)
    temperature, conserved = [], []
    for _ in range(120):
        dyn.run(10)
        temperature.append(atoms.get_temperature())
        if kind == "chain":
            conserved.append(dyn.get_conserved_energy())
    return np.mean(temperature), (np.ptp(conserved) if conserved else np.nan)


free, free_range = run("chain", False)
held, held_range = run("chain", True)
oracle, _ = run("langevin", True)
print(f"chain, 32 mobile atoms of 32:   {free:.0f} K, conserved energy within {free_range:.3f} eV")
print(f"chain, 16 mobile atoms of 32:   {held:.0f} K, conserved energy within {held_range:.3f} eV")
print(f"LangevinBAOAB, 16 of 32 mobile: {oracle:.0f} K")
assert abs(free - 300) < 40 and abs(oracle - 300) < 40, "CHANGED: a control run left 300 K"
assert held < 230, "CHANGED: the chain now heats the mobile atoms"
assert held_range > 5 * free_range, "CHANGED: the conserved energy holds with fixed atoms"
print("as found")
PY
