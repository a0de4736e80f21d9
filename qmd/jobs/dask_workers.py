"""Run tasks on Dask workers: on this machine, of a running scheduler, or in SLURM jobs.

Dask sends code to its workers, and whoever reaches a scheduler can run programs as its owner.
Those started here therefore use TLS with temporary certificates, listen only on loopback or on
the interface that the input names, and open no dashboard.
"""

import logging
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from tempfile import TemporaryDirectory
from typing import Any
from uuid import uuid4

import dask
from distributed import (
    Client,
    KilledWorker,
    LocalCluster,
    Reschedule,
    Security,
    WorkerPlugin,
    get_worker,
)

from qmd import __version__
from qmd.errors import InputError, MismatchError, OutputError
from qmd.jobs.config import DaskConfig, SlurmConfig
from qmd.jobs.executor import (
    AbstractExecutor,
    Message,
    TaskContext,
    TaskFunction,
    TaskResult,
    as_trusted_here,
    picklable,
    run_task,
    thread_variables,
    workers_of,
)

MARGIN_S = 120
"""Workers retire this long before the time limit of their job, but not before half of it."""
_LOOK_EVERY_S = 0.1
_stopped: set[str] = set()
"""Topics whose tasks should end soon; used in the workers."""


class Dask(AbstractExecutor):
    """Runs tasks on Dask workers, one task at a time in each.

    Parameters
    ----------
    config : DaskConfig or SlurmConfig
    log : callable
        Takes a line for the user.

    Raises
    ------
    MismatchError
        If Dask is not installed, the scheduler does not answer, or its workers do not fit.
    """

    def __init__(self, config: DaskConfig | SlurmConfig, log: Callable[[str], None]) -> None:
        with ExitStack() as stack:
            self._client = _connect(config, stack, log)
            self._stack = stack.pop_all()

    def run_tasks(
        self,
        function: TaskFunction,
        tasks: Sequence[Any],
        *,
        stopping: Callable[[], bool] = lambda: False,
        on_message: Callable[[Message], None] = lambda message: None,
    ) -> Iterator[TaskResult]:
        function = as_trusted_here(function)
        topic, came = f"qmd-{uuid4().hex}", SimpleQueue[Any]()
        self._client.subscribe_topic(topic, lambda event: came.put(tuple(event[1])))
        futures = [
            self._client.submit(
                _do, function, number, task, topic, key=f"{topic}-{number}", pure=False
            )
            for number, task in enumerate(tasks)
        ]
        for future in futures:
            future.add_done_callback(came.put)
        left, stopped = len(futures), False
        try:
            while left:
                if not stopped and stopping():
                    stopped = True
                    self._client.register_plugin(_Stop(topic), name=topic)
                try:
                    item = came.get(timeout=_LOOK_EVERY_S)
                except Empty:
                    if stopped and not self._client.nthreads():
                        return  # no worker is there, or comes: jobs that still wait in a queue
                    continue
                if isinstance(item, tuple):
                    on_message(item)
                    continue
                left -= 1
                if (answer := _result(item)) is not None:
                    yield answer
        finally:
            with suppress(OSError, TimeoutError):  # of a scheduler that is gone
                self._client.cancel(futures)
                self._client.unsubscribe_topic(topic)
                if stopped:
                    self._client.unregister_worker_plugin(topic)

    def close(self) -> None:
        self._stack.close()


def _connect(config: DaskConfig | SlurmConfig, stack: ExitStack, log: Callable[[str], None]) -> Any:
    """Return a client with workers; `stack` closes everything that was opened for it."""
    if isinstance(config, DaskConfig) and config.scheduler is not None:
        client = stack.enter_context(_client_of(config.scheduler))
        _check_workers(client, config.scheduler)
        if not client.nthreads():
            log(f"{config.scheduler} has no workers yet; waiting for the first")
        return client
    stack.enter_context(dask.config.set(_settings(config.threads)))
    stack.enter_context(_same_environment())
    if isinstance(config, SlurmConfig):
        folder = Path(stack.enter_context(TemporaryDirectory(prefix=".qmd-", dir=Path.home())))
        with _errors_of_slurm(config):
            cluster = stack.enter_context(slurm_cluster(config, folder))
        cluster.adapt(minimum_jobs=0, maximum_jobs=config.jobs)
        log(f"up to {config.jobs} SLURM jobs; workers come to {cluster.scheduler_address}")
        return stack.enter_context(Client(cluster, set_as_default=False))
    cluster = stack.enter_context(_local_cluster(workers_of(config)))
    client = stack.enter_context(Client(cluster, set_as_default=False))
    client.register_plugin(_Deaf(), name="qmd-deaf")
    return client


def slurm_cluster(config: SlurmConfig, folder: Path) -> Any:
    """Create the SLURM cluster of an input without submitting jobs; see its `job_script()`.

    Parameters
    ----------
    config : SlurmConfig
    folder : Path
        Folder for the certificates of the workers, visible on all nodes and readable only by the
        user.
    """
    SLURMCluster = _slurm()

    workers, seconds = config.cores // config.threads, round(3600 * config.wall_time_h)
    exports = [f"export {k}={v!r}" for k, v in thread_variables(config.threads).items()]
    return SLURMCluster(
        queue=config.queue, account=config.account, job_name="qmd", cores=workers,
        processes=workers, job_cpu=config.cores, memory=f"{config.memory_GB}GB",
        walltime=f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}",
        interface=config.interface,
        scheduler_options={"dashboard": False, "dashboard_address": "127.0.0.1:0"},
        security=_certificates(folder), protocol="tls://",
        job_script_prologue=[*exports, *config.prologue], job_extra_directives=config.directives,
        worker_extra_args=["--no-dashboard", "--lifetime", f"{_lifetime(seconds)}s"],
        death_timeout=60, silence_logs="error",
    )  # fmt: skip


def _certificates(folder: Path) -> Security:
    """Create certificates, in files that only the user can read, for the workers."""
    certificate = Security.temporary().get_tls_config_for_role("worker")
    files: dict[str, str] = {}
    for what in ("cert", "key"):
        path = folder / f"{what}.pem"
        path.touch(mode=0o600)
        path.write_text(certificate[what])
        files |= {f"tls_{role}_{what}": str(path) for role in ("client", "scheduler", "worker")}
    return Security(require_encryption=True, tls_ca_file=str(folder / "cert.pem"), **files)


def _slurm() -> Any:
    """Import `SLURMCluster`, and restore the handler of SIGINT that the import replaces."""
    handler = signal.getsignal(signal.SIGINT)
    try:
        from dask_jobqueue.slurm import SLURMCluster
    finally:
        signal.signal(signal.SIGINT, handler)
    return SLURMCluster


def slurm_script(config: SlurmConfig) -> str:
    """Return the script of a job of `slurm_cluster`; its address and certificates are temporary."""
    with (
        TemporaryDirectory() as folder,
        dask.config.set(_settings(config.threads)),
        _errors_of_slurm(config),
        slurm_cluster(config, Path(folder)) as cluster,
    ):
        script: str = cluster.job_script()
        return script


def _lifetime(job_s: int) -> int:
    return max(job_s - MARGIN_S, job_s // 2)


@contextmanager
def _errors_of_slurm(config: SlurmConfig) -> Iterator[None]:
    """Report what Dask cannot set up, such as an interface that is not there, as bad input."""
    try:
        yield
    except (ValueError, RuntimeError) as error:
        cause = error.__cause__ or error
        what = f"executor.interface {config.interface}"
        if config.interface not in str(cause):
            what = "executor of kind slurm"
        raise InputError(f"{what} cannot serve: {cause}") from None


def _local_cluster(workers: int) -> Any:
    return LocalCluster(
        n_workers=workers, threads_per_worker=1, processes=True, host="127.0.0.1",
        protocol="tls://", security=Security.temporary(), memory_limit=0,
        dashboard_address="127.0.0.1:0", scheduler_kwargs={"dashboard": False},
        silence_logs=logging.CRITICAL,
    )  # fmt: skip


def _settings(threads: int) -> dict[str, Any]:
    return {
        "distributed.nanny.pre-spawn-environ": thread_variables(threads),
        "distributed.scheduler.http.routes": [],
        "distributed.worker.http.routes": [],
    }


@contextmanager
def _same_environment() -> Iterator[None]:
    """Restore the environment variables that Dask sets for its workers, also in this process."""
    before = dict(os.environ)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _client_of(scheduler: str) -> Any:
    try:
        return Client(scheduler, timeout=10, set_as_default=False)
    except (OSError, TimeoutError) as error:
        raise MismatchError(
            f"executor.scheduler {scheduler} does not answer: {error or 'timeout'}",
            "Start it with `dask scheduler`, and workers with `dask worker --nthreads 1`.",
        ) from None


def _check_workers(client: Any, scheduler: str) -> None:
    """Raise MismatchError unless a scheduler of the user, and its workers, can be used."""
    threads = client.nthreads()
    if crowded := [address for address, n in threads.items() if n > 1]:
        raise MismatchError(
            f"executor.scheduler {scheduler}: worker {crowded[0]} does "
            f"{threads[crowded[0]]} tasks at a time in one process; expected 1",
            "Start workers with `dask worker --nthreads 1`, more of them with `--nworkers`.",
        )
    try:
        versions = {client.run_on_scheduler(_version), *client.run(_version).values()}
    except Exception as error:  # whatever went wrong there comes back
        absent = isinstance(error, ImportError) or "No module named" in str(error)
        what = "cannot import qmd" if absent else "do not answer"
        raise MismatchError(
            f"executor.scheduler {scheduler}: it or its workers {what}: "
            f"{type(error).__name__}: {error}",
            "Start them in the environment of this command.",
        ) from None
    if others := versions - {__version__}:
        raise MismatchError(
            f"executor.scheduler {scheduler}: it or its workers have qmd {', '.join(others)}; "
            f"expected {__version__}, as here"
        )


def _version() -> str:
    return __version__


def _result(future: Any) -> TaskResult | None:
    """Return the result of a task, or None if it was not begun."""
    try:
        answer: TaskResult | None = future.result()
        return answer
    except KilledWorker as error:
        raise OutputError(
            f"A task ended its workers again and again ({error}); out of memory?",
            "Run the same command again to resume.",
        ) from None
    except Exception as error:
        raise OutputError(
            f"Dask could not end a task ({type(error).__name__}: {error}).",
            "Run the same command again to resume.",
        ) from None


# --- in the workers


def _do(function: TaskFunction, number: int, task: Any, topic: str) -> TaskResult | None:
    """Run a task, unless all should stop; reschedule it if only this worker should end."""
    if topic in _stopped:
        return None
    worker = get_worker()
    key = worker.get_current_task()

    def send(message: Message) -> None:
        worker.log_event(topic, message)

    def leaving() -> bool:
        """Return True if this worker is closing, or if the task has been cancelled."""
        state = worker.state.tasks.get(key)
        return worker.status.name not in ("running", "paused") or (
            state is None or state.state == "cancelled"
        )

    answer = run_task(
        number, function, task, TaskContext(send, lambda: topic in _stopped or leaving())
    )
    if leaving() and topic not in _stopped:
        raise Reschedule
    return picklable(answer)


class _Stop(WorkerPlugin):
    """Tells all workers, also those that join later, that the tasks of a topic should end."""

    def __init__(self, topic: str) -> None:
        self.topic = topic

    def setup(self, worker: Any) -> None:
        _stopped.add(self.topic)

    def teardown(self, worker: Any) -> None:
        _stopped.discard(self.topic)


class _Deaf(WorkerPlugin):
    """Makes workers ignore Ctrl-C, which all processes of a terminal receive."""

    def setup(self, worker: Any) -> None:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGHUP, signal.SIGUSR1):
                signal.signal(number, signal.SIG_IGN)
