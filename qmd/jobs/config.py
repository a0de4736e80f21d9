"""The section `executor` of an input: where its tasks run."""

import re
from typing import Annotated, Literal, TypeVar

from pydantic import Field, ValidationInfo, field_validator

from qmd.config.base import Config, Name, WallTime

C = TypeVar("C", bound=Config)
Workers = Annotated[int, Field(ge=1, le=1024)]
Threads = Annotated[int, Field(ge=1, le=1024)]
Line = Annotated[str, Field(max_length=1000, pattern=r"^[^\x00-\x1f\x7f]*$")]


class SerialConfig(Config):
    """Run one task after the other, in this process."""

    kind: Literal["serial"]
    """Run the tasks one after the other, in this process."""


class ProcessesConfig(Config):
    """Run the tasks in processes on this machine."""

    kind: Literal["processes"]
    """Processes on this machine, which communicate through pipes; no port is opened."""
    workers: Workers | None = None
    """Number of processes; default: the cores available to this process, divided by `threads`."""
    threads: Threads = 1
    """Cores of each worker."""


class DaskConfig(Config):
    """Run the tasks on Dask workers: on this machine, or on an existing cluster."""

    kind: Literal["dask"]
    """Dask distributed (extra `dask`)."""
    workers: Workers | None = None
    """Number of processes on this machine, on loopback; default: its cores divided by `threads`."""
    threads: Threads = 1
    """Cores of each worker. The workers of a `scheduler` keep those they were started with."""
    scheduler: Annotated[str, Field(pattern=r"^(tcp|tls)://[^\s/]+:[0-9]{1,5}$")] | None = None
    """Address of a running scheduler, such as tcp://127.0.0.1:8786; default: workers of its own on
    this machine."""

    @field_validator("scheduler")
    @classmethod
    def _has_its_workers(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is not None and info.data.get("workers") is not None:
            raise ValueError("has workers of its own; remove executor.workers")
        return value


class SlurmConfig(Config):
    """Run the tasks on Dask workers in SLURM jobs, which are submitted as long as tasks remain."""

    kind: Literal["slurm"]
    """SLURM, through dask-jobqueue (extra `dask`)."""
    interface: Annotated[str, Field(pattern=r"^[A-Za-z0-9._:-]{1,64}$")]
    """Network interface on which this process and its workers listen (with TLS), such as ib0."""
    jobs: Annotated[int, Field(ge=1, le=10_000)]
    """Largest number of jobs at a time."""
    cores: Annotated[int, Field(ge=1, le=1024)] = 1
    """Cores of each job."""
    threads: Threads = 1
    """Cores of each worker; a job has `cores / threads` workers."""
    memory_GB: Annotated[float, Field(gt=0, le=100_000)]
    """Memory of each job (GB)."""
    wall_time_h: WallTime
    """Time limit of each job, in hours or as h:mm:ss. Tasks that are not finished by then resume in
    the next job."""
    queue: Name | None = None
    """Partition; default: the default of the cluster."""
    account: Name | None = None
    """Account to charge; default: the user's own."""
    directives: list[Line] = []
    """Further #SBATCH options, such as --qos=long."""
    prologue: list[Line] = []
    """Shell commands to run before the workers start, such as `module load python`."""

    @field_validator("threads")
    @classmethod
    def _fit_into_the_cores(cls, value: int, info: ValidationInfo) -> int:
        cores = info.data.get("cores", value)
        if cores % value:
            raise ValueError(f"must divide executor.cores = {cores}")
        return value

    @field_validator("queue", "account")
    @classmethod
    def _one_word(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(r"[\w.,@+-]+", value):
            raise ValueError("must be one word")
        return value


ExecutorConfig = SerialConfig | ProcessesConfig | DaskConfig | SlurmConfig


def executor_or_workers(executor: ExecutorConfig | None, workers: int) -> ExecutorConfig:
    """Return `executor` if it is set, or else the executor that `workers: N` is short for."""
    if executor is not None:
        return executor
    if workers == 1:
        return SerialConfig(kind="serial")
    return ProcessesConfig(kind="processes", workers=workers)


def not_both(config: C) -> C:
    """Refuse an input that sets both `workers` and `executor`."""
    if {"workers", "executor"} <= config.model_fields_set:
        raise ValueError("has both workers and executor; keep one of them")
    return config
