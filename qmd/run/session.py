"""`qmd run`: start or resume a run, and leave its outputs complete."""

import json
import math
import time
from collections.abc import Callable
from contextlib import closing, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from qmd import units
from qmd.config.load import LoadedConfig, changed_keys
from qmd.errors import (
    CorruptError,
    InputError,
    MismatchError,
    OutputError,
    QmdError,
    memory_errors,
)
from qmd.integrators import AbstractIntegrator, Batch, State
from qmd.io import checkpoint, files
from qmd.io.blocks import RESTORE
from qmd.io.pdb import render_pdb
from qmd.io.run_folder import RunPaths
from qmd.jobs.lock import RunLock
from qmd.jobs.provenance import machine
from qmd.jobs.stop import Reason, StopRequest, stop_signals, stopped_early
from qmd.run.config import MAY_CHANGE_ON_RESUME, RunConfig
from qmd.run.replica_reporters import Failure
from qmd.run.reporters import OUTPUTS, TopologyReporter, open_reporters, written_files
from qmd.run.setup import RunSetup, build_replicas, set_up
from qmd.run.simulation import AbstractSimulation, RunProgress, Simulation
from qmd.run.start import start_batch, start_state
from qmd.system import topology
from qmd.system.cell import periodic
from qmd.typing import Array

Log = Callable[[str], None]


@dataclass(frozen=True)
class RunSession:
    """A finished session of a run, for a summary."""

    setup: RunSetup
    paths: RunPaths
    progress: RunProgress
    start_s: float
    """From the call to the first step."""


@memory_errors()
def run(
    loaded: LoadedConfig[RunConfig],
    output: Path | None = None,
    *,
    overwrite: bool = False,
    log: Log = lambda text: None,
    on_progress: Callable[[RunProgress], None] | None = None,
    should_stop: Callable[[], Reason] | None = None,
) -> RunSession:
    """Run an input to its last step, going on where an earlier call stopped.

    Parameters
    ----------
    loaded : LoadedConfig
    output : Path, optional
        Output folder; default `output` beside the input.
    overwrite : bool
        Delete the outputs of an earlier run and begin again.
    log : callable
        Takes lines for the user.
    on_progress : callable, optional
        Takes the `RunProgress` after every block of steps.
    should_stop : callable, optional
        Why to stop now, or None: for a run among others. Signals are then left to the caller.

    Raises
    ------
    QmdError
        With the exit code of its class; nothing is written before the input has been checked.
    """
    begin = time.perf_counter()
    setup = set_up(loaded)
    paths = RunPaths(output or loaded.path.parent / "output")
    # A start that cannot be used is refused before anything is written, or removed.
    start = start_state(setup) if overwrite or not paths.has_checkpoint else None
    with files.output_errors(paths.directory):
        paths.directory.mkdir(parents=True, exist_ok=True)
    stop = StopRequest(paths.exit, _seconds(setup.config.wall_time_h), should_stop=should_stop)
    with RunLock(paths.directory), nullcontext() if should_stop else stop_signals(stop):
        if overwrite:
            _begin_again(setup, paths)
        simulation, resumed = _open(setup, paths, start, stop, log)
        _remove_unfinished(paths)
        if on_progress:
            simulation.progress.on_progress = on_progress
        with closing(simulation):
            if not resumed:
                _say_warning(setup, log)
                _say_drift(setup, log)
                simulation.begin()
            finished = RunSession(setup, paths, simulation.progress, time.perf_counter() - begin)
            if not resumed:
                _write_record(finished)
            reason = simulation.run()
        if simulation.progress.steps_done or not _is_begun(setup, paths):
            _write_record(finished)
        if reason:
            raise stopped_early(
                reason,
                f"Stopped by {reason} at step {simulation.step} of {setup.config.steps}; all is "
                "saved.",
                "Run the same command again to go on.",
            )
        simulation.write_final()
    return finished


def _say_warning(setup: RunSetup, log: Log) -> None:
    if setup.potential.warning:
        log(f"warning: {setup.potential.warning}.")


def _say_drift(setup: RunSetup, log: Log) -> None:
    speed = setup.thermometer.drift * units.ps
    if speed:
        energy = 0.5 * setup.system.masses.sum() * setup.thermometer.drift**2
        log(
            f"The centre of mass drifts at {speed:.4g} angstrom/ps ({1000 * energy:.4g} meV); "
            "temperatures are those of the motion about it."
        )


def _seconds(hours: float | None) -> float | None:
    return None if hours is None else 3600 * hours


def _begin_again(setup: RunSetup, paths: RunPaths) -> None:
    """Remove the outputs of an earlier run; a start that is killed here can start again."""
    if any(path.exists() for path in written_files(paths)):
        _write_unbegun_record(setup, paths)
        _remove(paths)


def _remove_unfinished(paths: RunPaths) -> None:
    """Remove what a killed process had begun to write, of files that may not be written again."""
    for path in written_files(paths):
        files.remove(files.unfinished(path))


def _remove(paths: RunPaths) -> None:
    for path in written_files(paths):
        files.remove(path)


def _open(
    setup: RunSetup, paths: RunPaths, start: State | None, stop: StopRequest, log: Log
) -> tuple[AbstractSimulation, bool]:
    """The simulation where its outputs end, and whether it goes on from a checkpoint."""
    topology_text = _topology(setup)
    saved = _saved(setup, paths, log) if paths.has_checkpoint else None
    if saved is None:
        _clear_unbegun(setup, paths)
        start = start or start_state(setup)
        # The record comes first: it marks what follows as belonging to this input.
        _write_unbegun_record(setup, paths)
        files.write_text(paths.topology, topology_text)
    progress = RunProgress(saved.step if saved else 0, setup.config.steps)
    reporters = open_reporters(setup, paths, saved.outputs if saved else {})
    if saved:
        _restore_topology(paths.topology, topology_text, log)
    reporters["topology"] = TopologyReporter(paths.topology, topology_text)
    simulation: AbstractSimulation
    if setup.config.replicas > 1:
        from qmd.run.replicas import ReplicaSimulation

        failures = [Failure(*failure) for failure in saved.failures] if saved else []
        first = start_batch(setup)
        batch = saved.batch if saved else first
        simulation = ReplicaSimulation(
            setup, paths, first, batch, failures, reporters, progress, stop
        )
    else:
        batch = saved.batch if saved else _batch_of_one(setup, start)
        progress.threads = setup.config.threads or 1
        loop = build_replicas(setup, threads=1)
        simulation = Simulation(setup, paths, batch, loop, reporters, progress, stop)
    if saved and saved.step < setup.config.steps:
        log(f"Going on from step {saved.step} of {setup.config.steps}.")
    elif saved:
        log(f"Already at step {saved.step}; the input asks for {setup.config.steps}.")
    return simulation, saved is not None


def _batch_of_one(setup: RunSetup, start: State | None) -> Batch:
    assert start is not None
    return Batch.of([start], [setup.stream.replica])


def _is_other_cell(setup: RunSetup, cells: Array) -> bool:
    """Return True if a run of `setup` cannot reach one of `cells`, shape (n, 3, 3)."""
    start = setup.system.cell
    if not setup.integrator.changes_cell:
        return bool((cells != start).any())
    return any(periodic(cell) != periodic(start) for cell in cells)


def _topology(setup: RunSetup) -> str:
    """Text of topology.pdb, a function of the input."""
    system = setup.system
    bonds = topology.bonds(system.numbers, system.positions, system.cell)
    return render_pdb(system.numbers, system.positions, bonds, system.cell)


def _restore_topology(path: Path, text: str, log: Log) -> None:
    """Write the topology of a run that goes on again, if it is not what it was."""
    try:
        found = files.read_bytes(path, len(text) + 1)
    except InputError:
        found = b""
    if found != text.encode():
        files.write_text(path, text)
        log(f"{path} was {'damaged' if found else 'missing'} and has been written again.")


def _saved(setup: RunSetup, paths: RunPaths, log: Log) -> checkpoint.Checkpoint | None:
    """The last good checkpoint, which must be of this input; None if it is not, but at step 0.

    A start that failed in its first steps holds nothing that its input would not give again, and
    must not stand in the way of the corrected input.
    """
    saved, note = checkpoint.read_latest(paths.checkpoint)
    if note:
        log(note)
    try:
        _check_same_run(setup, saved, paths)
    except MismatchError as error:
        # A damaged checkpoint behind that of step 0 (`note`) may be of a long run.
        if saved.step > 0 or note:
            raise
        start_state(setup)  # one that cannot be used is refused before anything is removed
        log(f"{error.message} It has saved no step, and this input takes its place.")
        _write_unbegun_record(setup, paths)
        return None
    try:
        _check_contents(setup, saved, paths)
    except CorruptError as error:
        saved = _older(setup, paths, error, log)
    if saved.versions != setup.versions:
        changed = changed_keys(saved.versions, setup.versions)
        log(f"Other versions than before ({', '.join(changed)}): bits may differ from here on.")
    return saved


def _older(
    setup: RunSetup, paths: RunPaths, error: CorruptError, log: Log
) -> checkpoint.Checkpoint:
    """Return the checkpoint before one that contradicts the input, or raise `error`."""
    try:
        saved = checkpoint.read(paths.previous)
        _check_same_run(setup, saved, paths)
        _check_contents(setup, saved, paths)
    except QmdError:
        raise error from None
    log(f"{error.message} Going on from {paths.previous} at step {saved.step}.")
    return saved


def _check_same_run(setup: RunSetup, saved: checkpoint.Checkpoint, paths: RunPaths) -> None:
    config = json.loads(setup.loaded.text)
    changed = changed_keys(saved.config, config, ignoring=MAY_CHANGE_ON_RESUME)
    if saved.model_sha256 != setup.potential.sha256:
        changed.append(f"potential {setup.potential.name}: another one than before")
    if not changed and saved.input_sha256 != setup.identity:
        changed.append(f"structure {setup.system.name}: other atoms or start than before")
    if saved.bath_variables != list(setup.integrator.bath_variables):
        changed.append("integrator: other variables of its own than before")
    if changed:
        raise MismatchError(
            f"{paths.directory} holds a run of another input: {'; '.join(changed)}.",
            "Restore the input, choose another folder with --output, or begin again with "
            "--overwrite.",
        )


LARGEST = 1e15
"""Largest number in a state (internal units); sums of squares of such numbers are finite."""


def _check_contents(setup: RunSetup, saved: checkpoint.Checkpoint, paths: RunPaths) -> None:
    """Raise CorruptError where a checkpoint of this input has what this input cannot give."""
    n, first = setup.config.replicas, setup.config.replica
    n_atoms, found = len(setup.system.numbers), saved.batch.positions.shape[1]
    running = saved.batch.replicas.tolist()
    failed = [replica for _, replica, _ in saved.failures]
    n_steps = saved.config.get("steps")
    faults = {
        f"it has {found} atoms, the input {n_atoms}": found != n_atoms,
        "its replicas are not those of the input": (
            sorted([*running, *failed]) != list(range(first, first + n))
            or running != sorted(running)
        ),
        "its seed is not that of the input": (
            (saved.seed, saved.replica) != (setup.stream.seed, setup.stream.replica)
        ),
        f"it is at step {saved.step} of {n_steps}": (
            type(n_steps) is not int or saved.step > n_steps
        ),
        f"it has numbers beyond {LARGEST:g}": any(
            not np.abs(values).max(initial=0.0) <= LARGEST
            for values in saved.batch.as_arrays().values()
        ),
        "its cell is not one that this input reaches": _is_other_cell(setup, saved.batch.cells),
        "a replica failed at a later step": any(step > saved.step for step, _, _ in saved.failures),
        "it says nothing of an output": not saved.outputs.keys() >= OUTPUTS.keys(),
        "it says nothing of log.csv": "bytes" not in saved.outputs.get("log", {}),
    }
    for fault, is_there in faults.items():
        if is_there:
            raise CorruptError(f"{paths.checkpoint} is damaged: {fault}.", RESTORE)


def _clear_unbegun(setup: RunSetup, paths: RunPaths) -> None:
    """Files without a checkpoint: remove our own from a start that was cut off, refuse others."""
    present = [path for path in written_files(paths) if path.exists()]
    if not present:
        return
    if not _is_unbegun(setup, paths):
        raise OutputError(
            f"{paths.directory} already holds {present[0].name}, but no checkpoint to go on from.",
            "Move the files away, choose another folder with --output, or use --overwrite.",
        )
    _remove(paths)


def _is_unbegun(setup: RunSetup, paths: RunPaths) -> bool:
    return _record_says(setup, paths, begun=False)


def _is_begun(setup: RunSetup, paths: RunPaths) -> bool:
    return _record_says(setup, paths, begun=True)


def _record_says(setup: RunSetup, paths: RunPaths, *, begun: bool) -> bool:
    try:
        record = files.read_json(paths.record)
        return bool(record["begun"] is begun and record["input_sha256"] == setup.identity)
    except (OSError, CorruptError, KeyError, TypeError):
        return False


def _write_unbegun_record(setup: RunSetup, paths: RunPaths) -> None:
    _write_json(paths.record, {"begun": False, "input_sha256": setup.identity})


def _write_record(finished: RunSession) -> None:
    """run.json: the input as it was understood, and what it ran on.

    Written behind the first checkpoint, so that `begun` tells whether there was one.
    """
    setup, progress = finished.setup, finished.progress
    steps, reference = progress.steps_done, setup.potential.reference_energy_eV
    _write_json(
        finished.paths.record,
        {
            "begun": True,
            "input_sha256": setup.identity,
            "input": json.loads(setup.loaded.text),
            "potential": {
                "name": setup.potential.name,
                "sha256": setup.potential.sha256,
                "citation": setup.potential.citation,
                "reference_energy_eV": None if math.isnan(reference) else reference,
                **({"warning": warning} if (warning := setup.potential.warning) else {}),
            },
            "species": list(setup.system.symbols),
            "charge": setup.system.charge,
            "multiplicity": setup.system.multiplicity,
            "masses_u": setup.system.masses.tolist(),
            **({"cell_A": setup.system.cell.tolist()} if setup.system.is_periodic else {}),
            "degrees_of_freedom": setup.dof,
            "temperature_about_centre": setup.thermometer.about_centre,
            "drift_A_per_ps": round(setup.thermometer.drift * units.ps, 9),
            "integrator": _described(setup.integrator),
            "versions": setup.versions,
            "machine": machine(),
            "last_session": {
                "steps": steps,
                "last_step": progress.first_step + steps,
                "start_s": round(finished.start_s, 3),
                "wall_s": round(progress.seconds, 3),
                "force_and_integration_s": round(progress.in_kernel_s, 3),
                "steps_outside_training_range": progress.warned_steps,
                "threads": progress.threads,
            },
        },
    )


def _described(integrator: AbstractIntegrator) -> dict[str, Any]:
    """List the properties of the integrator, in the units of the key names."""
    kT, damping = integrator.target_kT, integrator.damping
    return {
        "conserves_energy": integrator.conserves_energy,
        "reaches_all_momenta": integrator.reaches_all_momenta,
        "is_random": integrator.is_random,
        "target_temperature_K": None if kT is None else float(f"{kT / units.kB:.12g}"),
        "damping_per_ps": None if damping is None else float(f"{damping * units.ps:.12g}"),
        "bath_variables": list(integrator.bath_variables),
    }


def _write_json(path: Path, content: dict[str, Any]) -> None:
    files.write_text(path, json.dumps(content, indent=2, sort_keys=True) + "\n")
