"""Open the executor that an input names."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from qmd.config.trust import require_cluster
from qmd.errors import MismatchError
from qmd.jobs.config import DaskConfig, ExecutorConfig, ProcessesConfig, SerialConfig, SlurmConfig
from qmd.jobs.executor import AbstractExecutor, Serial, workers_of


@contextmanager
def open_executor(
    config: ExecutorConfig, log: Callable[[str], None] = lambda text: None
) -> Iterator[AbstractExecutor]:
    """Open the executor of an input; its workers end with the `with` block.

    Parameters
    ----------
    config : ExecutorConfig
    log : callable
        Called with lines for the user, e.g. that a worker died.

    Raises
    ------
    MismatchError
        If Dask is not installed, a scheduler does not answer or has workers that do not fit, or
        the input names a cluster and is not trusted; see `qmd.config.trust`.
    """
    executor = _make(config, log)
    try:
        yield executor
    finally:
        executor.close()


def _make(config: ExecutorConfig, log: Callable[[str], None]) -> AbstractExecutor:
    match config:
        case SerialConfig():
            return Serial()
        case ProcessesConfig():
            from qmd.jobs.processes import Processes

            return Processes(workers_of(config), config.threads, log)
        case DaskConfig() | SlurmConfig():
            _require_trusted(config)
            with _dask_is_there(config.kind):
                from qmd.jobs.dask_workers import Dask
            return Dask(config, log)


def _require_trusted(config: DaskConfig | SlurmConfig) -> None:
    for key in ("scheduler", "directives", "prologue"):
        if getattr(config, key, None):
            require_cluster(f"executor.{key}")


@contextmanager
def _dask_is_there(kind: str) -> Iterator[None]:
    try:
        yield
    except ImportError as error:
        raise MismatchError(
            f"executor.kind {kind} needs Dask: {error}",
            'Install the extra: pip install -e ".[dask]".',
        ) from None


def job_script(config: SlurmConfig) -> str:
    """Return the script that would be submitted for each job of `config`; submit nothing."""
    with _dask_is_there(config.kind):
        from qmd.jobs.dask_workers import slurm_script
    return slurm_script(config)
