"""Client of i-PI: energy, forces and virial of a molecule or a periodic cell, over its socket.

The other end is not trusted: the number of atoms is compared before memory is asked for, every
number must be finite, a message that has begun must be complete in time, and what is no message of
the protocol ends the session with one line. The client of ASE fails by assertions, waits for ever,
and sends a virial of zeros.

References
----------
.. [1] Y. Litman et al., J. Chem. Phys. 161, 062504 (2024): i-PI 3.
"""

import socket
import time
from typing import Any, Self

import numpy as np
from ase import units

from qmd.errors import MismatchError, NumericalError, QmdError, one_line
from qmd.potentials import Domain
from qmd.system.system import LARGEST
from qmd.typing import Array

MESSAGE_S = 30.0
"""Longest time (s) from the first byte of a message to its last one, and to send an answer."""
MAX_INIT_BYTES = 2**20
"""Length of the text that comes with INIT, which has no meaning here."""
_HEADER_BYTES = 12


class Client:
    """Connection to i-PI, or to another server of its protocol.

    Parameters
    ----------
    unixsocket : str, optional
        Name of its socket, ``/tmp/ipi_NAME``.
    host, port : str, int
        Its address, without a unix socket.
    idle_s : float
        Longest silence (s) between two messages; 0: no limit.

    Raises
    ------
    OSError
        If nobody listens there.
    """

    def __init__(
        self,
        *,
        unixsocket: str | None = None,
        host: str = "localhost",
        port: int = 31415,
        idle_s: float = 0.0,
    ) -> None:
        self._idle_s = idle_s or None
        if unixsocket is None:
            self._socket = socket.create_connection((host, port), timeout=MESSAGE_S)
            return
        self._socket = socket.socket(socket.AF_UNIX)
        try:
            self._socket.connect(f"/tmp/ipi_{unixsocket}")
        except OSError:
            self._socket.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._socket.close()

    def run(self, atoms: Any) -> bool:
        """Answer with energies and forces until the server ends the session.

        Parameters
        ----------
        atoms : ase.Atoms
            With a calculator; its positions are those of the last message. If they are periodic
            in all directions, so is the cell of i-PI, and its shape is that of the last message.

        Returns
        -------
        bool
            True if the server said that it ends, False if it closed the connection between two
            messages.

        Raises
        ------
        MismatchError
            If it sends another number of atoms.
        NumericalError
            If it sends what is not finite or no message, falls silent, closes the connection in
            the middle of a message, or has wrapped the molecule into its cell; or if the potential
            gives what is not finite.
        """
        answer = b""
        while True:
            header = self._header()
            if header in (None, "EXIT"):
                return header is not None
            if header == "STATUS":
                self._send((b"HAVEDATA" if answer else b"READY").ljust(_HEADER_BYTES))
            elif header == "INIT":
                self._skip_init()
            elif header == "POSDATA" and not answer:
                atoms.cell, atoms.positions = self._geometry(len(atoms))
                answer = _answer(atoms, *_results(atoms))
            elif header == "GETFORCE" and answer:
                self._send(answer)
                answer = b""
            else:
                known = header in ("POSDATA", "GETFORCE")
                what = f"{header} out of turn" if known else f"{header!r}, which is no message"
                raise _bad(f"sent {one_line(what)}")

    def _header(self) -> str | None:
        """Wait for a message; None if the connection is closed instead."""
        self._socket.settimeout(self._idle_s)
        try:
            first = self._socket.recv(1)
        except TimeoutError:
            raise _bad(f"was silent for {self._idle_s:g} s") from None
        except OSError as error:
            raise _bad(f"is lost: {error.strerror or error}") from None
        if not first:
            return None
        rest = self._receive(_HEADER_BYTES - 1, self._deadline())
        return (first + rest).decode("ascii", "backslashreplace").rstrip()

    def _deadline(self) -> float:
        return time.monotonic() + MESSAGE_S

    def _receive(self, n: int, deadline: float) -> bytes:
        """Receive `n` bytes, all of them before the deadline."""
        parts, missing = [], n
        while missing:
            left = deadline - time.monotonic()
            try:
                if left <= 0:
                    raise TimeoutError
                self._socket.settimeout(left)
                part = self._socket.recv(min(missing, 2**20))
            except TimeoutError:
                raise _bad(f"did not finish a message within {MESSAGE_S:g} s") from None
            except OSError as error:
                raise _bad(f"is lost: {error.strerror or error}") from None
            if not part:
                raise _bad("closed the connection in the middle of a message")
            parts.append(part)
            missing -= len(part)
        return b"".join(parts)

    def _send(self, data: bytes) -> None:
        try:
            self._socket.settimeout(MESSAGE_S)
            self._socket.sendall(data)
        except TimeoutError:
            raise _bad(f"did not take an answer within {MESSAGE_S:g} s") from None
        except OSError as error:
            raise _bad(f"is lost: {error.strerror or error}") from None

    def _integer(self, deadline: float) -> int:
        return int.from_bytes(self._receive(4, deadline), "little", signed=True)

    def _skip_init(self) -> None:
        deadline = self._deadline()
        self._integer(deadline)  # index of the bead
        length = self._integer(deadline)
        if not 0 <= length <= MAX_INIT_BYTES:
            raise _bad(f"announced a text of {length} bytes")
        self._receive(length, deadline)

    def _geometry(self, n_atoms: int) -> tuple[Array, Array]:
        """Receive cell, its inverse, number of atoms and positions; all but the inverse is used.

        Returns
        -------
        cell : array, shape (3, 3)
            Lattice vectors in rows, angstrom.
        positions : array, shape (n_atoms, 3)
            Angstrom.
        """
        deadline = self._deadline()
        cell = np.frombuffer(self._receive(2 * 9 * 8, deadline), "<f8", 9).reshape(3, 3).T
        n = self._integer(deadline)
        if n != n_atoms:
            raise MismatchError(
                f"i-PI sent {n} atoms, but the potential is for {n_atoms}.",
                "The structure of its input must have the atoms of the potential, in their order.",
            )
        positions = np.frombuffer(self._receive(24 * n, deadline), "<f8").reshape(n, 3)
        if not all((np.abs(numbers) <= LARGEST).all() for numbers in (positions, cell)):
            raise _bad(f"sent positions or a cell that are not finite, or beyond {LARGEST:g} bohr")
        return cell * units.Bohr, positions * units.Bohr


def _results(atoms: Any) -> tuple[float, Array, Array]:
    """Energy (eV), forces (eV/angstrom) and virial (eV) at the positions of `atoms`."""
    from ase.calculators.calculator import CalculatorError, PropertyNotImplementedError

    package = getattr(atoms.calc, "package", None)
    if not atoms.pbc.any():
        refuse_wrapped(atoms.positions, np.array(atoms.cell), package and package.domain)
    try:
        forces = np.asarray(atoms.get_forces())
        energy = float(atoms.get_potential_energy())
        if not atoms.pbc.any():
            return energy, forces, isolated_virial(atoms.positions, forces)
        stress = atoms.get_stress(voigt=False)
    except PropertyNotImplementedError as error:
        raise MismatchError(
            str(error), "i-PI takes zeros for a virial, which a barostat believes."
        ) from None
    except CalculatorError as error:
        raise MismatchError(str(error)) from None
    return energy, forces, -atoms.get_volume() * np.asarray(stress)


def _answer(atoms: Any, energy: float, forces: Array, virial: Array) -> bytes:
    """FORCEREADY with energy, forces, virial and an empty text, in atomic units."""
    numbers = energy / units.Ha, forces * (units.Bohr / units.Ha), virial.T / units.Ha
    if not all(np.isfinite(array).all() for array in numbers):
        raise NumericalError(
            "The energy or a force is not finite at the positions that i-PI sent.",
            "Check the positions and the time step of its input.",
        )
    in_bytes = [np.asarray(array, "<f8").tobytes() for array in numbers]
    count, one = (n.to_bytes(4, "little") for n in (len(atoms), 1))
    header = b"FORCEREADY".ljust(_HEADER_BYTES)
    # One byte, not none: some servers take an empty text for a closed connection.
    return b"".join([header, in_bytes[0], count, in_bytes[1], in_bytes[2], one, b"\0"])


def _bad(what: str) -> QmdError:
    return NumericalError(
        f"i-PI {what}.", "Its own output says why; start it again, then the driver."
    )


def refuse_wrapped(positions: Array, cell: Array, domain: Domain | None) -> None:
    """Refuse a molecule of which the cell may have cut off atoms.

    Parameters
    ----------
    positions : array, shape (n_atoms, 3)
        Angstrom.
    cell : array, shape (3, 3)
        Lattice vectors in rows, angstrom.
    domain : Domain, optional
        Trained distances: a molecule within them is in one piece, whatever the cell.

    Raises
    ------
    NumericalError
        If two atoms are farther apart than half of the cell, and not as trained.
    """
    if np.linalg.matrix_rank(cell) < 3:
        return
    with np.errstate(over="ignore"):  # of a cell without extent the half is 0
        half = 0.5 / np.linalg.norm(np.linalg.inv(cell), axis=0).max()
    distances = np.linalg.norm(positions[:, None] - positions, axis=2)
    i, j = np.unravel_index(distances.argmax(), distances.shape)
    if distances[i, j] <= half:
        return
    if domain is not None and len(domain.pairs):
        found = distances[tuple(domain.pairs.T)]
        if ((found >= domain.warn[:, 0]) & (found <= domain.warn[:, 1])).all():
            return
    first, second = sorted((int(i) + 1, int(j) + 1))
    raise NumericalError(
        f"atoms {first} and {second} are {distances[i, j]:.1f} angstrom apart, more than half of "
        "the cell of i-PI",
        hint="send molecules in one piece: pbc='false' in the ffsocket of i-PI, or a larger cell",
    )


def isolated_virial(positions: Array, forces: Array) -> Array:
    """Return the virial of an isolated molecule, ``sum_i (r_i - c) F_i``, with c the mean position.

    It is the negative derivative of the energy by a strain of the positions, the sign of i-PI. The
    forces of an isolated molecule add up to zero: the choice of c changes rounding only.

    Parameters
    ----------
    positions : array, shape (n_atoms, 3)
        Angstrom.
    forces : array, shape (n_atoms, 3)
        eV/angstrom.

    Returns
    -------
    array, shape (3, 3)
        Element (a, b) is the sum of ``r_a F_b``, eV.
    """
    arms = positions - positions.mean(axis=0)
    return np.asarray(arms.T @ forces)
