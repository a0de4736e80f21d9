"""Check the input of a benchmark: every potential on the atoms of every measure."""

from collections.abc import Iterator
from contextlib import contextmanager

from qmd.benchmark.session import BenchmarkJob, measured_system
from qmd.errors import AbsentDataError, NotInstalledError, QmdError
from qmd.forces.build import build_potential


def check(job: BenchmarkJob) -> list[str]:
    """Read the data of every measure, and build every potential on its atoms.

    Returns
    -------
    list of str
        Checks that were not possible, since a package or data is missing on this machine.

    Raises
    ------
    QmdError
        In one line with the measure and the label of the potential, if they do not fit.
    """
    base = job.loaded.path.parent
    missing: list[str] = []
    built = set()
    for measure in job.loaded.config.measures:
        name = measure.name or measure.kind
        with _noted(name, missing):
            system = measured_system(measure, base)[0]
            for label in measure.potentials or job.loaded.config.potentials:
                if (label, system.symbols) in built:
                    continue
                built.add((label, system.symbols))
                with _noted(f"{label}, {name}", missing):
                    build_potential(job.loaded.config.potentials[label], system, base)
    return missing


@contextmanager
def _noted(what: str, missing: list[str]) -> Iterator[None]:
    """Put `what` before the message of an error; append errors of this machine to `missing`."""
    try:
        yield
    except (AbsentDataError, NotInstalledError) as error:
        missing.append(f"{what}: {error.message}")
    except QmdError as error:
        raise type(error)(f"{what}: {error.message}", error.hint) from None
