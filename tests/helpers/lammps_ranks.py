"""Run LAMMPS on the tasks of a file, on all ranks of MPI; `tests/interop/test_lammps.py` starts it.

Usage: python lammps_ranks.py TASKS.json FOLDER
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from mpi4py import MPI

from qmd import units
from qmd.interop import lammps as interop

TIME = {"metal": units.ps, "real": units.fs}
"""Unit of time of LAMMPS, in ours."""


def make(task: dict[str, Any]) -> Any:
    """Return LAMMPS with the atoms of a task, at its start."""
    from lammps import lammps

    lmp = lammps(cmdargs=["-log", "none"])
    own = task.get("units", "metal")
    time, energy = TIME[own], interop.ENERGY_UNITS[own]
    lx, (xy, ly), (xz, yz, lz) = task["cell"][0][0], task["cell"][1][:2], task["cell"][2]
    lmp.commands_list(
        [
            f"units {own}",
            "atom_style atomic",
            "atom_modify map array sort 2 1.0",
            f"boundary {task.get('boundary', 'p p p')}",
            f"region box prism 0 {lx!r} 0 {ly!r} 0 {lz!r} {xy!r} {xz!r} {yz!r} units box",
            f"create_box {len(task['masses'])} box",
            f"timestep {task['timestep_fs'] * units.fs / time!r}",
            "neigh_modify every 1 delay 0 check no",
            *task.get("pair", ["pair_style zero 3.0", "pair_coeff * *"]),
        ]
    )
    # Its constants are other ones than ours, by 1e-8: masses such that a force of so many eV per
    # angstrom accelerates an atom as it does in our loop.
    factor = lmp.extract_global("ftm2v") / (energy * time**2)
    for kind, mass in enumerate(task["masses"], 1):
        lmp.command(f"mass {kind} {mass * factor!r}")
    positions, velocities = (np.array(task[key]).ravel() for key in ("positions", "velocities"))
    n = len(task["types"])
    lmp.create_atoms(n, list(range(1, n + 1)), task["types"], positions, velocities * time)
    return lmp


def run(task: dict[str, Any]) -> dict[str, np.ndarray]:
    """Make the steps of a task; its energies and pressures at the start, and where it ends."""
    lmp = make(task)
    if "potential" in task:
        interop.attach(lmp, task["potential"], elements=task.get("elements"))
    lmp.commands_list(task.get("fixes", ["fix move all nve"]))
    lmp.command("run 0")
    energy = interop.ENERGY_UNITS[task.get("units", "metal")]
    out = {"first_energy": lmp.get_thermo("pe") * energy}
    tensor = [lmp.get_thermo(f"p{element}") for element in ("xx", "yy", "zz", "xy", "xz", "yz")]
    pressure = energy / lmp.extract_global("nktv2p")
    out["pressure"] = np.array(tensor) * pressure
    first_ids = set(lmp.numpy.extract_atom("id")[: lmp.extract_setting("nlocal")].tolist())
    lmp.command(f"run {task['steps']}")
    out["energy"] = lmp.get_thermo("pe") * energy
    n = len(task["types"])
    low, high, xy, yz, xz, _, _ = lmp.extract_box()
    x, y, z = np.subtract(high, low)
    out["cell"] = np.array([[x, 0, 0], [xy, y, 0], [xz, yz, z]])
    images = np.array(lmp.gather_atoms("image", 0, 3)).reshape(n, 3)
    wrapped = np.array(lmp.gather_atoms("x", 1, 3)).reshape(n, 3)
    out["positions"] = wrapped + images @ out["cell"]
    own_ids = lmp.numpy.extract_atom("id")[: lmp.extract_setting("nlocal")].tolist()
    out["moved"] = MPI.COMM_WORLD.allreduce(len(set(own_ids) - first_ids))
    lmp.close()
    return {key: np.asarray(value) for key, value in out.items()}


def main() -> None:
    """Run the tasks; a task with `fault` fails on purpose."""
    tasks, folder = json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2])
    rank = MPI.COMM_WORLD.rank
    for name, task in tasks.items():
        if "fault" in task:
            plant(task["fault"], rank)
        found = run(task)
        if rank == 0:
            np.savez(folder / f"{name}.npz", **found)


def plant(fault: dict[str, int], rank: int) -> None:
    """Let one rank fail at one of its calls."""
    rows, calls = interop._rows, iter(range(10**6))

    def failing(lmp: Any) -> np.ndarray:
        if next(calls) == fault["call"] and rank == fault["rank"]:
            raise MemoryError("planted")
        return rows(lmp)

    interop._rows = failing


if __name__ == "__main__":
    main()
