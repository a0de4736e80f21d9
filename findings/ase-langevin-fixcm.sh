#!/usr/bin/env bash
#
# ASE 3.29.0, ase.md.langevin.Langevin with its default fixcm=True, small molecules.
#
# Expected: a molecule thermostatted at 300 K has 300 K in the modes that can move.
# Happens:  the momentum of the centre of mass is held at zero, but the noise is
#           scaled until get_temperature(), which divides by 3N, shows the target.
#           The 3N-3 internal modes then run at N/(N-1) times the target: twice
#           it for two atoms, half as much again for three.
# Seen:
#   2 atoms, default:     get_temperature() 307 K, internal modes 615 K
#   2 atoms, fixcm=False: get_temperature() 314 K, internal modes 321 K
#   3 atoms, default:     get_temperature() 305 K, internal modes 457 K
#   3 atoms, fixcm=False: get_temperature() 305 K, internal modes 308 K
set -euo pipefail

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install -qq --no-compile ase==3.29.0 numpy==2.4.6 scipy==1.17.1

venv/bin/python -W ignore - <<'PY'
import numpy as np
from ase import Atoms, units
from ase.calculators.calculator import Calculator, all_changes
from ase.md.langevin import Langevin
from ase.md.velocitydistribution import thermalize_momenta


class Springs(Calculator):
    """Every pair of atoms is joined by a spring of 5 eV/A^2 and 1 A."""

    implemented_properties = ["energy", "forces"]

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        x = self.atoms.positions
        first, second = np.triu_indices(len(x), 1)
        d = x[second] - x[first]
        r = np.linalg.norm(d, axis=1)
        pull = (5.0 * (r - 1.0) / r)[:, None] * d
        forces = np.zeros_like(x)
        np.add.at(forces, first, pull)
        np.add.at(forces, second, -pull)
        self.results = {"energy": 2.5 * np.sum((r - 1.0) ** 2), "forces": forces}


START = np.array([[0, 0, 0], [1, 0, 0], [0.5, 0.866, 0]])


def temperatures(n, **options):
    rng = np.random.default_rng(1)
    atoms = Atoms("N" * n, positions=START[:n])
    atoms.calc = Springs()
    thermalize_momenta(atoms, temperature_K=300, rng=rng)
    dyn = Langevin(atoms, 2 * units.fs, temperature_K=300,
                   friction=0.02 / units.fs, rng=rng, **options)
    dyn.run(300)
    shown, internal = [], []

    def take():
        m = atoms.get_masses()[:, None]
        v = atoms.get_velocities()
        v = v - (m * v).sum(0) / m.sum()
        internal.append((m * v**2).sum() / ((3 * n - 3) * units.kB))
        shown.append(atoms.get_temperature())

    dyn.attach(take, 5)
    dyn.run(15000)
    return np.mean(shown), np.mean(internal)


for n in (2, 3):
    shown, internal = temperatures(n)
    print(f"{n} atoms, default:     get_temperature() {shown:.0f} K, internal modes {internal:.0f} K")
    assert abs(internal / shown - n / (n - 1)) < 1e-6, "CHANGED: ratio is no longer N/(N-1)"
    assert abs(shown - 300) < 40, "CHANGED: get_temperature() no longer shows the target"
    shown, internal = temperatures(n, fixcm=False)
    print(f"{n} atoms, fixcm=False: get_temperature() {shown:.0f} K, internal modes {internal:.0f} K")
    assert abs(internal - 300) < 40, "CHANGED: fixcm=False no longer gives the target"
print("as found")
PY
