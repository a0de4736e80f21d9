"""Write the page on liquid water: structure and dynamics of qnn-water beside DFT and SPC/Fw.

    python docs/liquid.py FOLDER [--frames water64_train.npz]

FOLDER has a run folder for each run: `qnn-water-nvt`, `qnn-water-npt`, `qnn-water-nve`,
`spc-fw-nvt`, `q-spc-fw-nvt`, with `-2`, `-3` and so on for further seeds, `qnn-water-vdos` with a
frame every 3 fs, and `qnn-water-beads` with the output of i-PI (`runs/water-64-path-integrals`);
those that are absent are left out. `--frames` names the DFT frames that are compared with. Writes
the tables of docs/liquid.md, docs/images/liquid.png and docs/images/liquid-motion.png.
"""

import argparse
import re
from dataclasses import replace
from pathlib import Path

import ase.io
import matplotlib.pyplot as plt
import numpy as np

from qmd import units
from qmd.analysis import spectrum, statistics
from qmd.analysis.analyze import analyze
from qmd.analysis.condensed.radial import radial_distributions
from qmd.analysis.report import draw_spectra
from qmd.analysis.series import Series, read
from qmd.integrators import evaluate
from qmd.potentials import find
from qmd.potentials import load as load_potential

ROOT = Path(__file__).parents[1]
PAGE, PICTURE = ROOT / "docs" / "liquid.md", ROOT / "docs" / "images" / "liquid.png"
MOTION = PICTURE.with_name("liquid-motion.png")
EQUILIBRATION_PS = 5.0
"""Part of each run that is left out of its structure."""
BEADS_EQUILIBRATION_PS = 0.5
"""Part of the path integrals that is left out; the O-H stretch forgets its start within 0.1 ps."""
PAIRS = "O-O", "O-H", "H-H"
BEYOND_A = {"O-O": 0.0, "O-H": 1.3, "H-H": 1.9}
"""Distances from which on peaks are those between molecules."""
COLOURS = {
    "DFT frames": "black",
    "qnn-water": "#D55E00",
    "spc-fw": "#0072B2",
    "q-spc-fw": "#009E73",
}
BEGIN, END = "<!-- Written by docs/liquid.py: begin -->", "<!-- end -->"


def runs(folder: Path) -> dict[str, list[Series]]:
    """Return the runs of each potential and ensemble, e.g. of "qnn-water-nvt"."""
    found: dict[str, list[Series]] = {}
    for path in sorted(folder.iterdir()):
        if name := re.fullmatch(r"((?:qnn-water|q?-?spc-fw)-(?:nve|nvt|npt))(-\d+)?", path.name):
            found.setdefault(name[1], []).append(read(path))
    return found


def late(run: Series) -> Series:
    """Return a run without its equilibration."""
    kept = run.times_ps >= EQUILIBRATION_PS
    if not kept.any():
        raise SystemExit(f"{run.folder} ends within its first {EQUILIBRATION_PS} ps.")
    arrays = ("times_ps", "positions", "velocities", "forces", "potential", "kinetic", "cells")
    return replace(run, **{name: getattr(run, name)[kept] for name in arrays})


def frames_of(path: Path, like: Series) -> list[Series]:
    """Return the stretches of a dataset as if they were runs, for the radial distribution."""
    with np.load(path) as data:
        numbers, stretches = data["Z"], np.unique(data["stretch"])
        found = []
        for stretch in stretches:
            x = data["R"][data["stretch"] == stretch].astype(float)
            cells = np.broadcast_to(data["cell"], (len(x), 3, 3))
            species = tuple({1: "H", 8: "O"}[int(z)] for z in numbers)
            times = np.arange(float(len(x)))
            part = replace(like, species=species, positions=x, cells=cells, times_ps=times)
            found.append(part)
    return found


def radial(parts: list[Series]) -> dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Return radii, g and its standard error for each pair of elements, over runs or stretches."""
    each = [{g.name: g for g in radial_distributions(part)} for part in parts]
    found = {}
    for name in PAIRS:
        n = min(len(g[name].values) for g in each)
        values = np.array([g[name].values[:n] for g in each])
        within = np.sqrt(np.mean([g[name].errors[:n] ** 2 for g in each], axis=0) / len(each))
        between = values.std(axis=0, ddof=1) / np.sqrt(len(each)) if len(each) > 1 else 0.0
        found[name] = each[0][name].radii[:n], values.mean(axis=0), np.maximum(within, between)
    return found


def first_peak(name, r, g, errors):
    """Return place and height of the first peak between molecules, by a parabola, and its error."""
    beyond = np.flatnonzero(r > BEYOND_A[name])
    reach = beyond[r[beyond] < BEYOND_A[name] + 1.5] if name != "O-O" else beyond
    top = int(reach[np.argmax(g[reach])])
    a, b, c = np.polyfit(r[top - 2 : top + 3] - r[top], g[top - 2 : top + 3], 2)
    return r[top] - b / 2 / a, c - b * b / 4 / a, errors[top]


def structure(shapes) -> list[str]:
    """Return the table of first peaks."""
    rows = ["| pair | potential | first peak, A | height |", "| --- | --- | --: | --: |"]
    for name in PAIRS:
        for label, shape in shapes.items():
            place, height, error = first_peak(name, *shape[name])
            rows.append(f"| {name} | {label} | {place:.3f} | {height:.2f} +- {error:.2f} |")
    return rows


def averaged(values: list[float], errors: list[float]) -> str:
    """Return the mean of several runs with its error, from their spread where it is larger."""
    within = np.sqrt(np.mean(np.square(errors)) / len(values))
    spread = np.std(values, ddof=1) / np.sqrt(len(values)) if len(values) > 1 else 0.0
    return f"{np.mean(values):.3g} +- {max(within, spread):.1g}"


def dynamics(found: dict[str, list[Series]]) -> list[str]:
    """Return the table of what else the runs give."""
    rows = [
        "| run | number, length | T, K | density, g/cm3 | pressure, bar | H bonds a molecule "
        "| diffusion, 1e-5 cm2/s | drift, kT/ns/dof |",
        "| --- | --: | --: | --: | --: | --: | --: | --: |",
    ]
    for name, parts in found.items():
        results = [analyze(part.folder) for part in parts]
        n_molecules = len(parts[0].molecules)
        cells = [name, f"{len(parts)} x {parts[0].times_ps[-1]:.0f} ps"]
        temperatures = [statistics.mean(part.log.temperature) for part in parts]
        cells.append(averaged([t.value for t in temperatures], [t.error for t in temperatures]))
        for quantity in ("density", "pressure"):
            means = [b.mean for a in results for b in a.bulk if b.name == quantity]
            cells.append(averaged([m.value for m in means], [m.error for m in means]))
        bonds = [a.hydrogen_bonds.counts / n_molecules for a in results if a.hydrogen_bonds]
        each = [statistics.mean(b) for b in bonds]
        cells.append(averaged([m.value for m in each], [m.error for m in each]))
        moved = [d for a in results for d in a.displacements if d.name not in {"O", "H"}]
        # 1 A^2/ps is 1e-4 cm^2/s
        cells.append(averaged([10 * d.coefficient for d in moved], [10 * d.error for d in moved]))
        cells.append(", ".join(drift(part) for part in parts if part.conserves_energy) or "-")
        rows.append("| " + " | ".join(cells) + " |")
    return rows


def drift(run: Series) -> str:
    """Return the slope of the energy without the swing of the time step, kT/ns/dof, in words.

    Velocity Verlet conserves a shadow energy, to which the energy lacks
    ``dt^2 (v V'' v / 12 - F^2 / 24 m)`` [1]_. This swing and a line are fitted together; the error
    comes from four quarters.

    References
    ----------
    .. [1] S. Toxvaerd, Phys. Rev. E 50, 2271 (1994).
    """
    if run.cells is None or not np.allclose(run.times_ps, run.log.times_ps):
        raise SystemExit(f"{run.folder} needs a cell, and a row of its log for each frame.")
    force = load_potential(find("qnn-water")).on(run.species).native()
    step, masses = run.timestep_fs * units.fs, run.masses[:, None]
    swings = []
    for x, v, f, cell in zip(run.positions, run.velocities, run.forces, run.cells, strict=True):
        h = 1e-3 / np.abs(v).max()
        ahead, behind = (evaluate(force, x + k * h * v, cell)[1].copy() for k in (1, -1))
        curvature = ((behind - ahead) * v).sum() / (2 * h)
        swings.append(-(step**2) * (curvature / 12 - (f * f / masses).sum() / 24))
    times, energies = run.times_ps / 1000, run.log.potential + run.log.kinetic
    line = np.stack([np.ones(len(times)), times, swings], axis=1)
    kT = units.kB * run.log.temperature.mean() * (3 * run.n_atoms - 3)
    slopes = []
    rows = np.arange(len(times))
    for part in (rows, *np.array_split(rows, 4)):
        (_, slope, _), *_ = np.linalg.lstsq(line[part], energies[part])
        slopes.append(slope / kT)
    # Slopes of quarters scatter eight times as much as that of the whole, for noise of one size.
    error = np.std(slopes[1:], ddof=1) / 8
    return f"{slopes[0]:.1e} +- {error:.0e}"


def draw(shapes) -> None:
    """Draw the radial distributions."""
    figure, axes = plt.subplots(1, 3, figsize=(11, 3.4))
    for ax, name in zip(axes, PAIRS, strict=True):
        for label, shape in shapes.items():
            r, g, error = shape[name]
            colour, wide = COLOURS[label], 1.8 if label == "DFT frames" else 1.0
            ax.plot(r, g, color=colour, lw=wide, label=label)
            ax.fill_between(r, g - error, g + error, color=colour, alpha=0.2, lw=0)
        ax.set(xlabel=f"r ({name}, angstrom)", xlim=(0.8, 6.2), ylim=(0, 3.5))
    axes[0].set_ylabel("g(r)")
    axes[0].legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(PICTURE, dpi=150, metadata={"Software": None})


def bonds(positions: np.ndarray) -> np.ndarray:
    """Return the O-H bond lengths of molecules O H H, which are whole, (n_frames, n_bonds)."""
    molecules = positions.reshape(len(positions), -1, 3, 3)
    apart = molecules[:, :, 1:] - molecules[:, :, :1]
    return np.linalg.norm(apart, axis=-1).reshape(len(positions), -1)


def beads(folder: Path) -> tuple[np.ndarray, int]:
    """Return the O-H bonds of all beads in i-PI's output, (n_frames, n), and their number."""
    log = np.loadtxt(folder / "output.log")
    paths = sorted(folder.glob("output.positions_*.xyz"))
    each = [np.array([a.positions for a in ase.io.read(path, ":")]) for path in paths]
    n = min(len(log), *(len(x) for x in each))
    kept = log[:n, 1] >= BEADS_EQUILIBRATION_PS
    return np.hstack([bonds(x[:n][kept]) for x in each]), len(paths)


def bond_lengths(sets: dict[str, np.ndarray]) -> list[str]:
    """Return the table of O-H bonds."""
    rows = ["| nuclei | mean O-H, A | standard deviation, A |", "| --- | --: | --: |"]
    for name, lengths in sets.items():
        mean = statistics.mean(lengths.mean(axis=1))
        width = statistics.mean(lengths.std(axis=1))
        rows.append(
            f"| {name} | {statistics.with_error(mean.value, mean.error)} "
            f"| {statistics.with_error(width.value, width.error)} |"
        )
    return rows


def draw_motion(run: Series | None, sets: dict[str, np.ndarray]) -> list[str]:
    """Draw the density of states and the distribution of O-H bonds; return the lines in words."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4))
    words = []
    if run is not None:
        found = spectrum.spectrum(run)
        draw_spectra(left, [("", found)])
        assert found.peak_errors is not None  # 20 ps are nine segments
        pairs = zip(found.peaks, found.peak_errors, strict=True)
        lines = ", ".join(f"{x:.0f} +- {error:.0f}" for x, error in pairs)
        words = [f"Density of states over {run.times_ps[-1]:.0f} ps: lines at {lines} 1/cm."]
    for (name, lengths), colour in zip(sets.items(), ("#D55E00", "#0072B2", "black"), strict=False):
        height, edges = np.histogram(lengths, bins=100, range=(0.7, 1.5), density=True)
        right.plot((edges[1:] + edges[:-1]) / 2, height, color=colour, lw=1.2, label=name)
    right.set(xlabel="O-H bond (angstrom)", ylabel="probability (1/angstrom)", yticks=[])
    right.legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(MOTION, dpi=150, metadata={"Software": None})
    return words


def motion(folder: Path, found: dict[str, list[Series]]) -> list[str]:
    """Return table and words on bonds and vibrations, with the picture drawn."""
    sets = {}
    if parts := found.get("qnn-water-nvt"):
        sets["classical"] = np.vstack([bonds(late(part).positions) for part in parts])
    if (folder / "qnn-water-beads").exists():
        lengths, count = beads(folder / "qnn-water-beads")
        sets[f"{count} beads"] = lengths
    vdos = folder / "qnn-water-vdos"
    words = draw_motion(read(vdos) if vdos.exists() else None, sets)
    return [*bond_lengths(sets), "", *words]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--frames", type=Path)
    arguments = parser.parse_args()
    found = runs(arguments.folder)
    shapes = {}
    if arguments.frames:
        like = next(iter(found.values()))[0]
        shapes["DFT frames"] = radial(frames_of(arguments.frames, like))
    for label in ("qnn-water", "spc-fw", "q-spc-fw"):
        if parts := found.get(f"{label}-nvt"):
            shapes[label] = radial([late(part) for part in parts])
    draw(shapes)
    more = motion(arguments.folder, found)
    text = "\n".join([*structure(shapes), "", *dynamics(found), "", *more])
    page = PAGE.read_text()
    before, _, rest = page.partition(BEGIN)
    PAGE.write_text(f"{before}{BEGIN}\n{text}\n{END}{rest.partition(END)[2]}")
    print(PAGE, PICTURE, MOTION, sep="\n")


if __name__ == "__main__":
    main()
