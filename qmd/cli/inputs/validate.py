"""Command `qmd validate`: inputs of every kind, checked without running or writing."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from qmd.cli.common import Debug, Set, Trust, errors_in_one_line
from qmd.cli.inputs.kinds import INPUTS, kind_of

VALIDATE_EXAMPLES = (
    "Examples: `qmd init > input.yaml` and `qmd validate input.yaml`; `qmd validate input.yaml "
    "--set steps=100`; `qmd validate *.yaml`. Exit codes: 0 valid, also if data or a package that "
    "it names is not on this machine, which its line says; otherwise that of the first error."
)


def validate(
    inputs: Annotated[list[Path], typer.Argument(help="Input files (YAML).", show_default=False)],
    kind: Annotated[
        str | None,
        typer.Option(
            help=f"One of {', '.join(INPUTS)}; default: recognised by its keys.", show_default=False
        ),
    ] = None,
    set: Set = None,
    trust: Trust = False,
    debug: Debug = False,
) -> None:
    """Check inputs of any kind, and the data and potentials they name; run and write nothing."""
    with errors_in_one_line(debug, trust):
        from qmd.cli import console
        from qmd.cli.startup import no_pydantic_plugins
        from qmd.errors import InputError, QmdError

        no_pydantic_plugins()
        if kind not in (None, *INPUTS):
            raise InputError(f"--kind {kind}: expected one of {', '.join(INPUTS)}")
        if len(inputs) == 1:
            print(verdict(inputs[0], kind, set or ()))
            return
        codes = []
        for path in inputs:
            try:
                print(verdict(path, kind, set or ()))
            except QmdError as error:
                named = str(path) in error.message
                console.error(error.message if named else f"{path}: {error.message}", error.hint)
                codes.append(error.exit_code)
        if codes:
            raise typer.Exit(codes[0])


def verdict(path: Path, kind: str | None = None, overrides: Sequence[str] = ()) -> str:
    """Check an input and return one line about it.

    Raises
    ------
    QmdError
        In one line, if the input cannot be used.
    """
    from qmd.errors import AbsentDataError, NotInstalledError

    kind = kind or kind_of(path)
    try:
        return f"{path}: valid {kind} input. {CHECKS[kind](path, overrides)}"
    except (AbsentDataError, NotInstalledError) as error:
        return f"{path}: valid keys of a {kind} input. Not checked further: {error.message}."


def _listed(symbols: Sequence[str], between: str = ", ", limit: int = 12) -> str:
    """Return the symbols of the atoms, of many atoms the first and their number."""
    if len(symbols) <= limit:
        return between.join(symbols)
    return f"{between.join(symbols[:3])}{between}... {len(symbols)} atoms"


def _run(path: Path, overrides: Sequence[str]) -> str:
    from qmd.run.config import load_config
    from qmd.run.setup import set_up
    from qmd.run.start import start_state

    setup = set_up(load_config(path, overrides))
    state, n = start_state(setup), setup.config.replicas
    many = f"{n} replicas of " if n > 1 else ""
    about = " about the drifting centre of mass" if setup.thermometer.drift else ""
    return (
        f"{many}{setup.system.name} ({_listed(setup.system.symbols)}) on "
        f"{setup.potential.name}, {setup.config.steps} steps of "
        f"{setup.config.integrator.timestep_fs:g} fs, {setup.dof} degrees of freedom{about}, "
        f"start at {state.energy:.4f} eV.{_warned(setup)}"
    )


def _warned(setup: Any) -> str:
    """Return what a run says of atoms that its potential was not trained on."""
    warning = setup.potential.warning
    return f" Warning: {warning}." if warning else ""


def _reference(path: Path, overrides: Sequence[str]) -> str:
    """Check without the start: one energy may take a minute."""
    from qmd.cli.reference import check_is_reference
    from qmd.run.config import load_config
    from qmd.run.setup import set_up

    loaded = load_config(path, overrides)
    check_is_reference(loaded.config.potential)
    setup = set_up(loaded)
    return (
        f"{setup.system.name} ({_listed(setup.system.symbols)}) on {setup.potential.name}, "
        f"{setup.config.steps} steps of {setup.config.integrator.timestep_fs:g} fs."
    )


def _train(path: Path, overrides: Sequence[str]) -> str:
    from qmd.config.load import load
    from qmd.train.config import TrainConfig

    loaded = load(path, TrainConfig, overrides)
    from qmd.commands.progress import note
    from qmd.train.session import prepare

    for line in loaded.notes:
        note(line)

    return f"{prepare(loaded).summary()}."


def _tune(path: Path, overrides: Sequence[str]) -> str:
    from qmd.config.load import load
    from qmd.tune.config import TuneConfig
    from qmd.tune.session import prepare

    return f"{prepare(load(path, TuneConfig, overrides)).summary()}."


def _label(path: Path, overrides: Sequence[str]) -> str:
    from qmd.config.load import load
    from qmd.label.config import LabelConfig
    from qmd.label.session import prepare

    job = prepare(load(path, LabelConfig, overrides))
    return (
        f"{len(job.geometries.positions)} geometries of {_listed(job.atoms.split(), ' ')} by "
        f"{job.level_of_theory}."
    )


def _ensemble(path: Path, overrides: Sequence[str]) -> str:
    """Check the keys of every run, and one run of each system and potential completely."""
    from qmd.config.load import load
    from qmd.ensemble.config import EnsembleConfig
    from qmd.ensemble.session import prepare
    from qmd.run.config import load_config
    from qmd.run.setup import set_up

    job = prepare(load(path, EnsembleConfig, overrides))
    seen: set[str] = set()
    for member in job.members:
        run = load_config(job.base, member.overrides)
        what = run.config.model_dump_json(include=_DECIDES)
        if what not in seen:
            seen.add(what)
            set_up(run)
    return f"{len(job.members)} runs of {job.base.name}, {job.steps} steps in all."


_DECIDES: Any = {"system": {"structure"}, "potential": True, "noise": True, "replicas": True}
"""Keys of a run that determine if its structure and its potential fit together."""


def _benchmark(path: Path, overrides: Sequence[str]) -> str:
    from qmd.benchmark.check import check
    from qmd.benchmark.config import BenchmarkConfig
    from qmd.benchmark.session import prepare
    from qmd.config.load import load

    job = prepare(load(path, BenchmarkConfig, overrides))
    config, missing = job.loaded.config, check(job)
    text = f"{len(config.potentials)} potentials in {len(config.measures)} measures."
    return text + (f" Not checked: {'; '.join(missing)}." if missing else "")


CHECKS: dict[str, Callable[[Path, Sequence[str]], str]] = {
    "run": _run,
    "reference": _reference,
    "train": _train,
    "tune": _tune,
    "label": _label,
    "ensemble": _ensemble,
    "benchmark": _benchmark,
}
