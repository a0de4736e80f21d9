"""The command line: every bad input ends in one line and a documented exit code."""

import os
import pty
import re
import select
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from command_line import INPUT, WATER, Answer, assert_one_line

from qmd.cli.common import SYNONYMS
from qmd.run import session

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "potentials" / "shipped" / "sivqlm-h2o.qmdp"


def replaced(old: str, new: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        assert INPUT.count(old) == 1
        (folder / "input.yaml").write_text(INPUT.replace(old, new))

    return change


def structure(text: str) -> Callable[[Path], object]:
    return lambda folder: (folder / "water.xyz").write_text(text)


def package(damage: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        (folder / "model.qmdp").write_bytes(damage(SHIPPED.read_bytes()))
        replaced("sivqlm-h2o", "model.qmdp")(folder)

    return change


BAD: dict[str, tuple[Callable[[Path], object], int, tuple[str, ...]]] = {
    "unknown key": (
        replaced("timestep_fs", "timestp_fs"),
        2,
        ("input.yaml:7", "'timestp_fs'", "Did you mean 'timestep_fs'?"),
    ),
    "negative time step": (
        replaced("timestep_fs: 0.5", "timestep_fs: -1"),
        2,
        ("input.yaml:7", "integrator.timestep_fs", "> 0", "-1"),
    ),
    "duplicate key": (
        replaced("steps: 20", "steps: 20\nsteps: 30"),
        2,
        ("input.yaml:9", "steps"),
    ),
    "text for a number": (
        replaced("steps: 20", "steps: many"),
        2,
        ("input.yaml:8", "steps", "a whole number", "'many'"),
    ),
    "missing key": (replaced("steps: 20\n", ""), 2, ("steps is missing",)),
    "no YAML": (replaced("system:", "system: ]"), 2, ("input.yaml:1",)),
    "missing input": (lambda folder: (folder / "input.yaml").unlink(), 2, ("does not exist",)),
    "input is a folder": (
        lambda folder: ((folder / "input.yaml").unlink(), (folder / "input.yaml").mkdir()),
        2,
        ("is a directory",),
    ),
    "missing structure": (
        lambda folder: (folder / "water.xyz").unlink(),
        2,
        ("'water.xyz'", "neither a built-in name nor a file"),
    ),
    "other species": (structure(WATER.replace("O", "S")), 3, ("O,H,H", "S,H,H")),
    "other order": (
        structure("3\n\nH 0.766 0.5985 0\nO 0 0 0\nH -0.766 0.5985 0\n"),
        3,
        ("sivqlm-h2o is for O,H,H; water.xyz has H,O,H", "reorder its atoms as 2,1,3"),
    ),
    "other number of atoms": (structure("1\n\nO 0 0 0\n"), 3, ("O,H,H",)),
    "overlapping atoms": (
        structure("3\n\nO 0 0 0\nH 0.766 0.5985 0\nH 0.766 0.5985 0\n"),
        2,
        ("water.xyz", "overlapping atoms: H 2 and H 3"),
    ),
    "start outside the domain": (
        structure(WATER.replace("-0.766 0.5985", "-1.4 1.1")),
        3,
        ("atoms 1 and 3 are 1.780 angstrom apart", "trained for"),
    ),
    "missing potential": (
        replaced("sivqlm-h2o", "sivqlm-h20"),
        3,
        ("'sivqlm-h20'", "sivqlm-h2o"),
    ),
    "empty input": (lambda folder: (folder / "input.yaml").write_text(""), 2, ("is empty", "init")),
    "input of comments": (
        lambda folder: (folder / "input.yaml").write_text("# steps: 20\n"),
        2,
        ("input.yaml: the file has no keys", "`key: value`", "init"),
    ),
    "empty structure": (structure(""), 2, ("water.xyz", "is empty")),
    "truncated package": (package(lambda data: data[:-100]), 3, ("model.qmdp",)),
    "empty package": (package(lambda data: b""), 3, ("model.qmdp",)),
    "package of another kind": (package(lambda data: b"GIF89a"), 3, ("model.qmdp",)),
    "package with other numbers": (
        package(lambda data: rezipped(data, "parameters.safetensors")),
        3,
        ("SHA-256", "parameters.safetensors"),
    ),
    "another package than asked for": (
        replaced("sivqlm-h2o", '{kind: package, name: sivqlm-h2o, sha256: "' + 64 * "0" + '"}'),
        3,
        ("SHA-256", 64 * "0"),
    ),
    "output is a file": (lambda folder: (folder / "output").touch(), 5, ("output", "exists")),
}


def rezipped(data: bytes, member: str) -> bytes:
    """The same archive with one bit of a member flipped, and checksums of the zip that fit."""
    import io
    import zipfile

    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(buffer, "w") as new:
        for name in old.namelist():
            content = bytearray(old.read(name))
            if name == member:
                content[-1] ^= 1
            new.writestr(name, bytes(content))
    return buffer.getvalue()


@pytest.mark.parametrize("case", BAD)
def test_a_bad_input_is_one_line_and_leaves_nothing_behind(
    qmd: Callable[..., Answer], tmp_path: Path, case: str
) -> None:
    change, code, words = BAD[case]
    change(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    assert_one_line(qmd("run", "input.yaml"), code, *words)
    if "output" not in case:
        assert_one_line(qmd("validate", "input.yaml"), code, *words)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("steps=-1", ("--set: steps",)),
        ("step=5", ("--set", "Did you mean 'steps'?")),
        ("steps", ("expected key=value",)),
        (
            "integrator={kind: velocity_verlet, timestep_fs: 1}",
            ("--set: integrator:", "is a YAML mapping", "--set integrator.KEY=VALUE"),
        ),
        ("potential={kind: sum}", ("is a YAML mapping", "--set potential.KEY=VALUE")),
        ("system.structure=[a, b]", ("is a YAML list", "write the list in the input file")),
        ("integrator.friction_per_ps=1", ("--set", "'friction_per_ps'", "of this kind")),
    ],
)
def test_a_bad_setting_is_one_line(
    qmd: Callable[..., Answer], setting: str, words: tuple[str, ...]
) -> None:
    assert_one_line(qmd("run", "input.yaml", "--set", setting), 2, *words)
    assert not Path("output").exists()


def test_numbers_may_be_written_with_exponents(qmd: Callable[..., Answer]) -> None:
    answer = qmd(
        "validate", "input.yaml", "--set", "steps=1e3", "--set", "integrator.timestep_fs=1e-3"
    )
    assert answer.code == 0 and "1000 steps of 0.001 fs" in answer.out
    assert not Path("output").exists()  # validating writes nothing


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder_is_one_line(qmd: Callable[..., Answer], tmp_path: Path) -> None:
    tmp_path.chmod(0o555)
    assert_one_line(qmd("run", "input.yaml"), 5, "Permission denied")
    tmp_path.chmod(0o755)


def test_a_run_that_was_changed_is_one_line(qmd: Callable[..., Answer]) -> None:
    assert qmd("run", "input.yaml", "--quiet") == (0, "", "")
    answer = qmd("run", "input.yaml", "--set", "seed=2")
    assert_one_line(answer, 3, "seed: 1 -> 2", "--overwrite")


def test_debug_adds_the_traceback_and_keeps_the_exit_code(qmd: Callable[..., Answer]) -> None:
    answer = qmd("run", "nowhere.yaml", "--debug")
    assert answer.code == 2 and "Traceback" in answer.err
    assert answer.err.splitlines()[-1] == "qmd: 'nowhere.yaml' does not exist"


def test_an_interrupt_before_the_first_step_is_resumable(
    qmd: Callable[..., Answer], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*arguments: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(session, "set_up", interrupted)
    assert_one_line(qmd("run", "input.yaml"), 75, "Interrupted", "again")


# Commands


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        *((word, f"qmd {command}") for word, command in SYNONYMS.items()
          if command not in ("info", "list")),
        ("strat", "qmd run"), ("runn", "qmd run"), ("MD", "qmd run"), ("validat", "qmd validate"),
        ("potential lst", "qmd potential list"), ("potential show", "qmd potential info"),
    ],
)  # fmt: skip
def test_a_wrong_command_is_answered_with_the_right_one(
    qmd: Callable[..., Answer], typed: str, meant: str
) -> None:
    answer = qmd(*typed.split(), *(["input.yaml"] if " " not in typed else []))
    assert_one_line(answer, 2, f"'qmd {typed}'. Did you mean '{meant}'?")


def test_a_command_like_no_other_is_answered_with_the_list(qmd: Callable[..., Answer]) -> None:
    answer = qmd("xyzzy")
    assert_one_line(answer, 2, "no command 'qmd xyzzy'", "init", "run", "validate")
    assert "Did you mean" not in answer.err


COMMANDS = (
    "",
    "run",
    "validate",
    "schema",
    "init",
    "potential",
    "potential list",
    "potential info",
    "potential check",
    "potential evaluate",
    "potential draw",
    "potential resources",
    "potential export",
    "potential bound",
    "circuit",
    "circuit analyze",
    "train",
    "analyze",
    "compare",
    "convert",
    "relax",
    "modes",
    "benchmark",
    "ensemble",
    "tune",
    "label",
    "reference",
    "driver",
    "ensemble",
)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_help_has_an_example_to_copy(qmd: Callable[..., Answer], command: str) -> None:
    answer = qmd(*command.split(), "--help")
    text = " ".join(answer.out.split())
    assert answer.code == 0 and re.search(rf"`qmd {command}", text), answer.out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("run", ("Missing argument", "input", "usage: qmd run [OPTIONS]", "`qmd run --help`")),
        ("run input.yaml --stpes 5", ("No such option: --stpes",)),
        ("--stpes", ("No such option: --stpes", "`qmd --help`")),
        ("run input.yaml more", ("unexpected extra argument", "more")),
        ("run input.yaml --set", ("--set", "requires an argument")),
        ("convert a b --every 0", ("--every", "1")),
        ("potential check sivqlm-h2o --geometries x", ("--geometries", "integer")),
        ("potential export sivqlm-h2o", ("Missing option", "--to", "openmm-jax")),
    ],
)
def test_wrong_options_and_arguments_are_one_line(
    qmd: Callable[..., Answer], arguments: str, words: tuple[str, ...]
) -> None:
    assert_one_line(qmd(*arguments.split()), 2, *words)
    assert not Path("output").exists()


@pytest.mark.parametrize("group", [(), ("potential",), ("circuit",)])
def test_a_group_alone_is_answered_with_its_help(
    qmd: Callable[..., Answer], group: tuple[str, ...]
) -> None:
    answer = qmd(*group)
    assert answer.code == 2 and "Commands:" in answer.out + answer.err


def test_help_lists_first_what_a_first_user_needs(qmd: Callable[..., Answer]) -> None:
    listed = re.findall(r"^  (\w+) +[A-Z]", qmd("--help").out.split("Commands:")[1], re.M)
    assert listed[:4] == ["init", "validate", "run", "analyze"]


def test_the_folder_of_an_input_is_answered_with_its_file(qmd: Callable[..., Answer]) -> None:
    answer = qmd("run", str(Path.cwd()))
    assert_one_line(answer, 2, "is a directory; expected a file", f"give {Path.cwd()}/input.yaml")


def test_no_command_is_missing_here(qmd: Callable[..., Answer]) -> None:
    listed = re.findall(r"^  (\w+) +[A-Z]", qmd("--help").out.split("Commands:")[1], re.M)
    assert set(listed) <= {command.split()[0] for command in COMMANDS if command}


def test_the_template_is_valid_and_runs(qmd: Callable[..., Answer], tmp_path: Path) -> None:
    (tmp_path / "input.yaml").write_text(qmd("init").out)
    assert qmd("validate", "input.yaml").code == 0
    answer = qmd("run", "input.yaml", "--set", "steps=10")
    assert answer.code == 0 and "10 steps" in answer.out and answer.err == ""


def test_potentials_are_listed_and_described(qmd: Callable[..., Answer]) -> None:
    assert "sivqlm-h2o" in qmd("potential", "list").out
    card = qmd("potential", "info", "sivqlm-h2o").out
    assert all(word in card for word in ("O, H, H", "qubits", "eV", "sha256"))
    assert_one_line(qmd("potential", "info", "nothing"), 3, "'nothing'", "sivqlm-h2o")


def test_a_list_of_potentials_compiles_nothing(tmp_path: Path) -> None:
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "qmd", "potential", "list"]
    shown = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert "qnn-water" in shown.stdout and not list(tmp_path.rglob("*.nbi"))


# Terminals and pipes


def start(arguments: list[str], **streams: Any) -> subprocess.Popen[bytes]:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "TERM": "xterm", "COLUMNS": "80"}
    return subprocess.Popen([sys.executable, "-m", "qmd", *arguments], env=environment, **streams)


def test_a_terminal_shows_the_progress_of_a_run(qmd: Callable[..., Answer]) -> None:
    shown = watch_terminal(["run", "input.yaml", "--set", "steps=1e12"], until=r"dE \S+ meV")
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown)
    assert re.search(r"[\d,]+ steps/s  [\d,.]+ ns/day  \d+ K  dE [+-]\d+\.\d+ meV", text), text
    assert "qmd: Stopped by SIGINT" in text
    assert shown.count("\x1b[?25l") <= shown.count("\x1b[?25h")  # the cursor is back


def watch_terminal(arguments: list[str], until: str) -> str:
    """What a pseudo-terminal shows of a run that Ctrl-C ends when `until` has appeared."""
    master, slave = pty.openpty()
    process = start(arguments, stdin=slave, stdout=slave, stderr=slave, start_new_session=True)
    os.close(slave)
    shown, interrupted, end = "", False, time.monotonic() + 30
    while time.monotonic() < end:
        if not select.select([master], [], [], 0.1)[0]:
            continue
        try:
            data = os.read(master, 65536)
        except OSError:  # EIO: the other side is closed
            break
        shown += data.decode()
        if not interrupted and re.search(until, shown):
            process.send_signal(2)
            interrupted = True
    process.kill()
    assert process.wait() == 75, shown
    os.close(master)
    return shown


def test_a_pipe_shows_the_summary_only(qmd: Callable[..., Answer], tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    settings = ["--set", "steps=1e12", "--set", "wall_time_h=0.0012"]  # stops after half, 2.2 s
    with open(log, "wb") as file:
        code = start(["run", "input.yaml", *settings], stdout=file, stderr=file).wait()
    text = log.read_text()
    assert code == 75 and text.startswith("qmd: Stopped by wall time") and "\x1b" not in text


def test_a_reader_that_leaves_early_is_no_error(tmp_path: Path) -> None:
    with start(["schema"], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0


def test_a_width_of_vectors_that_kernels_do_not_have_is_refused_in_one_line(qmd, monkeypatch):
    monkeypatch.setenv("QMD_VECTOR_WIDTH", "16")
    answer = qmd("run", "input.yaml")
    assert answer.code == 2
    assert "QMD_VECTOR_WIDTH must be 4 or 8, but is '16'" in answer.err
