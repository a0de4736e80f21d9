#!/usr/bin/env bash
#
# PySCF 2.14.0, pyscf.md, a molecule with isotopes.
#
# Expected: masses of mol.nucprop, which its vibrational analysis uses, count in its
#           dynamics, and md.set_seed makes start velocities repeatable.
# Happens:  the vibration of D2 is that of deuterium, while velocities of
#           MaxwellBoltzmannVelocity and the kinetic energy of the integrator are those
#           of hydrogen; and two draws after the same set_seed differ.
# Seen:
#   H2: vibration 5040 cm^-1, mass in start velocities 1.01 u, mass in the kinetic energy 1.01 u
#   D2: vibration 3566 cm^-1, mass in start velocities 1.03 u, mass in the kinetic energy 1.01 u
#   first velocity after set_seed(7), twice: [0.00020427385013703172, -0.0002767107580878129]
set -euo pipefail

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install -qq --no-compile pyscf==2.14.0 numpy==2.4.6 scipy==1.17.1

OMP_NUM_THREADS=1 venv/bin/python -W ignore - <<'PY'
import io

import numpy as np
from pyscf import gto, md, scf
from pyscf.data import nist
from pyscf.hessian import thermo
from pyscf.md import distributions, integrators


def molecule(mass=None):
    mol = gto.Mole(atom="H 0 0 0; H 0 0 0.74", basis="sto-3g", verbose=0)
    if mass:
        mol.nucprop = {1: {"mass": mass}, 2: {"mass": mass}}
    return mol.build()


wave, thermal, kinetic = {}, {}, {}
for name, mass in (("H2", None), ("D2", 2.014)):
    mol = molecule(mass)
    method = scf.RHF(mol).run()
    wave[name] = thermo.harmonic_analysis(mol, method.Hessian().kernel())["freq_wavenumber"][0].real
    draws = np.array([distributions.MaxwellBoltzmannVelocity(mol, T=300) for _ in range(3000)])
    kT = 300 * nist.BOLTZMANN / nist.HARTREE2J
    thermal[name] = kT / np.mean(draws**2) / nist.AMU2AU
    start = np.array([[0, 0, 1e-3], [0, 0, -1e-3]])
    run = integrators.VelocityVerlet(method, dt=1, steps=1, veloc=start)
    run.stdout = io.StringIO()
    run.kernel()
    kinetic[name] = run.ekin / (np.sum(start**2) / 2) / nist.AMU2AU
    print(f"{name}: vibration {wave[name]:.0f} cm^-1, mass in start velocities {thermal[name]:.2f} u, "
          f"mass in the kinetic energy {kinetic[name]:.2f} u")

seeded = []
for _ in range(2):
    md.set_seed(7)
    seeded.append(float(distributions.MaxwellBoltzmannVelocity(molecule(), T=300)[0, 0]))
print("first velocity after set_seed(7), twice:", seeded)
assert abs(wave["H2"] / wave["D2"] - np.sqrt(2.014 / 1.008)) < 5e-3, "CHANGED: vibrations"
assert abs(thermal["D2"] - 1.008) < 0.2 and abs(kinetic["D2"] - 1.008) < 0.05, "CHANGED: dynamics takes nucprop"
assert seeded[0] != seeded[1], "CHANGED: set_seed repeats"
print("as found")
PY
