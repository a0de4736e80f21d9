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
    """One after the other, in this process."""

    kind: Literal["serial"]
    """No other process."""


class ProcessesConfig(Config):
    """Processes on this machine."""

    kind: Literal["processes"]
    """Processes on this machine; nothing listens, they talk through pipes."""
    workers: Workers | None = None
    """Processes; default: as many as the cores that this one may use, over threads."""
    threads: Threads = 1
    """Cores of each worker."""


class DaskConfig(Config):
    """Dask: processes on this machine, or a cluster that is there already."""

    kind: Literal["dask"]
    """Dask distributed (extra `dask`)."""
    workers: Workers | None = None
    """Processes on this machine, on loopback; default: as many as its cores, over threads."""
    threads: Threads = 1
    """Cores of each worker; those of a scheduler's have what they were started with."""
    scheduler: Annotated[str, Field(pattern=r"^(tcp|tls)://[^\s/]+:[0-9]{1,5}$")] | None = None
    """Address of a scheduler that runs, such as tcp://127.0.0.1:8786; default: workers here."""

    @field_validator("scheduler")
    @classmethod
    def _has_its_workers(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is not None and info.data.get("workers") is not None:
            raise ValueError("has workers of its own; remove executor.workers")
        return value


class SlurmConfig(Config):
    """SLURM jobs with Dask workers, asked for as long as there is work."""

    kind: Literal["slurm"]
    """SLURM, through dask-jobqueue (extra `dask`)."""
    interface: Annotated[str, Field(pattern=r"^[A-Za-z0-9._:-]{1,64}$")]
    """Network interface on which this process and its workers listen, such as ib0; with TLS."""
    jobs: Annotated[int, Field(ge=1, le=10_000)]
    """At most so many jobs at a time."""
    cores: Annotated[int, Field(ge=1, le=1024)] = 1
    """Cores of a job."""
    threads: Threads = 1
    """Cores of each worker: a job has cores / threads of them."""
    memory_GB: Annotated[float, Field(gt=0, le=100_000)]
    """Memory (GB) of a job."""
    wall_time_h: WallTime
    """Hours of a job, also h:mm:ss; tasks that are not done by then go on in the next one."""
    queue: Name | None = None
    """Partition; default: that of the cluster."""
    account: Name | None = None
    """Account that pays; default: that of the user."""
    directives: list[Line] = []
    """More #SBATCH options, such as --qos=long."""
    prologue: list[Line] = []
    """Lines of shell before the workers start, such as `module load python`."""

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


def of_workers(executor: ExecutorConfig | None, workers: int) -> ExecutorConfig:
    """`executor` if there is one; else what `workers: N`, its short form, stands for."""
    if executor is not None:
        return executor
    if workers == 1:
        return SerialConfig(kind="serial")
    return ProcessesConfig(kind="processes", workers=workers)


def not_both(config: C) -> C:
    """Validator of an input that has `workers` and `executor`."""
    if {"workers", "executor"} <= config.model_fields_set:
        raise ValueError("has both workers and executor; keep one of them")
    return config
