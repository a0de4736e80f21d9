"""Dynamics of the shipped networks: 20 ps at constant energy, drift, stability, vibrations.

    python runs/rmd17/dynamics.py

Starts are those of `runs/ethanol-nve` and `runs/benzene-nve`, with ten seeds. Besides the total
energy its shadow is followed, which velocity Verlet conserves to fourth order: the total energy
follows the heat of the stretches by a term in dt^2, which in 20 ps looks like a drift. Writes
dynamics.json, a plot of the spectra, and the page of the study.
"""

import json
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import report
from study import RESULTS

from qmd import units
from qmd.analysis import series, spectrum
from qmd.analysis.shadow import shadow_energy
from qmd.forces.catalogue import load_package
from qmd.integrators import (
    VELOCITIES,
    Limits,
    Status,
    Stream,
    VelocityVerlet,
    gaussian,
    initial_state,
    kinetic_energy,
)
from qmd.io import files
from qmd.io.structure import load_system
from qmd.system.velocities import thermal_velocities

ROOT = Path(__file__).resolve().parents[2]
SEEDS = range(1, 11)
START_K, DT = 600, 0.5 * units.fs
BLOCK, BLOCKS = 40, 1000
N_SPECTRA, N_LINES, COLOURS = 4, 8, report.COLOURS
LOWEST_PER_CM = 100
"""Below are turns of groups and of the molecule, which 20 ps do not tell apart."""


def main():
    found, spectra = {}, {}
    for molecule in ("ethanol", "benzene"):
        runs = [follow(molecule, seed) for seed in SEEDS]
        spectra[molecule] = vibrations(molecule)
        found[f"qnn-{molecule}"] = summary(runs) | {"peaks_per_cm": highest(*spectra[molecule])}
        print(found[f"qnn-{molecule}"], flush=True)
    files.write_text(report.DYNAMICS, json.dumps(found, indent=1))
    plot(spectra, report.IMAGES / "rmd17-spectra.png")
    report.write(json.loads(RESULTS.read_text()))


def follow(molecule, seed):
    """20 ps of one seed: slopes of energies (kT/ns/dof) and temperature; None if it fails."""
    package = load_package(f"qnn-{molecule}", ROOT)
    system = load_system(f"{molecule}.xyz", ROOT / "runs" / f"{molecule}-nve")
    kernel, masses, domain = package.native(), system.masses, package.domain
    limits = Limits(50.0, 0.1, domain.pairs, domain.warn, domain.stop)
    normals = np.empty((len(masses), 3))
    gaussian(normals, Stream(seed), 0, VELOCITIES)
    velocities = thermal_velocities(system, START_K, normals, exact=True)
    force = kernel
    state = initial_state(force, system.positions, velocities)
    rows = []
    for _ in range(BLOCKS):
        advanced = VelocityVerlet(DT).advance(state, force, 1 / masses, Stream(0), limits, BLOCK)
        if advanced.status != Status.OK:
            print(f"{molecule}, seed {seed}: {advanced.status}")
            return None
        state = advanced.state
        kinetic = kinetic_energy(state.velocities, masses)
        rows.append((state.energy + kinetic, shadow_energy(kernel, state, masses, DT), kinetic))
    totals, shadows, kinetics = np.array(rows).T
    times_ns = np.arange(BLOCKS) * BLOCK * 0.5e-6
    degrees = 3 * len(masses) - 3  # the centre of mass does not move
    temperature = 2 * kinetics.mean() / (units.kB * degrees)
    unit = units.kB * temperature * degrees
    drift, shadow = (float(np.polyfit(times_ns, e / unit, 1)[0]) for e in (totals, shadows))
    return {"drift": drift, "shadow": shadow, "temperature": float(temperature)}


def summary(runs):
    """Return a summary of all seeds."""
    good = [run for run in runs if run]
    if len(good) < 2:
        sys.exit("fewer than two runs came to their end")
    return {
        "runs": len(runs),
        "failures": len(runs) - len(good),
        "ps": BLOCK * BLOCKS * 0.5e-3,
        "temperature_K": round(float(np.mean([run["temperature"] for run in good])), 1),
        "drift_mean": float(np.mean([run["drift"] for run in good])),
        "drift_spread": float(np.std([run["drift"] for run in good], ddof=1)),
        "shadow_drift_largest": max((run["shadow"] for run in good), key=abs),
    }


def vibrations(molecule):
    """Wavenumbers and mean density of states of the first seeds, by `qmd run`."""
    path, densities = ROOT / "runs" / f"{molecule}-nve" / "input.yaml", []
    with TemporaryDirectory() as folder:
        for seed in range(1, N_SPECTRA + 1):
            target = Path(folder) / str(seed)
            command = [sys.executable, "-m", "qmd", "run", str(path), "--quiet"]
            command += ["--set", f"seed={seed}", "--output", str(target)]
            subprocess.run(command, check=True)
            one = spectrum.spectrum(series.read(target))
            densities.append(one.density)
    return one.wavenumbers, np.mean(densities, axis=0)


def highest(wavenumbers, density):
    """The strongest lines, ascending."""
    kept = wavenumbers > LOWEST_PER_CM
    wavenumbers = wavenumbers[kept]
    places, heights = spectrum.peaks(wavenumbers, density[kept])
    return sorted(round(float(places[i])) for i in np.argsort(heights)[-N_LINES:])


def plot(spectra, path):
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.2), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, len(spectra), sharey=True)
    for axis, (molecule, (wavenumbers, density)) in zip(axes, spectra.items(), strict=True):
        axis.plot(wavenumbers, density, color=COLOURS[molecule], lw=0.8)
        axis.set_xlim(0, 4000)
        axis.set_xlabel("wavenumber, 1/cm")
        axis.set_title(molecule)
    axes[0].set_ylabel("density of states, cm")
    figure.savefig(path, dpi=100, metadata={"Software": None})


if __name__ == "__main__":
    main()
