"""Foreign code that an input may name: none, but for what the user trusts.

An input, a result folder and a package are data. The ASE calculators of `IN_PROCESS` compute in
this process from numbers and names; any other class could start a program, unpickle a file or run
code on import. It is used only if the user says so, outside of the file: by ``--trust``, by
`trusting`, or by a line in the file `USER_FILE` of the user's configuration.
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from qmd.errors import MismatchError

IN_PROCESS: Mapping[str, frozenset[str]] = {
    "ase.calculators.emt.EMT": frozenset({"asap_cutoff"}),
    "ase.calculators.lj.LennardJones": frozenset({"epsilon", "sigma", "rc", "ro", "smooth"}),
    "ase.calculators.morse.MorsePotential": frozenset({"epsilon", "rho0", "r0", "rcut1", "rcut2"}),
    "ase.calculators.tip3p.TIP3P": frozenset({"rc", "width"}),
    "ase.calculators.tip4p.TIP4P": frozenset({"rc", "width"}),
    "dftd3.ase.DFTD3": frozenset({"method", "damping"}),
    "dftd4.ase.DFTD4": frozenset({"method"}),
    "qmd.interop.ase_calculator.QmdCalculator": frozenset({"potential", "absolute"}),
    "tblite.ase.TBLite": frozenset(
        {
            "method", "charge", "multiplicity", "accuracy", "guess", "max_iterations", "mixer",
            "mixer_memory", "mixer_damping", "spin_polarization", "electronic_temperature",
            "cache_api", "verbosity",
        }
    ),
}  # fmt: skip
"""Calculators that need no trust, each with the arguments that need none."""
USER_FILE = Path("qmd") / "trusted.txt"
"""File below ``$XDG_CONFIG_HOME``, or ``~/.config``: names of trusted calculators, one a line."""
MAX_BYTES = 65_536
HINT = (
    "if you know the calculator and wrote or read the input, give --trust, or put the name on a "
    "line of {path}"
)

_trusted: ContextVar[bool] = ContextVar("trusted", default=False)


@contextmanager
def trusting(trusted: bool = True) -> Iterator[None]:
    """Let inputs and result folders name foreign code within the `with` block.

    Parameters
    ----------
    trusted : bool
        False leaves everything as it is.
    """
    token = _trusted.set(trusted or _trusted.get())
    try:
        yield
    finally:
        _trusted.reset(token)


def is_trusting() -> bool:
    """Return True within `trusting`, for the tasks that other processes run."""
    return _trusted.get()


def require_calculator(name: str, arguments: Iterable[str]) -> None:
    """Check that an ASE calculator with these arguments may be imported and called.

    Raises
    ------
    MismatchError
        If it is neither one of `IN_PROCESS` nor trusted; nothing has been imported by then.
    """
    if _trusted.get() or name in _trusted_by_user():
        return
    hint = HINT.format(path=user_file())
    if name not in IN_PROCESS:
        raise MismatchError(
            f"calculator {name} is foreign code, which an input may not name by itself", hint=hint
        )
    if more := sorted(set(arguments) - IN_PROCESS[name]):
        raise MismatchError(
            f"argument {more[0]} of calculator {name} may name a file or a program", hint=hint
        )


def require_name(what: str, name: str) -> None:
    """Check that the name of a basis set or a functional is not the path of a file.

    Raises
    ------
    MismatchError
        If it has a path separator or a line break, or a file of this name is in the current
        folder, which PySCF would read in place of its own data; unless trusted.
    """
    if _trusted.get():
        return
    if any(c in name for c in "/\\\n\r\0") or os.path.isfile(name):
        raise MismatchError(
            f"{what} {name!r} is a file, and expected is a name that PySCF knows",
            hint="if you know the file, give --trust",
        )


def require_cluster(what: str) -> None:
    """Check that an input may name a cluster, or commands for its jobs.

    Raises
    ------
    MismatchError
        Unless trusted.
    """
    if not _trusted.get():
        raise MismatchError(
            f"{what} lets a cluster act for you, which an input may not decide by itself",
            hint="if you know the cluster and wrote or read the input, give --trust",
        )


def user_file() -> Path:
    """Return the path of the list of calculators that the user trusts."""
    base = os.environ.get("XDG_CONFIG_HOME")
    return (Path(base) if base else Path(os.path.expanduser("~/.config"))) / USER_FILE


def _trusted_by_user() -> frozenset[str]:
    try:
        with open(user_file(), "rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError:
        return frozenset()
    if len(data) > MAX_BYTES:
        raise MismatchError(f"{user_file()} is larger than {MAX_BYTES} bytes")
    lines = (line.partition("#")[0].strip() for line in data.decode(errors="replace").splitlines())
    return frozenset(line for line in lines if line)
