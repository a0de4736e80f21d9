"""The documentation is true: generated pages are current, commands and examples run as written.

Run as a script, this file plays one page: ``python tests/repository/test_docs.py PAGE``. Blocks
with a title become files, `diff` blocks change files, `bash` and `python` blocks run in their
order, a `text` block is what the `python` block above it prints, `console` blocks do not run.
"""

import contextlib
import inspect
import io
import json
import os
import re
import runpy
import shlex
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from qmd.run.config import load_config

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]


class Block(NamedTuple):
    language: str
    title: str
    text: str


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page."""
    return blocks_of(page.read_text())


def blocks_of(text: str) -> list[Block]:
    """The fenced blocks of a text."""
    fence = r'^```(\w+)(?: title="([^"]+)")?\n(.*?)^```$'
    return [Block(*found) for found in re.findall(fence, text, re.M | re.S)]


def prose(page: Path) -> str:
    """A page without its fenced blocks."""
    return re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.M | re.S)


def commands(page: Path) -> set[str]:
    """Every `qmd` command on a page, in a block or in a sentence."""
    found = re.findall(r"`(qmd [^`]+)`", prose(page))
    for block in blocks(page):
        if block.language in ("bash", "console"):
            found += re.findall(r"^(?:\$ )?(?:.*\| xargs .* |srun )?(qmd .+)$", block.text, re.M)
    return {command.split(" > ")[0] for command in found}


# --- playing a page, in a process of its own ------------------------------------------------------


def play(page: Path) -> None:
    """Do what the page says, in the present folder."""
    namespace: dict[str, Any] = {"__name__": "__main__"}
    printed, before = "", ""
    for block in blocks(page):
        print(f"--- {block.language} {block.title}\n{block.text}", flush=True)
        if block.language == "diff":
            change(Path(block.title), block.text)
        elif block.title:
            Path(block.title).parent.mkdir(parents=True, exist_ok=True)
            Path(block.title).write_text(block.text)
        elif block.language == "bash":
            for line in block.text.splitlines():
                type_in(line)
        elif block.language == "python":
            with contextlib.redirect_stdout(io.StringIO()) as stream:
                exec(compile(block.text, page.name, "exec"), namespace)
            printed = stream.getvalue()
            print(printed)
        elif block.language == "text" and before == "python":
            assert_ends_as_shown(printed, block.text.splitlines())
        before = block.language


def change(file: Path, lines: str) -> None:
    """Apply a diff of one place, whose old lines are in the file once."""
    old, new = (
        "".join(f"{line[1:]}\n" for line in lines.splitlines() if line[:1] in f" {mark}")
        for mark in "-+"
    )
    text = file.read_text()
    assert text.count(old) == 1, f"{file} does not have once:\n{old}"
    file.write_text(text.replace(old, new))


NUMBER = r"(?<![\w.(-])[-+]?\d+(?:\.\d+)?(?:e[-+]\d+)?(?![\w(])"


def assert_ends_as_shown(output: str, lines: list[str]) -> None:
    """Each line of a page is one of the output: ``...`` is anything, numbers may be close."""
    for shown in lines:
        parts = re.split(f"({NUMBER})|(\\.\\.\\.)", " ".join(shown.split()))
        texts = (re.escape(part) for part in parts[::3])
        gaps = [".*?" if dots else f"({NUMBER})" for dots in parts[2::3]]
        pattern = "".join(text + gap for text, gap in zip(texts, [*gaps, ""], strict=True))
        found = [re.fullmatch(pattern, " ".join(line.split())) for line in output.splitlines()]
        numbers = [number for number in parts[1::3] if number]
        assert any(f and are_close(f.groups(), numbers, shown) for f in found), (shown, output)


def are_close(found: Sequence[str], shown: Sequence[str], line: str) -> bool:
    """Whole numbers are the same, others within 10 %; but ``a +- b`` is one sample of many.

    On another processor, which rounds otherwise, a thermostatted trajectory is another sample: its
    mean is within four standard errors of a difference, and its error within a factor of three.
    """
    errors = re.findall(rf"({NUMBER}) \+- ({NUMBER})", " ".join(line.split()))
    limits = {a: 4 * 2**0.5 * float(b) for a, b in errors} | {b: 2 * float(b) for _, b in errors}
    for got, expected in zip(found, shown, strict=True):
        whole = expected.lstrip("+-").isdecimal()
        limit = limits.get(expected, 0 if whole else 0.1 * abs(float(expected)))
        if not abs(float(got) - float(expected)) <= limit:
            return False
    return True


def type_in(line: str) -> str:
    """One line in a terminal; `qmd` in this process, since starting one takes a second."""
    if line.startswith("cd "):
        os.chdir(line.removeprefix("cd "))
        return ""
    if not line.startswith("qmd "):
        subprocess.run(["bash", "-c", line], check=True)
        return ""
    from typer.testing import CliRunner

    from qmd.cli.app import app

    command, _, target = line.partition(" > ")
    result = CliRunner().invoke(app, shlex.split(command)[1:], catch_exceptions=False)
    print(result.output)
    assert result.exit_code == 0, f"{line}: exit code {result.exit_code}"
    if target:
        Path(target).write_text(result.stdout)
    return str(result.output)


@pytest.fixture
def player(tmp_path: Path, pytestconfig: pytest.Config) -> Any:
    """Plays a page in `tmp_path` with a reader's settings; warnings to readers are errors."""
    program = tmp_path / "bin" / "qmd"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m qmd "$@"\n')
    program.chmod(0o755)
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("JAX_")}  # of conftest.py
    environment = inherited | {
        "PATH": f"{program.parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "MPLBACKEND": "agg",
        "XDG_CACHE_HOME": str(pytestconfig.cache.mkdir("xdg")),  # where JAX keeps programs
    }

    def run(page: str) -> None:
        result = subprocess.run(
            [sys.executable, "-W", "error::UserWarning", "-W", "error::RuntimeWarning",
             __file__, str(DOCS / page)],
            cwd=tmp_path, env=environment, capture_output=True, text=True,
        )  # fmt: skip
        assert result.returncode == 0, result.stdout + result.stderr

    return run


def test_the_tutorial_runs_as_written(player: Any, tmp_path: Path) -> None:
    player("tutorial.md")
    record = json.loads((tmp_path / "water" / "output" / "run.json").read_text())
    page = (DOCS / "reference" / "outputs.md").read_text()
    assert [key for key in (*record, *record["last_session"]) if f"`{key}`" not in page] == []


# --- first examples -------------------------------------------------------------------------------


def first_examples() -> list[Block]:
    """Blocks of the last section of the tutorial."""
    return blocks_of((DOCS / "tutorial.md").read_text().partition("## A first example of every")[2])


SLOW = "potential check", "train", "tune", "benchmark", "compare", "ensemble", "circuit"
"""Commands that take ten seconds and more, where nothing else runs."""


def typed(block: Block) -> list[tuple[str, list[str]]]:
    """Commands of a `console` block, each with the lines below it."""
    found = re.findall(r"^\$ (.+)\n((?:(?!\$ ).*\n)*)", block.text, re.M)
    return [(command, shown.splitlines()) for command, shown in found]


@pytest.mark.parametrize("slow", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_first_examples_end_as_the_tutorial_says(
    slow: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ("labels-h2o", "labels-lih", "train-lih", "tune-lih", "reference/h2o"):
        ignored = shutil.ignore_patterns("output*")
        shutil.copytree(ROOT / "runs" / folder, tmp_path / "runs" / folder, ignore=ignored)
    done = 0
    for block in first_examples():
        if block.title:
            Path(block.title).write_text(block.text)
        for command, shown in typed(block) if block.language == "console" else ():
            if command.startswith(tuple(f"qmd {name} " for name in SLOW)) == slow or ">" in command:
                assert_ends_as_shown(type_in(command), shown)
                done += 1
    assert done >= 3


NEEDS_MORE = {
    "driver": "i-PI is a program of its own; tests/cli/test_driver.py serves it",
    "label": "the first example is DFT, by the extra `reference`",
    "reference": "the first example is DFT, by the extra `reference`",
}


def helps() -> dict[str, str]:
    """What `--help` of each command says at its end."""
    import typer

    from qmd.cli.app import app

    def walk(command: Any, name: str) -> Iterator[tuple[str, str]]:
        yield name, command.epilog or ""
        for key, child in getattr(command, "commands", {}).items():
            yield from walk(child, f"{name} {key}".strip())

    return dict(walk(typer.main.get_command(app), ""))


def first_example(epilog: str) -> list[str]:
    """Commands before the first semicolon or full stop outside of backticks."""
    text = re.sub(r"`[^`]*`", lambda found: found[0].replace(". ", ".").replace(";", ","), epilog)
    return re.findall(r"`(qmd [^`]+)`", re.split(r"[;.](?: |$)", text)[0])


@pytest.mark.parametrize("command", [name for name in helps() if name and name != "potential"])
def test_the_tutorial_has_the_first_example_of_every_help(command: str) -> None:
    shown = [line for block in first_examples() for line, _ in typed(block)]
    assert any(line.startswith(f"qmd {command}") for line in shown) or command == "driver"
    if command not in NEEDS_MORE:
        example = first_example(helps()[command])
        own = next(n for n, line in enumerate(example) if line.startswith(f"qmd {command}"))
        places = [shown.index(line) for line in example[: own + 1]]
        assert places == sorted(places)


@pytest.mark.parametrize("command", ["label", "reference"])
def test_first_examples_with_dft_end_well(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("pyscf", reason="needs the extra reference")
    monkeypatch.chdir(tmp_path)
    shutil.copytree(ROOT / "runs" / "labels-h2o", tmp_path / "runs" / "labels-h2o")
    for line in first_example(helps()[command]):
        output = type_in(line)
    assert "results in " in output or "2 frames by " in output


def test_the_recipes_run_as_written(player: Any, tmp_path: Path) -> None:
    from run_files import make_run

    from qmd.cli.inputs.kinds import template
    from qmd.run import session

    # What the page takes for granted: an input, its finished run, and a run of two molecules.
    (tmp_path / "input.yaml").write_text(template("run"))
    session.run(load_config(tmp_path / "input.yaml", ["steps=20000"]))
    make_run(tmp_path / "dimer")
    player("howto.md")
    assert (tmp_path / "trajectory.extxyz").stat().st_size > 0


@pytest.mark.slow  # a minute and a half
def test_a_potential_is_trained_as_written(player: Any, tmp_path: Path) -> None:
    # What the page takes for granted: the labels and the input of LiH in a checkout.
    for file in ("labels-lih/lih.npz", "train-lih/train.yaml"):
        copy = tmp_path / "runs" / file
        copy.parent.mkdir(parents=True)
        shutil.copy(ROOT / "runs" / file, copy)
    player("train.md")
    page = (DOCS / "reference" / "outputs.md").read_text()
    output = tmp_path / "output"
    files = {path.name for path in output.iterdir()} - {"my-lih.qmdp"} | {"NAME.qmdp"}
    assert [name for name in files if not re.search(rf"`{name}/?`", page)] == []
    columns = (output / "log.csv").read_text().splitlines()[0].split(",")
    assert [name for name in columns if f"`{name}`" not in page] == []
    final = json.loads((tmp_path / "output-nve" / "run.json").read_text())
    assert final["potential"]["name"] == "my-lih"


def test_the_functions_are_called_as_written(player: Any, tmp_path: Path) -> None:
    player("python.md")
    assert (tmp_path / "water" / "report.html").is_file()


def test_a_run_is_analysed_as_written(player: Any, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "runs" / "water-nve", tmp_path / "runs" / "water-nve")
    player("analyze.md")
    assert json.loads((tmp_path / "water.json").read_text())["frames"] == 4001


# --- pages ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "models.md",
        "reference/input.md",
        "reference/train.md",
        "reference/tune.md",
        "reference/label.md",
        "reference/ensemble.md",
        "reference/benchmark.md",
        "reference/python.md",
    ],
)
def test_generated_pages_are_what_the_script_writes(name: str) -> None:
    script = runpy.run_path(str(DOCS / "reference.py"))
    assert (DOCS / name).read_text() == script["PAGES"][name](), "run `python docs/reference.py`"


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_every_command_exists_with_its_options(page: Path) -> None:
    from typer.testing import CliRunner

    from qmd.cli.app import app

    for command in commands(page):
        result = CliRunner().invoke(app, [*shlex.split(command)[1:], "--help"])
        assert result.exit_code == 0, f"{command}: {result.output}"


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_links_resolve(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if re.match(r"https?:|mailto:", target):
            continue
        name, _, anchor = target.partition("#")
        file = page.parent / name if name else page
        assert file.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.+)$", prose(file), re.M)
            assert anchor in {re.sub(r"[^\w -]", "", h).lower().replace(" ", "-") for h in headings}


def test_pages_are_ascii() -> None:
    assert [name for name in NAMES if not (ROOT / name).read_bytes().isascii()] == []


def test_the_outputs_page_names_every_file_column_and_variable() -> None:
    from qmd.io import trajectory
    from qmd.io.run_folder import RunPaths
    from qmd.run.reporters import CELL_COLUMNS, LOG_COLUMNS, PRESSURE_COLUMN, SPREAD_COLUMN

    page = (DOCS / "reference" / "outputs.md").read_text()
    files = [path.name for path in RunPaths(Path()).written()]
    variables = inspect.getattr_static(trajectory, "_variables")(of_replicas=True, in_cell=True)
    columns = *LOG_COLUMNS, SPREAD_COLUMN, *CELL_COLUMNS, PRESSURE_COLUMN
    assert [name for name in (*files, *columns, *variables) if f"`{name}`" not in page] == []
    for name, variable in variables.items():
        unit = variable.attributes.get("units")
        assert unit is None or re.search(rf"^\| `{name}` .*\| {unit} \|", page, re.M), name


def test_the_exit_codes_page_lists_every_code() -> None:
    from qmd.errors import QmdError

    page = (DOCS / "reference" / "exit-codes.md").read_text()
    codes = {error.exit_code for error in QmdError.__subclasses__()} | {0}
    assert {int(code) for code in re.findall(r"^\| (\d+) \|", page, re.M)} == codes


def test_the_package_page_names_every_key() -> None:
    from qmd.potentials import (
        Committee,
        ManyBody,
        MorseBonds,
        OnAtoms,
        Scaled,
        ShortRangeWall,
        SphericalWall,
        Sum,
        TruncatedLennardJones,
        atom_centred,
        ewald_charges,
        families,
        find,
        perceptron,
        polynomial,
        spc_fw,
        vqlm,
        water_pair,
    )
    from qmd.potentials.allegro.allegro import Allegro, AllegroQdi
    from qmd.potentials.package.json_form import model_to_json
    from qmd.potentials.qdi.circuit import QDI
    from qmd.potentials.tree.walk import named_parameters

    page = (DOCS / "reference" / "package.md").read_text()
    with zipfile.ZipFile(find("sivqlm-h2o")) as archive:
        card = json.loads(archive.read("model.json"))
        members = archive.namelist()
    wall = ShortRangeWall(((0, 3),), (2.0,), 100.0)
    classical = Scaled(Committee((spc_fw.SPC_FW.model(2), MorseBonds(6, ((0, 1),), 5, 2, 1))), 0.5)
    waters = ewald_charges([-0.8, 0.4, 0.4] * 2, [0, 0, 0, 1, 1, 1], 9.0)
    in_cell = Sum((TruncatedLennardJones(6, 0.01, 3.4, 8.0), waters))
    pair = Sum(
        (water_pair.interaction(seed=0), wall, SphericalWall(6, 9.0, 1.0), classical, in_cell)
    )
    bare = polynomial.molecule(("O", "H", "H"), 1, np.eye(3)[None])
    water, x = ("O", "H", "H"), np.eye(3)
    networks = (
        atom_centred.revised(water, seed=0),
        atom_centred.initial(water, 0, x, n_qubits=2),
        perceptron.centred(water, 0, n_vectors=1, n_scalars=1, n_hidden=2),
    )
    # The page lists the keys and the arrays of Allegro with a circuit: those of the other and more.
    empty: Any = None
    sizes = (0, 1, 1), 3.6, 6.0, 3.0, 1, True, 1, 6, 3, (6,), (), (6,)
    networks += tuple(
        bare_network.with_random_parameters(0, n_kinds=2, n_radial=4, scale=0.3, offset=0.4)
        for bare_network in (
            Allegro(*sizes, 1, (), empty),
            AllegroQdi(*sizes, 3, (5,), empty, QDI(2, 3)),
        )
    )
    model = ManyBody(OnAtoms(Sum((vqlm.water(), bare, *networks)), (0, 1, 2)), pair)
    found = set(words(model_to_json(model)))
    branches = {"on_atoms", "switched", "scaled", "sum", "committee", "many_body", "atom_centred"}
    tables = branches | {family.kind for family in families.FAMILIES}
    assert tables <= found, "the model above must have one of each kind"
    found |= {*members, *card, *words(card["model"])}
    found |= {name.rpartition(".")[2] for name in named_parameters(model)}
    assert [name for name in found if not re.search(rf"`([a-z]+\.)?{name}`", page)] == []


def words(data: Any) -> Iterator[str]:
    """Keys of plain JSON values, and what they say under `kind` and `gate`."""
    if isinstance(data, dict):
        for key, value in data.items():
            yield key
            if key in ("kind", "gate"):
                yield value
            yield from words(value)
    elif isinstance(data, list):
        for value in data:
            yield from words(value)


def test_the_citation_is_of_this_version() -> None:
    from ruamel.yaml import YAML

    import qmd

    citation = YAML(typ="safe").load(ROOT / "CITATION.cff")
    assert (citation["version"], citation["license"]) == (qmd.__version__, "Apache-2.0")


def test_the_site_builds_without_warnings_and_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    pytest.importorskip("material", reason="needs the extra `docs`")
    result = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", tmp_path],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert result.returncode == 0, result.stdout + result.stderr
    loading = re.compile(r"<(?:script|link|img|iframe)\b[^>]*(?:src|href)=\"?(\S+)")
    for page in tmp_path.rglob("*.html"):
        loaded = loading.findall(page.read_text())
        assert [url for url in loaded if re.match(r"(https?:)?//", url)] == [], page.name


if __name__ == "__main__":
    play(Path(sys.argv[1]))
