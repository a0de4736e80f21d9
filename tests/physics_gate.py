"""Judge the dynamics of the shipped models: `python tests/physics_gate.py [MODEL ...]`.

Constant energy by velocity Verlet: drift of the shadow energy, momenta, reversal, order. Every
thermostat: kinetic energies and the ratio of two temperatures by `physical_validation`,
equipartition by mode. The same command goes on where an earlier one stopped. `--docs FILE` writes
the tables of the file between the markers of a page. Exit code 1: a figure is beyond its bound.
"""

import argparse
import sys
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

sys.path[:0] = [str(Path(__file__).parent / "helpers"), str(Path(__file__).parents[1])]

import pages  # noqa: E402
from shipped_models import RESULTS, STRUCTURES, Shipped, kept, save, shipped  # noqa: E402

from qmd import units  # noqa: E402
from qmd.analysis.shadow import shadow_energy  # noqa: E402
from qmd.integrators import (  # noqa: E402
    VELOCITIES,
    LangevinBAOAB,
    NoseHooverChain,
    State,
    Status,
    Stream,
    VelocityRescaling,
    VelocityVerlet,
    evaluate,
    gaussian,
    initial_state,
    kinetic_energy,
    unlimited,
)

Array = NDArray[np.float64]
FS, PS = units.fs, units.ps
validation: Any = import_module("physical_validation")
DT, DT_BATH = 0.5 * FS, 0.25 * FS
METHODS: dict[str, Callable[[float], Any]] = {
    "langevin_baoab": lambda kT: LangevinBAOAB(DT_BATH, kT, 1 / (50 * FS)),
    "velocity_rescaling": lambda kT: VelocityRescaling(DT_BATH, kT, 50 * FS),
    "nose_hoover_chain": lambda kT: NoseHooverChain(DT_BATH, kT, 50 * FS),
}
SMALL = ("sivqlm-lih", "sivqlm-h2o")
REPLICAS, FRAMES, EVERY = 100, 20, 1000
"""Of each temperature: replicas, frames of each, and steps of 0.25 fs between two frames."""
BOUNDS = {
    "drift_kT_per_ns_dof": 2e-3,
    "momentum": 1e-12,
    "angular_momentum": 1e-10,
    "reversal_A": 1e-9,
    "order": 0.15,
    "mode_z": 5.0,
    "temperatures_z": 5.0,
}
"""Largest deviation: of the drift that tests/potentials/shipped has; of momenta relative to their
terms; of positions after 1 ps and back; of the ratio of fluctuations from 4.1; in standard errors
five, which one in 2e6 right figures exceeds."""
P_VALUE = 1e-4
"""Least probability of the kinetic energies."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", default=list(STRUCTURES))
    parser.add_argument("--json", type=Path, default=RESULTS / "physics.json",
                        help="figures, kept after each of them")  # fmt: skip
    parser.add_argument("--docs", type=Path, help="page whose tables are written anew")
    parser.add_argument("--only", choices=["energy", *METHODS], help="one part")
    parser.add_argument("--only-docs", action="store_true", help="compute nothing")
    options = parser.parse_args()
    found: dict[str, Any] = kept(options.json)
    for part in [options.only] if options.only else ["energy", *METHODS]:
        for label in [] if options.only_docs else options.models:
            if part not in found.setdefault(label, {}):
                judge = constant_energy if part == "energy" else thermostat
                one = judge(shipped(label), part) | {"date": time.strftime("%Y-%m-%d")}
                found[label][part] = one
                save(options.json, found)
                print(label, part, one, flush=True)
    if options.docs:
        pages.write(options.docs, "physics", tables(found))
    wrong = [f"{label}, {part}: {f}" for label, parts in found.items()
             for part, one in parts.items() if part != "package" for f in faults(one)]  # fmt: skip
    print(*wrong, sep="\n")
    return len(wrong) > 0


def faults(figures: dict[str, Any]) -> list[str]:
    """Return the names of figures that are beyond their bounds."""
    found = []
    for name, bound in BOUNDS.items():
        expected = 4.1 if name == "order" else 0.0
        if name in figures and not abs(figures[name] - expected) <= bound:
            found.append(f"{name} {figures[name]:.3g}")
    if not min(figures.get("kinetic_p", [1.0])) > P_VALUE:
        found.append(f"kinetic_p {min(figures['kinetic_p']):.3g}")
    return found


def constant_energy(model: Shipped, part: str) -> dict[str, float]:
    """Follow a molecule by velocity Verlet: drift, momenta, reversal, order."""
    kernel, masses = model.package.native(), model.system.masses
    args = kernel, 1 / masses, Stream(0), unlimited()
    kelvin = lower(model)
    start = thermal(model, kelvin * units.kB, 1)
    dof = 3 * len(masses) - 3
    n_frames = 2000 if model.label in SMALL else 200
    state, shadows = start, []
    for _ in range(n_frames):
        state = advanced(VelocityVerlet(DT), state, args, 100)
        shadows.append(shadow_energy(kernel, state, masses, DT))
    times_ns = np.arange(n_frames) * 100 * DT / (1000 * PS)
    drift = np.polyfit(times_ns, shadows, 1)[0] / (units.kB * kelvin * dof)
    p, q = (masses[:, None] * s.velocities for s in (start, state))
    turns = [np.cross(s.positions, m).sum(axis=0) for s, m in ((start, p), (state, q))]
    away = advanced(VelocityVerlet(DT), start, args, 2000)
    back = advanced(VelocityVerlet(DT), away._replace(velocities=-away.velocities), args, 2000)
    return {
        "ps": n_frames * 100 * DT / PS,
        "drift_kT_per_ns_dof": float(drift),
        "momentum": float(np.abs(q.sum(axis=0)).max() / np.abs(p).sum()),
        "angular_momentum": float(np.linalg.norm(turns[1] - turns[0]) / np.linalg.norm(turns[0])),
        "reversal_A": float(np.abs(back.positions - start.positions).max()),
        "order": fluctuation(model, kelvin, args, DT) / fluctuation(model, kelvin, args, DT / 2),
    }


def lower(model: Shipped) -> int:
    """Return the lower temperature (K): two waters, which no wall holds, must stay together.

    Waters that part have no ensemble: what climbs out of the well is colder than the bath.
    """
    return 150 if "dimer" in model.label else 300


def fluctuation(model: Shipped, kelvin: float, args: Any, dt: float) -> float:
    """Return the standard deviation (eV) of the total energy over 0.3 ps, of four starts.

    Longer, and paths of two time steps part: their fluctuations would be those of other motions.
    """
    variances = []
    for seed in range(1, 5):
        state, energies = thermal(model, kelvin * units.kB, seed), []
        for _ in range(300):
            state = advanced(VelocityVerlet(dt), state, args, round(FS / dt))
            energies.append(state.energy + kinetic_energy(state.velocities, model.system.masses))
        variances.append(np.var(energies))
    return float(np.sqrt(np.mean(variances)))


def thermostat(model: Shipped, name: str) -> dict[str, Any]:
    """Sample at two temperatures; return what `physical_validation` and the modes say."""
    n_vibrations = max(1, 3 * len(model.system.masses) - 6)
    low = lower(model)
    high = round(low * (1 + min(0.5, 1 / np.sqrt(n_vibrations / 2))))
    sets, deviations = [], []
    for seed, kelvin in enumerate((low, high)):
        kinetic, potential, squares = sampled(model, METHODS[name], kelvin * units.kB, seed)
        sets.append(data_set(model, kinetic, potential, kelvin, still(name)))
        means = squares.mean(axis=1)  # of each replica: its frames may depend on each other
        deviations.append((means.mean(axis=0) - 1) / (means.std(axis=0) / np.sqrt(len(means))))
    (sigmas,) = validation.ensemble.check(*sets, verbosity=0)
    return {
        "samples": len(kinetic),
        "temperatures_K": [low, high],
        "kinetic_p": [
            float(validation.kinetic_energy.distribution(one, strict=True, verbosity=0))
            for one in sets
        ],
        "temperatures_z": float(sigmas),
        "modes": int(squares.shape[2]),
        "mode_z": float(np.abs(deviations).max()),
    }


def still(name: str) -> int:
    """Return the number of degrees of freedom in which a method leaves a molecule at rest."""
    return 0 if name == "langevin_baoab" else 3


def sampled(
    model: Shipped, method: Callable[[float], Any], kT: float, seed: int
) -> tuple[Array, Array, Array]:
    """Return kinetic and potential energies (eV), and squares of the velocities along modes in kT.

    Replicas begin in the ensemble, to which Langevin dynamics has brought them in 1 ps: a method
    must keep it, also where it reaches it slowly. Velocities are those in the middle of a step,
    which have their temperature to the fourth order of the time step.
    """
    masses, root = model.system.masses, np.sqrt(model.system.masses)[:, None]
    args = model.package.native(), 1 / masses
    modes, kinetic, potential, squares = normal_modes(model), [], [], []
    at_rest = not isinstance(method(kT), LangevinBAOAB)
    modes = modes[3:] if at_rest else modes
    for replica in range(REPLICAS if model.label in SMALL else REPLICAS // 4):
        stream = Stream(100 + seed, replica)
        state = thermal(model, kT, 100 + seed, replica)
        state = advanced(METHODS["langevin_baoab"](kT), state, (*args, stream, unlimited()), 4000)
        if at_rest:
            drift = masses @ state.velocities / masses.sum()
            state = state._replace(velocities=state.velocities - drift)
        now = method(kT).of_motion(3 * len(masses) - 3 * at_rest, about_centre=at_rest)
        state = now.start(state, stream, args[0])
        rows = []
        for _ in range(FRAMES):
            state = advanced(now, state, (*args, stream, unlimited()), EVERY)
            middle = state.velocities + DT_BATH / 2 * state.forces / masses[:, None]
            kinetic.append(kinetic_energy(middle, masses))
            potential.append(state.energy)
            along = aligned(model, state.positions, modes) * (root * middle)
            rows.append(along.sum(axis=(1, 2)) ** 2 / kT)
        squares.append(rows)
    return np.array(kinetic), np.array(potential), np.array(squares)


def thermal(model: Shipped, kT: float, seed: int, replica: int = 0) -> State:
    """Return a state at the minimum, with thermal velocities without momentum."""
    masses = model.system.masses
    velocities = np.empty((len(masses), 3))
    gaussian(velocities, Stream(seed, replica), 0, VELOCITIES)
    velocities *= np.sqrt(kT / masses)[:, None]
    velocities -= masses @ velocities / masses.sum()
    return initial_state(model.package.native(), model.system.positions, velocities)


def advanced(method: Any, state: State, args: Any, steps: int) -> State:
    """Return the state after some steps."""
    end = method.advance(state, *args, steps)
    if end.status != Status.OK:
        raise SystemExit(f"{method}: {Status(end.status).name} in step {end.state.step}")
    return end.state


def normal_modes(model: Shipped) -> Array:
    """Return unit vectors (3n, n, 3) of the modes at the minimum, translations first.

    They are a basis in coordinates times the root of the mass, by differences of the forces.
    """
    x, root = model.system.positions, np.sqrt(model.system.masses)
    force, n, h = model.package.native(), len(model.system.masses), 1e-3
    hessian = np.empty((3 * n, 3 * n))
    for k in range(3 * n):
        step = np.zeros(3 * n)
        step[k] = h
        ends = [evaluate(force, x + sign * step.reshape(n, 3))[1] for sign in (1, -1)]
        hessian[k] = (ends[1] - ends[0]).ravel() / (2 * h)
    weight = np.repeat(root, 3)
    moved = np.zeros((3, n, 3))
    for axis in range(3):
        moved[axis, :, axis] = root / np.linalg.norm(root)
    outside = np.eye(3 * n) - sum(np.outer(m, m) for m in moved.reshape(3, -1))
    mass_weighted = outside @ ((hessian + hessian.T) / 2 / np.outer(weight, weight)) @ outside
    _, vectors = np.linalg.eigh(mass_weighted + 1e6 * (np.eye(3 * n) - outside))
    return np.concatenate([moved, vectors.T[: 3 * n - 3].reshape(-1, n, 3)])


def aligned(model: Shipped, positions: Array, modes: Array) -> Array:
    """Return the modes as the molecule is turned; a function of the positions alone.

    So each of them, a unit vector whatever the positions, has half of kT on average, exactly.
    """
    masses = model.system.masses[:, None]
    fixed, moving = (x - (masses * x).sum(axis=0) / masses.sum()
                     for x in (model.system.positions, positions))  # fmt: skip
    u, _, v = np.linalg.svd((masses * moving).T @ fixed)
    turn = u @ np.diag([1, 1, np.sign(np.linalg.det(u @ v))]) @ v
    return np.asarray(modes @ turn.T)


def data_set(model: Shipped, kinetic: Array, potential: Array, kelvin: int, at_rest: int) -> Any:
    """Return samples in the form of `physical_validation`."""
    n = len(model.system.masses)
    return validation.data.SimulationData(
        units=validation.data.UnitData(
            kb=units.kB, energy_conversion=1 / units.kJ_per_mol, length_conversion=0.1,
            volume_conversion=1e-3, temperature_conversion=1, pressure_conversion=1,
            time_conversion=1 / PS, energy_str="eV", length_str="A", volume_str="A^3",
            temperature_str="K", pressure_str="bar", time_str="internal",
        ),
        ensemble=validation.data.EnsembleData("NVT", natoms=n, temperature=kelvin, volume=1.0),
        system=validation.data.SystemData(
            natoms=n, nconstraints=0, ndof_reduction_tra=at_rest, ndof_reduction_rot=0,
            mass=model.system.masses,
        ),
        observables=validation.data.ObservableData(
            kinetic_energy=kinetic, potential_energy=potential, total_energy=kinetic + potential,
            volume=np.ones_like(kinetic),
        ),
    )  # fmt: skip


def tables(found: dict[str, Any]) -> str:
    """Return the figures as two tables."""
    lines = [
        "| model | length | drift, kT/ns/dof | momentum | angular momentum | reversal | order |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for label in STRUCTURES:
        if one := found.get(label, {}).get("energy"):
            lines.append(
                f"| {label} | {one['ps']:.0f} ps | {one['drift_kT_per_ns_dof']:.1e} "
                f"| {one['momentum']:.0e} | {one['angular_momentum']:.0e} "
                f"| {one['reversal_A']:.0e} angstrom | {one['order']:.2f} |"
            )
    lines += [
        "",
        "| model | thermostat | samples | K | kinetic energies, p | two temperatures "
        "| modes | farthest mode | date |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | --- |",
    ]
    for label in STRUCTURES:
        for name in METHODS:
            if one := found.get(label, {}).get(name):
                lines.append(
                    f"| {label} | `{name}` | {one['samples']} "
                    f"| {' and '.join(map(str, one['temperatures_K']))} "
                    f"| {' and '.join(f'{p:.2g}' for p in one['kinetic_p'])} "
                    f"| {one['temperatures_z']:.1f} | {one['modes']} | {one['mode_z']:.1f} "
                    f"| {one['date']} |"
                )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
