"""Tasks end alike wherever they run, and whoever is killed while they do."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import chores
import psutil
import pytest

from qmd.config.load import load
from qmd.errors import InputError, MismatchError, OutputError
from qmd.jobs.config import (
    DaskConfig,
    ExecutorConfig,
    ProcessesConfig,
    SerialConfig,
    SlurmConfig,
    executor_or_workers,
)
from qmd.jobs.executor import AbstractExecutor, in_order
from qmd.jobs.open import job_script, open_executor
from qmd.label.config import LabelConfig
from qmd.train.config import TrainConfig

SERIAL = SerialConfig(kind="serial")
PROCESSES = ProcessesConfig(kind="processes", workers=2)
DASK = DaskConfig(kind="dask", workers=2)
ROOT = Path(__file__).parents[2]
ENVIRONMENT = os.environ | {"PYTHONPATH": f"{ROOT / 'tests' / 'helpers'}{os.pathsep}{ROOT}"}
"""Of programs that import `chores`."""


@contextlib.contextmanager
def executor(config: ExecutorConfig, said: list[str] | None = None) -> Iterator[AbstractExecutor]:
    """An executor whose workers can import `chores`, and are gone afterwards."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", ENVIRONMENT["PYTHONPATH"])
        with open_executor(config, said.append if said is not None else print) as one:
            yield one
    assert not workers(), "a worker was left behind"


def workers() -> list[psutil.Process]:
    """Our processes but Python's own resource tracker, which ends with us."""
    found = psutil.Process().children(recursive=True)
    gone, alive = psutil.wait_procs([p for p in found if "resource_tracker" not in line(p)], 5)
    return alive


def line(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return "resource_tracker"  # has ended meanwhile


def listening() -> set[str]:
    """Addresses on which this process and its children take connections."""
    found = set()
    for process in [psutil.Process(), *psutil.Process().children(recursive=True)]:
        with contextlib.suppress(psutil.NoSuchProcess):
            connections = process.net_connections("inet")
            found |= {c.laddr.ip for c in connections if c.status == psutil.CONN_LISTEN}
    return found


def wait_for(condition, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def kill_who_counts(path: Path, at: int) -> threading.Thread:
    """Kill the worker that writes `path`, once, after it has come to line `at`."""

    def kill() -> None:
        wait_for(lambda: path.exists() and len(path.read_text().splitlines()) > at)
        os.kill(int(path.with_suffix(".pid").read_text()), signal.SIGKILL)

    thread = threading.Thread(target=kill)
    thread.start()
    return thread


def check_all(one: AbstractExecutor) -> None:
    """Results, news and errors, the same everywhere."""
    heard: list[tuple] = []
    results = one.run_tasks(chores.cube, range(5), on_message=heard.append)
    assert list(in_order(results)) == [0, 1, 8, 27, 64]
    assert sorted(heard) == [(k, "done") for k in range(5)]
    found = sorted(one.run_tasks(chores.even, range(3)), key=lambda answer: answer.number)
    assert [answer.result for answer in found] == [0, None, 2]
    assert isinstance(found[1].error, ValueError) and str(found[1].error) == "1 is odd"


def check_death(one: AbstractExecutor, folder: Path) -> None:
    """A worker killed in the middle of a task costs no more than what it had not saved."""
    tasks = [(str(folder / f"{k}.txt"), 40) for k in range(3)]
    killer = kill_who_counts(folder / "1.txt", at=10)
    assert list(in_order(one.run_tasks(chores.count, tasks))) == [40, 40, 40]
    killer.join()
    for path, n in tasks:
        assert Path(path).read_text() == "".join(f"{k}\n" for k in range(n))


def check_stop(one: AbstractExecutor, folder: Path) -> None:
    """Tasks at work are told and awaited, the others not begun; later they go on."""
    tasks = [(str(folder / f"stop-{k}.txt"), 300) for k in range(4)]
    begun = folder / "stop-0.txt"
    results = list(one.run_tasks(chores.count, tasks, stopping=begun.exists))
    assert 1 <= len(results) <= 2 and all(answer.result < 300 for answer in results)
    assert not (folder / "stop-3.txt").exists()
    for answer in results:
        assert len(Path(tasks[answer.number][0]).read_text().splitlines()) == answer.result


def test_here(tmp_path):
    with executor(SERIAL) as one:
        check_all(one)
        assert list(one.run_tasks(chores.cube, range(3), stopping=lambda: True)) == []


def test_in_processes(tmp_path):
    said: list[str] = []
    with executor(PROCESSES, said) as one:
        check_death(one, tmp_path)
        assert said == ["A worker ended with code -9; its task begins again."]
        assert not listening()


@pytest.mark.slow
def test_in_processes_more(tmp_path):
    with executor(PROCESSES) as one:
        check_all(one)
        check_stop(one, tmp_path)
        (answer,) = one.run_tasks(chores.needs_two, [3])
        assert isinstance(answer.error, RuntimeError) and str(answer.error) == "NeedsTwo: 3 and 3"
        with pytest.raises(OutputError, match="ended 3 workers, the last with code -9"):
            list(one.run_tasks(chores.kill_worker, [0]))


@pytest.mark.slow
def test_on_dask_of_this_machine(tmp_path):
    with executor(DASK) as one:
        check_death(one, tmp_path)
        check_all(one)
        assert listening() == {"127.0.0.1"}


@pytest.mark.slow
def test_on_dask_more(tmp_path):
    with executor(DASK) as one:
        check_stop(one, tmp_path)
        with pytest.raises(OutputError, match="ended its workers again and again"):
            list(one.run_tasks(chores.kill_worker, [0]))


@pytest.mark.slow
@pytest.mark.parametrize("config", [PROCESSES, DASK], ids=lambda config: config.kind)
def test_a_worker_has_one_core_and_those_of_its_parent(config, monkeypatch):
    for name in chores.PINNED:
        monkeypatch.delenv(name, raising=False)
    with executor(config) as one:
        (answer,) = one.run_tasks(chores.environment, [0])
    variables, cores = answer.result
    assert variables.pop("XLA_FLAGS") == "--xla_cpu_multi_thread_eigen=false"
    assert set(variables.values()) == {"1"}
    assert cores == len(os.sched_getaffinity(0))
    assert not {"OMP_NUM_THREADS", "XLA_FLAGS"} & os.environ.keys()  # ours are as they were


PARENT = """
import sys, chores
from qmd.jobs.config import {config}
from qmd.jobs.open import open_executor
if __name__ == "__main__":
    with open_executor({config}({arguments})) as one:
        list(one.run_tasks(chores.count, [(path, 10_000) for path in sys.argv[1:]]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("config", [PROCESSES, DASK], ids=lambda config: config.kind)
def test_workers_end_with_a_parent_that_is_killed(config, tmp_path):
    keys = f"kind={config.kind!r}, workers=2"
    program = tmp_path / "parent.py"
    program.write_text(PARENT.format(config=type(config).__name__, arguments=keys))
    parent = subprocess.Popen(
        [sys.executable, program, tmp_path / "0.txt", tmp_path / "1.txt"],
        env=ENVIRONMENT,
    )
    pids = [tmp_path / "0.pid", tmp_path / "1.pid"]
    wait_for(lambda: all(path.exists() and path.read_text() for path in pids))
    children = psutil.Process(parent.pid).children(recursive=True)
    assert {int(path.read_text()) for path in pids} <= {child.pid for child in children}
    parent.kill()
    parent.wait()
    assert psutil.wait_procs(children, timeout=30)[1] == []


# --- a scheduler that somebody else started


@pytest.fixture
def scheduler(tmp_path) -> Iterator[str]:
    """Address of a scheduler on loopback."""
    file = tmp_path / "scheduler.json"
    process = subprocess.Popen(
        [sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port",
         "0", "--no-dashboard", "--dashboard-address", "127.0.0.1:0", "--scheduler-file", file],
        env=ENVIRONMENT, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    wait_for(lambda: file.exists() and file.read_text().endswith("}"))
    yield json.loads(file.read_text())["address"]
    process.terminate()
    process.wait()


@contextlib.contextmanager
def worker(scheduler: str, folder: Path, *options: str) -> Iterator[None]:
    process = subprocess.Popen(
        [sys.executable, "-m", "distributed.cli.dask_worker", scheduler, "--host", "127.0.0.1",
         "--no-dashboard", "--local-directory", folder, *options],
        env=ENVIRONMENT,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield
    finally:
        process.terminate()
        process.wait()


@pytest.mark.usefixtures("trusting")
@pytest.mark.slow
def test_a_scheduler_that_runs_is_used_and_a_task_nobody_waits_for_ends(scheduler, tmp_path):
    config = DaskConfig(kind="dask", scheduler=scheduler)
    with worker(scheduler, tmp_path, "--nthreads", "1"):
        with open_executor(config) as one:
            check_all(one)
        program = tmp_path / "parent.py"
        keys = f"kind='dask', scheduler={scheduler!r}"
        program.write_text(PARENT.format(config="DaskConfig", arguments=keys))
        parent = subprocess.Popen(
            [sys.executable, program, tmp_path / "0.txt"],
            env=ENVIRONMENT,
        )
        counted = tmp_path / "0.txt"
        wait_for(counted.exists)
        parent.kill()
        parent.wait()

        def rests() -> bool:
            before = counted.stat().st_size
            time.sleep(0.5)
            return counted.stat().st_size == before

        wait_for(rests)


@pytest.mark.usefixtures("trusting")
@pytest.mark.slow
def test_a_stop_does_not_wait_for_workers_that_never_came(scheduler):
    said: list[str] = []
    with open_executor(DaskConfig(kind="dask", scheduler=scheduler), said.append) as one:
        assert list(one.run_tasks(chores.cube, range(3), stopping=lambda: True)) == []
    assert said == [f"{scheduler} has no workers yet; waiting for the first"]


@pytest.mark.usefixtures("trusting")
@pytest.mark.slow
def test_workers_that_do_several_tasks_in_one_process_are_refused(scheduler, tmp_path):
    with (
        worker(scheduler, tmp_path, "--nthreads", "2"),
        pytest.raises(MismatchError, match="does 2 tasks at a time in one process; expected 1"),
    ):
        from distributed import Client

        with Client(scheduler) as client:
            client.wait_for_workers(1, timeout=60)
        with open_executor(DaskConfig(kind="dask", scheduler=scheduler)):
            pass


# --- SLURM, as far as it goes without one


SLURM = {
    "kind": "slurm", "interface": "lo", "jobs": 4, "cores": 8, "threads": 2, "memory_GB": 16.0,
    "wall_time_h": "4:00:00", "queue": "batch", "account": "chem", "directives": ["--qos=long"],
    "prologue": ["module load python"],
}  # fmt: skip


def test_the_job_script_says_what_the_input_says():
    script = job_script(SlurmConfig.model_validate(SLURM))
    for words in (
        "#SBATCH -p batch\n", "#SBATCH -A chem\n", "#SBATCH --cpus-per-task=8\n",
        "#SBATCH --mem=15G\n", "#SBATCH -t 04:00:00\n", "#SBATCH --qos=long\n",
        "export OMP_NUM_THREADS='2'\n", "module load python\n", " --nworkers 4 ", " --nthreads 1 ",
        " --no-dashboard ", " --interface lo ", " --tls-key ", "tls://127.0.0.1:",
        " --lifetime 14280s ",  # two minutes before the end of the job
    ):  # fmt: skip
        assert words in script, script


def test_what_slurm_cannot_set_up_is_not_blamed_on_the_interface(monkeypatch):
    def cluster(**settings):
        raise ValueError("a queue is missing")

    monkeypatch.setattr("qmd.jobs.dask_workers._slurm", lambda: cluster)
    with pytest.raises(InputError, match="executor of kind slurm cannot serve: a queue is missing"):
        job_script(SlurmConfig.model_validate(SLURM))


def test_an_interface_that_is_not_there_is_one_clear_line():
    with pytest.raises(InputError, match="executor.interface none cannot serve: 'none' is not a"):
        job_script(SlurmConfig.model_validate(SLURM | {"interface": "none"}))


# --- what an input may say


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["executor.kind=dask", "executor.workers=0"], "executor.workers: expected"),
        (["executor.kind=mpi"], "'serial'|serial, |serial"),
        (["executor.kind=dask", "executor.scheduler=here"], "executor.scheduler: expected text"),
        (["executor.kind=dask", "executor.scheduler=tcp://a:1", "executor.workers=2"],
         "has workers of its own; remove executor.workers"),
        (["executor.kind=serial", "workers=2"], "has both workers and executor; keep one"),
        (["executor.kind=processes", "executor.worker=2"], "unknown key 'worker'"),
        (["executor.kind=slurm", "executor.jobs=1"], "executor.interface is missing"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("schema", [LabelConfig, TrainConfig])
def test_what_cannot_be_is_one_clear_line(tmp_path, schema, settings, message):
    path = tmp_path / "input.yaml"
    path.write_text({
        LabelConfig: "structures: x.npz\nmethod: {kind: fci}\n",
        TrainConfig: "name: x\ndataset: x.npz\nmodel: {kind: vqlm-lih}\nstages: [{kind: adam}]\n",
    }[schema])  # fmt: skip
    load(path, schema)
    with pytest.raises(InputError, match=message):
        load(path, schema, settings)


def test_workers_is_short_for_processes():
    assert executor_or_workers(None, 1) == SERIAL
    assert executor_or_workers(None, 2) == PROCESSES
    assert executor_or_workers(DASK, 1) == DASK
