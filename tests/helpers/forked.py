"""`qmd` in forked children of a process that has everything loaded.

A run that is killed, signalled or starved then costs 0.1 s, not the 1 s of importing everything;
and the process of the tests itself, which may hold the threads of JAX, is not forked.
"""

import importlib
import itertools
import json
import mmap
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self

import file_operations

ROOT = Path(__file__).parents[2]


class Ended(NamedTuple):
    """How a child ended."""

    code: int
    """Exit code, or minus the signal that killed it."""
    output: str
    """What it wrote to stdout and stderr."""
    seconds: float
    """From the last disturbance to the end."""
    operations: int = 0
    """Number of operations on files, if they were counted."""


class Lab:
    """Context manager that runs `qmd` command lines in forked children.

    Parameters
    ----------
    modules : str
        Names of modules that the process loads before it forks; none may start a thread.
    """

    def __init__(self, *modules: str) -> None:
        self._modules = modules

    def __enter__(self) -> Self:
        path = os.pathsep.join([str(ROOT), str(ROOT / "tests" / "helpers")])
        self._server = subprocess.Popen(
            [
                sys.executable,
                "-c",
                "import forked, sys; forked.serve(sys.argv[1:])",
                *self._modules,
            ],
            env=os.environ | {"PYTHONPATH": path},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        return self

    def __exit__(self, *error: object) -> None:
        self._server.communicate()  # the end of its input ends it

    def qmd(
        self,
        *arguments: str | Path,
        disturb: tuple[int | Path, ...] = (),
        after_s: float = 0.0,
        on_file: Path | None = None,
        fault: str | None = None,
        max_bytes: int | None = None,
        more_memory: int | None = None,
        fsync: bool = False,
        checkpoint_s: float = 0.0,
        stop_after: int | None = None,
        counted: Path | None = None,
        die_at: int | None = None,
    ) -> Ended:
        """Run one command line to its end.

        Parameters
        ----------
        arguments : str or Path
            Of the command line.
        disturb, after_s, on_file
            Signals to send and files to make, one every 10 ms, `after_s` seconds after the start,
            or after the file `on_file` has appeared.
        fault : str, optional
            `QMD_FAULT`.
        max_bytes : int, optional
            Largest size of a file: the disk is full from there on.
        more_memory : int, optional
            Bytes of address space that are left to the process.
        fsync : bool
            Whether to wait for the disk; what is written survives the process without.
        checkpoint_s : float
            Time that a checkpoint keeps from the one before.
        stop_after : int, optional
            Ask the run to stop after so many steps, exactly.
        counted : Path, optional
            Folder: the operations on its files are counted, see `file_operations.count`.
        die_at : int, optional
            End, as by SIGKILL, at this operation; a write is then cut off in the middle.
        """
        order = {
            "arguments": [str(argument) for argument in arguments],
            "disturb": [str(d) if isinstance(d, Path) else int(d) for d in disturb],
            "after_s": after_s,
            "on_file": on_file and str(on_file),
            "fault": fault,
            "max_bytes": max_bytes,
            "more_memory": more_memory,
            "fsync": fsync,
            "checkpoint_s": checkpoint_s,
            "stop_after": stop_after,
            "counted": counted and str(counted),
            "die_at": die_at,
        }
        assert self._server.stdin and self._server.stdout
        self._server.stdin.write(json.dumps(order) + "\n")
        self._server.stdin.flush()
        return Ended(**json.loads(self._server.stdout.readline()))


RESULTS = ("trajectory.nc", "log.csv", "checkpoint", "topology.pdb", "final.extxyz")
METHODS = {
    "nve": "{kind: velocity_verlet, timestep_fs: 0.5}",
    "langevin": "{kind: langevin_baoab, timestep_fs: 0.5, temperature_K: 300, friction_per_ps: 9}",
}


class Case:
    """An input, the folder it writes to, and what an uninterrupted run of it gives."""

    def __init__(self, folder: Path, lab: Lab, method: str, potential: str = "sivqlm-h2o") -> None:
        self.input, self.output = folder / "input.yaml", folder / "output"
        self._lab, self._potential = lab, potential
        self._settings: tuple[str, ...] = ()
        self._expected: dict[str, bytes] = {}
        (folder / "water.xyz").write_text("3\n\nO 0 0 0\nH 0.766 0.5985 0\nH -0.766 0.5985 0\n")
        self.write(method)

    def write(self, method: str) -> None:
        """Write the input; reports and checkpoints fall on and off each other's grid."""
        self.input.write_text(
            "system: {structure: water.xyz, temperature_K: 300}\n"
            f"potential: {self._potential}\n"
            f"integrator: {METHODS[method]}\n"
            "steps: 31\n"
            "seed: 5\n"
            "output: {trajectory_every: 7, log_every: 3, checkpoint_every: 10}\n"
        )

    def expect(self, *settings: str) -> None:
        """From now on run with these settings, and expect what they give without a break."""
        self._settings = tuple(word for setting in settings for word in ("--set", setting))
        with tempfile.TemporaryDirectory() as folder:
            ended = self.run("--output", folder, checkpoint_s=1.0)
            assert ended.code == 0, ended.output
            self._expected = _results(Path(folder))

    def run(self, *arguments: str | Path, **circumstances: Any) -> Ended:
        """`qmd run`; the keywords are those of `Lab.qmd`."""
        return self._lab.qmd("run", self.input, *self._settings, *arguments, **circumstances)

    def assert_completes(self) -> Ended:
        """The next run ends with the bytes of the uninterrupted one."""
        ended = self.run()
        assert ended.code == 0, ended.output
        self.assert_complete()
        return ended

    def assert_complete(self) -> None:
        """The results are those of the uninterrupted run."""
        assert _results(self.output) == self._expected


def _results(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in RESULTS}


def everything(folder: Path) -> dict[str, bytes]:
    """Content of each file in a folder."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def kill_and_compare(folder: Path, lab: Lab, n_kills: int, seed: int, fsync: bool) -> None:
    """Kill runs at random moments, `n_kills` times in all; their results must not show it."""
    moments, killed = random.Random(seed), 0
    for method in itertools.cycle(METHODS):
        case = Case(folder, lab, method)
        case.expect("steps=6011")
        done = False
        while not done:
            ended = case.run(
                disturb=(signal.SIGKILL,) if killed < n_kills else (),
                after_s=moments.uniform(0.0, 0.15),
                checkpoint_s=0.01,
                fsync=fsync,
            )
            done = ended.code != -signal.SIGKILL
            killed += not done
        assert ended.code == 0, ended.output
        case.assert_complete()
        if killed == n_kills:
            return
        shutil.rmtree(case.output)


def serve(modules: Sequence[str] = ()) -> None:
    """Obey the orders on stdin, one a line, and answer each with a line on stdout."""
    for module in ("ase.io", *modules):
        importlib.import_module(module)
    from qmd.cli.app import app

    with tempfile.TemporaryDirectory() as folder:  # loads the compiled code
        path = Path(folder, "input.yaml")
        path.write_text(subprocess.check_output([sys.executable, "-m", "qmd", "init"], text=True))
        app(["run", str(path), "--set", "steps=10", "--quiet"], standalone_mode=False)
    for line in sys.stdin:
        print(json.dumps(_obey(json.loads(line))), flush=True)


def _obey(order: dict[str, Any]) -> dict[str, Any]:
    reading, writing = os.pipe()
    operations = mmap.mmap(-1, 8)  # shared with the child
    child = os.fork()
    if child == 0:
        os.close(reading)
        if order["counted"]:
            file_operations.count(order["counted"], operations, order["die_at"])
        _become(order, writing)
    os.close(writing)
    if order["disturb"]:
        _wait(order)
    for disturbance in order["disturb"]:
        if isinstance(disturbance, str):
            Path(disturbance).touch()
        else:
            os.kill(child, disturbance)  # a zombie at worst: it has not been waited for
        time.sleep(0.01)
    disturbed = time.monotonic()
    with open(reading, encoding="utf-8") as pipe:
        output = pipe.read()
    _, status = os.waitpid(child, 0)
    seconds = time.monotonic() - disturbed
    return {
        "code": os.waitstatus_to_exitcode(status),
        "output": output,
        "seconds": seconds,
        "operations": int.from_bytes(operations[:8], "little"),
    }


def _wait(order: dict[str, Any]) -> None:
    end = time.monotonic() + 20
    while order["on_file"] and not os.path.exists(order["on_file"]) and time.monotonic() < end:
        time.sleep(0.001)
    time.sleep(order["after_s"])


def _become(order: dict[str, Any], output: int) -> None:
    """Be the program until the process ends."""
    code: Any = 1
    try:
        os.dup2(output, 1)
        os.dup2(output, 2)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        from qmd.cli.app import app
        from qmd.jobs import stop
        from qmd.run import simulation

        simulation.CHECKPOINT_S = order["checkpoint_s"]
        if order["stop_after"] is not None:
            simulation.BLOCK_S = 0.0  # blocks of one step
            patience = iter([None] * order["stop_after"])
            setattr(stop.StopRequest, "reason", lambda self, seconds: next(patience, "the test"))  # noqa: B010
        if order["fault"]:
            os.environ["QMD_FAULT"] = order["fault"]
        if not (order["fsync"] or order["counted"]):
            os.fsync = lambda fd: None
        if order["max_bytes"] is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (order["max_bytes"], resource.RLIM_INFINITY))
        if order["more_memory"] is not None:
            pages = int(Path("/proc/self/statm").read_text().split()[0])
            limit = pages * resource.getpagesize() + order["more_memory"]
            resource.setrlimit(resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))
        stop.end_with_run()
        app(order["arguments"])
    except SystemExit as end:
        code = end.code
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code or 0)
