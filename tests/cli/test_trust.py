"""Data is not code: no command imports or calls what a file names, unless it is trusted."""

import copy
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import typer.main
from foreign_code import write_module
from fuzz_targets import BAROSTAT, BOX, INTEGRATORS, TARGETS, documents

from qmd.cli.app import app
from qmd.cli.inputs import kinds, validate
from qmd.config.load import load
from qmd.config.schema import json_schema
from qmd.config.trust import (
    IN_PROCESS,
    require_calculator,
    require_name,
    trusting,
    user_file,
)
from qmd.errors import MismatchError, QmdError
from qmd.jobs.config import DaskConfig, SlurmConfig
from qmd.jobs.open import open_executor
from qmd.run.config import RunConfig
from qmd.run.setup import set_up

FOREIGN = {"kind": "ase", "calculator": "foreign_calm.Calm"}
RUN = {
    "system": {"structure": "pair.xyz", "temperature_K": 20},
    "potential": FOREIGN,
    "integrator": {"kind": "velocity_verlet", "timestep_fs": 1},
    "output": {"trajectory_every": 1, "log_every": 1},
    "steps": 20,
}
IN_CELL = RUN | {"system": {"structure": BOX, "temperature_K": 20}}
BENCHMARK = {
    "title": "calm",
    "potentials": {"calm": FOREIGN},
    "measures": [{"kind": "errors", "dataset": "labels.npz"}],
}


class Bench(NamedTuple):
    """A folder with inputs of every kind that name foreign code, and its mark."""

    folder: Path
    mark: Path

    def qmd(self, *words: str) -> int:
        """Run a command in the folder, and return its exit code."""
        with pytest.raises(SystemExit) as end:
            app([*words])
        return int(end.value.code or 0)


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    mark = tmp_path / "imported"
    code = tmp_path / "code"
    code.mkdir()
    write_module(code, "foreign_calm", mark)
    monkeypatch.syspath_prepend(code)
    monkeypatch.delitem(sys.modules, "foreign_calm", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "fsync", lambda fd: None)
    positions = np.array([[0.0, 0, 0], [3.8, 0, 0]])
    (tmp_path / "pair.xyz").write_text("2\n\nAr 0 0 0\nAr 3.8 0 0\n")
    np.savez(
        tmp_path / "labels.npz", Z=[18, 18], R=[positions] * 2, E=[0.0, 1.0],
        F=np.zeros((2, 2, 3)),
    )  # fmt: skip
    for name, document in {
        "run": RUN,
        "sum": RUN | {"potential": {"kind": "sum", "terms": [FOREIGN, FOREIGN]}},
        "committee": RUN | {"potential": {"kind": "committee", "members": [FOREIGN, FOREIGN]}},
        "label": {"structures": "labels.npz", "method": FOREIGN},
        "many": {"input": "run.yaml", "vary": [{"seed": [1, 2]}], "executor": {"kind": "serial"}},
        "benchmark": BENCHMARK,
        "cell": IN_CELL,
        **{f"{i['kind']}": RUN | {"integrator": i} for i in INTEGRATORS},
        "cell_rescaling": IN_CELL | {"integrator": BAROSTAT},
    }.items():
        (tmp_path / f"{name}.yaml").write_text(json.dumps(document))
    return Bench(tmp_path, mark)


COMMANDS = {
    "run": ["run", "run.yaml"],
    "run, sum": ["run", "sum.yaml"],
    "run, committee": ["run", "committee.yaml"],
    "reference": ["reference", "run.yaml"],
    "run, in a cell": ["run", "cell.yaml"],
    **{f"run, {i['kind']}": ["run", f"{i['kind']}.yaml"] for i in [*INTEGRATORS, BAROSTAT]},
    "relax": ["relax", "run.yaml"],
    "relax, in a cell": ["relax", "cell.yaml", "--cell"],
    "modes, in a cell": ["modes", "cell.yaml"],
    "modes": ["modes", "run.yaml"],
    "validate, run": ["validate", "run.yaml"],
    "validate, label": ["validate", "label.yaml"],
    "validate, ensemble": ["validate", "many.yaml"],
    "validate, benchmark": ["validate", "benchmark.yaml"],
    "label": ["label", "label.yaml", "--output", "new.npz"],
    "ensemble": ["ensemble", "many.yaml"],
    "benchmark": ["benchmark", "benchmark.yaml"],
}


@pytest.mark.parametrize("words", COMMANDS.values(), ids=COMMANDS.keys())
def test_no_command_imports_what_an_input_names(bench, words, capsys):
    assert bench.qmd(*words) != 0
    assert not bench.mark.exists()
    said = capsys.readouterr()
    assert "foreign_calm.Calm is foreign code" in said.err + said.out
    assert "Traceback" not in said.err


TRUSTED = ["run", "validate, ensemble", "label", "ensemble", "benchmark"]


@pytest.mark.parametrize("name", TRUSTED)
def test_with_trust_the_same_command_does(bench, name):
    assert bench.qmd(*COMMANDS[name], "--trust") == 0
    assert bench.mark.exists()


def test_a_result_folder_names_no_code_either(bench, monkeypatch, capsys):
    for folder in ("ours", "theirs"):
        assert bench.qmd("run", "run.yaml", "--output", folder, "--quiet", "--trust") == 0
    bench.mark.unlink()
    monkeypatch.delitem(sys.modules, "foreign_calm")
    for words in (["compare", "ours", "theirs", "--points", "2"], ["analyze", "ours"]):
        bench.qmd(*words)
        assert not bench.mark.exists(), words
    assert "Traceback" not in capsys.readouterr().err
    assert bench.qmd("compare", "ours", "theirs", "--points", "2", "--trust") == 0
    assert bench.mark.exists()


def test_every_command_that_reads_inputs_or_runs_is_walked_here():
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    asks = {name for name, c in commands.items() if any(p.name == "trust" for p in c.params)}
    walked = {words[0] for words in COMMANDS.values()} | {"compare", "analyze"}
    assert asks == walked | {"train", "tune"}  # their executors may name a cluster
    # The others read no input, and no potential but packages and those that are installed.
    others = {"circuit", "convert", "driver", "schema", "init", "potential"}
    assert set(commands) - asks == others


def names(document: Any) -> Iterator[tuple[Any, Any]]:
    """Yield containers and keys of all texts in a document that are no names of kinds."""
    for key, value in document.items() if isinstance(document, dict) else enumerate(document):
        if isinstance(value, dict | list):
            yield from names(value)
        elif isinstance(value, str) and key != "kind":
            yield document, key


def kinds_of(tree: Any) -> set[str]:
    """Return the names of all kinds in a document, or in a JSON Schema of one."""
    inner = tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ()
    found = set().union(*map(kinds_of, inner))
    kind = tree.get("kind") if isinstance(tree, dict) else None
    return found | {kind.get("const") if isinstance(kind, dict) else kind} - {None}


def test_no_text_of_any_kind_of_input_is_imported(bench):
    """Every text of inputs of every kind names foreign code in turn, and nothing imports it."""
    known = set().union(*(kinds_of(json_schema(kinds.schema_class(k))) for k in kinds.INPUTS))
    assert known <= kinds_of([document for _, document in documents()])
    folder, tried = bench.folder / "walk", set()
    folder.mkdir()
    TARGETS["inputs"].prepare(folder)
    for kind, whole in documents():
        for number, _ in enumerate(names(whole)):
            document = copy.deepcopy(whole)
            place, key = list(names(document))[number]
            place[key] = "foreign_calm.Calm"
            text = json.dumps(document)
            if text not in tried:
                tried.add(text)
                (folder / "case.yaml").write_text(text)
                with suppress(QmdError):
                    validate.verdict(folder / "case.yaml", kind, [])
                assert not bench.mark.exists(), text
    assert len(tried) > 100
    with trusting():  # the same walk with trust finds the calculators
        validate.verdict(bench.folder / "run.yaml", "reference", [])
    assert bench.mark.exists()


def test_a_line_of_the_users_configuration_is_trust(bench, monkeypatch):
    user_file().parent.mkdir(parents=True)
    user_file().write_text("# mine\nforeign_calm.Calm  # wrote it myself\n")
    assert bench.qmd("run", "run.yaml", "--quiet") == 0
    user_file().write_text("foreign_calm.Other\n")
    with pytest.raises(MismatchError, match="foreign_calm.Calm is foreign code"):
        require_calculator("foreign_calm.Calm", ())
    user_file().write_text("foreign_calm.Calm\n" + "#" * 65_536)
    with pytest.raises(MismatchError, match="larger than 65536 bytes"):
        require_calculator("foreign_calm.Calm", ())


def test_calculators_in_process_are_used_and_their_arguments_checked(bench):
    lj = {"kind": "ase", "calculator": "ase.calculators.lj.LennardJones"}
    document = RUN | {"potential": lj | {"arguments": {"epsilon": 0.01, "sigma": 3.4}}}
    (bench.folder / "lj.yaml").write_text(json.dumps(document))
    assert bench.qmd("run", "lj.yaml", "--quiet") == 0
    for name in ("restart", "command", "directory", "label"):
        document["potential"] = lj | {"arguments": {name: "x"}}
        (bench.folder / "lj.yaml").write_text(json.dumps(document))
        with pytest.raises(MismatchError, match=f"argument {name} of calculator ase.calculators"):
            set_up(load(bench.folder / "lj.yaml", RunConfig))


@pytest.mark.parametrize("name", sorted(IN_PROCESS))
def test_a_calculator_that_needs_no_trust_has_the_arguments_of_the_list(name):
    require_calculator(name, IN_PROCESS[name])
    module, _, kind = name.rpartition(".")
    found = getattr(pytest.importorskip(module), kind)
    known = {*getattr(found, "default_parameters", {}), *_parameters(found.__init__)}
    assert IN_PROCESS[name] <= known


def _parameters(function: Callable[..., Any]) -> tuple[str, ...]:
    return function.__code__.co_varnames[: function.__code__.co_argcount
                                         + function.__code__.co_kwonlyargcount]  # fmt: skip


@pytest.mark.parametrize("name", ["./mine.nw", "sto-3g", "a\nb", "..\\x"])
@pytest.mark.parametrize("kind", ["dft", "fci"])
def test_a_basis_is_a_name_and_no_file(bench, kind, name):
    (bench.folder / "sto-3g").write_text("a file in place of the basis of this name")
    document = RUN | {"potential": {"kind": kind, "basis": name}}
    (bench.folder / "basis.yaml").write_text(json.dumps(document))
    with pytest.raises(MismatchError, match=r"potential\.basis .* is a file, and expected is a na"):
        set_up(load(bench.folder / "basis.yaml", RunConfig))


def test_a_functional_is_a_name_and_a_folder_of_that_name_does_no_harm(bench):
    require_name("potential.functional", "pbe")
    (bench.folder / "pbe").mkdir()
    require_name("potential.functional", "pbe")  # PySCF reads files only
    with pytest.raises(MismatchError, match=r"potential\.functional .* is a file"):
        require_name("potential.functional", "./pbe")


SLURM = {"kind": "slurm", "interface": "lo", "jobs": 1, "memory_GB": 1, "wall_time_h": 1}


@pytest.mark.parametrize(
    ("config", "key"),
    [
        (DaskConfig(kind="dask", scheduler="tcp://192.0.2.1:8786"), "scheduler"),
        (SlurmConfig(**SLURM, prologue=["touch mark"]), "prologue"),
        (SlurmConfig(**SLURM, directives=["--wrap=x"]), "directives"),
    ],
)
def test_a_cluster_and_its_shell_code_need_trust(config, key):
    with (
        pytest.raises(MismatchError, match=rf"executor\.{key} lets a cluster act for you"),
        open_executor(config),
    ):
        pass


def test_trust_ends_with_its_block_and_reaches_other_processes(bench):
    document = {"structures": "labels.npz", "method": FOREIGN, "workers": 2}
    (bench.folder / "label.yaml").write_text(json.dumps(document))
    assert bench.qmd("label", "label.yaml", "--output", "new.npz", "--trust") == 0
    with trusting():
        with trusting(False):
            require_calculator("os.system", ())
    with pytest.raises(MismatchError, match=r"os\.system is foreign code"):
        require_calculator("os.system", ())


def test_python_m_qmd_takes_no_code_from_the_current_folder(bench):
    write_module(bench.folder, "typer", bench.mark)
    ended = subprocess.run(
        [sys.executable, "-m", "qmd", "--version"], cwd=bench.folder, capture_output=True, text=True
    )
    assert ended.returncode == 0 and ended.stdout.startswith("qmd "), ended.stderr
    assert not bench.mark.exists()
