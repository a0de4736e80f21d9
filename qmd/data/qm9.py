"""Molecules of the QM9 data set, from its archive or from files of its layout.

R. Ramakrishnan, P. O. Dral, M. Rupp, O. A. von Lilienfeld, Sci. Data 1, 140022 (2014): 133,885
molecules of up to nine atoms of C, N, O and F, B3LYP/6-31G(2df,p), one file for each. The layout is
that of the documentation of the archive:

==============  ===================================================================================
line            content
==============  ===================================================================================
1               number of atoms, n
2               `gdb`, the number of the molecule, and 15 properties, see `PROPERTIES`
3 to n + 2      element, x, y, z (angstrom), Mulliken charge (e)
n + 3           harmonic frequencies (1/cm), 3n - 6 or, of linear molecules, 3n - 5
n + 4           SMILES, of GDB-17 and of the relaxed geometry
n + 5           InChI, of both
==============  ===================================================================================

Numbers are separated by blanks or tabs, and an exponent may be written `1.5*^-6`.
"""

import bz2
import gzip
import hashlib
import io
import lzma
import tarfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
import numpy.typing as npt
from ase.data import atomic_numbers

from qmd import units
from qmd.errors import InputError, one_line, quoted
from qmd.io.files import read_bytes, read_regular_file
from qmd.typing import Array

PROPERTIES = (
    "A", "B", "C", "mu", "alpha", "homo", "lumo", "gap", "r2", "zpve", "U0", "U", "H", "G", "Cv",
)  # fmt: skip
"""Rotational constants (GHz), dipole moment (D), polarisability (bohr^3), energies of the highest
occupied and lowest empty orbital and their gap (hartree), extent (bohr^2), zero-point energy
(hartree), internal energy at 0 K and at 298.15 K, enthalpy and free energy at 298.15 K (hartree),
heat capacity (cal/mol/K)."""
ENERGIES = ("E", "U0", "U", "H", "G")
"""Energies that can be read; E is U0 less the zero-point energy: that of nuclei at rest."""
ELEMENTS = frozenset({"H", "C", "N", "O", "F"})
MAX_FILE_BYTES = 65_536
"""Largest size of the file of a molecule; those of QM9 have up to 2 kB."""
MAX_ATOMS = 1_000
MAX_MOLECULES = 1_000_000
MAX_BYTES = 2**29
"""Largest size of an archive, packed or unpacked; QM9 has 0.3 GB."""
LARGEST = 1e12


class Molecule(NamedTuple):
    """One molecule of QM9."""

    number: int
    """Number of the molecule in the data set, from 1."""
    numbers: npt.NDArray[np.int64]
    """Atomic numbers, (n_atoms,)."""
    positions: Array
    """Positions, angstrom, (n_atoms, 3)."""
    charges: Array
    """Mulliken charges, e, (n_atoms,)."""
    properties: dict[str, float]
    """Values of `PROPERTIES`, in their units."""
    frequencies: Array
    """Harmonic frequencies, 1/cm."""
    smiles: tuple[str, str]
    """SMILES of GDB-17 and of the relaxed geometry."""
    inchi: tuple[str, str]
    """InChI of both."""

    def energy(self, key: str) -> float:
        """Return one of `ENERGIES` in eV."""
        value = self.properties["U0" if key == "E" else key]
        return (value - self.properties["zpve"] * (key == "E")) * units.hartree


def is_archive(path: Path) -> bool:
    """Return True if `path` is a folder or has the suffix of an archive."""
    return path.is_dir() or path.name.lower().endswith(tuple(_OPENERS))


def read_archive(path: Path) -> tuple[list[Molecule], str]:
    """Read all molecules of an archive of QM9, or of a folder with its files.

    Parameters
    ----------
    path : Path
        Such as `dsgdb9nsd.xyz.tar.bz2`. Only files whose names end in `.xyz` are read, and nothing
        is unpacked to the disk.

    Returns
    -------
    molecules : list of Molecule
        In the order of their numbers.
    sha256 : str
        SHA-256 of the archive; of a folder, of all its files in the order of their names.

    Raises
    ------
    InputError
        In one line, with file and line, if something is not of the layout or beyond a bound.
    """
    name, digest = quoted(path.name), hashlib.sha256()
    if path.is_dir():
        files = _of_folder(path, digest)
    else:
        packed = read_regular_file(path, MAX_BYTES)
        digest.update(packed)
        files = _of_archive(packed, path, name)
    found: list[Molecule] = []
    for member, content in files:
        if len(found) == MAX_MOLECULES:
            raise InputError(f"dataset {name} has more than {MAX_MOLECULES} molecules")
        found.append(parse(content, f"dataset {name}, {one_line(member)}"))
    if not found:
        raise InputError(f"dataset {name} has no files that end in .xyz")
    found.sort(key=lambda molecule: molecule.number)
    for first, second in zip(found, found[1:], strict=False):
        if first.number == second.number:
            raise InputError(f"dataset {name} has molecule {first.number} twice")
    return found, digest.hexdigest()


def _of_folder(path: Path, digest: "hashlib._Hash") -> Iterator[tuple[str, bytes]]:
    for file in sorted(path.glob("*.xyz")):
        content = read_bytes(file, MAX_FILE_BYTES + 1)
        digest.update(content)
        yield file.name, content


def _of_archive(content: bytes, path: Path, name: str) -> Iterator[tuple[str, bytes]]:
    """Yield names and contents of the files of an archive, as they come."""
    suffix = next(suffix for suffix in _OPENERS if path.name.lower().endswith(suffix))
    try:
        with (
            _OPENERS[suffix](io.BytesIO(content)) as unpacked,
            tarfile.open(fileobj=_Bounded(unpacked, name), mode="r|") as archive,
        ):
            for member in archive:
                opened = archive.extractfile(member) if member.isfile() else None
                if opened is not None and member.name.lower().endswith(".xyz"):
                    yield Path(member.name).name, opened.read(MAX_FILE_BYTES + 1)
    except (OSError, EOFError, ValueError, tarfile.TarError, lzma.LZMAError, zlib.error) as error:
        reason = f"{type(error).__name__}: {error}".splitlines()[0][:200]
        raise InputError(f"dataset {name} is not a usable archive: {reason}") from None


_OPENERS: dict[str, Callable[[io.BytesIO], Any]] = {
    ".tar.bz2": bz2.open, ".tar.gz": gzip.open, ".tar.xz": lzma.open, ".tar": lambda file: file,
}  # fmt: skip


class _Bounded(io.RawIOBase):
    """File that refuses to unpack more than `MAX_BYTES`, whatever its headers declare."""

    def __init__(self, file: IO[bytes], name: str) -> None:
        self._file, self._name, self._passed = file, name, 0

    def read(self, size: int = -1) -> bytes:
        left = MAX_BYTES - self._passed
        content = self._file.read(left + 1 if size < 0 else min(size, left + 1))
        self._passed += len(content)
        if self._passed > MAX_BYTES:
            raise InputError(f"dataset {self._name} unpacks to more than {MAX_BYTES} bytes")
        return content


def parse(content: bytes, name: str) -> Molecule:
    """Read the file of one molecule.

    Parameters
    ----------
    content : bytes
    name : str
        Name for messages.

    Raises
    ------
    InputError
        In one line: what was expected in which line.
    """
    if len(content) > MAX_FILE_BYTES:
        raise InputError(f"{name} has more than {MAX_FILE_BYTES} bytes")
    try:
        lines = content.decode("ascii").splitlines()
    except UnicodeDecodeError:
        raise InputError(f"{name} is not a text of ASCII characters") from None
    n_atoms = _count(lines, name)
    numbers, coordinates = _atoms(lines[2 : n_atoms + 2], name)
    number, properties = _properties(lines[1], name)
    line = n_atoms + 3
    frequencies = _values(lines[line - 1].split(), f"{name}, line {line}")
    if len(frequencies) not in (3 * n_atoms - 6, 3 * n_atoms - 5):
        raise InputError(
            f"{name}, line {line}: expected {3 * n_atoms - 6} or {3 * n_atoms - 5} frequencies, "
            f"got {len(frequencies)}"
        )
    return Molecule(
        number, numbers, coordinates[:, :3], coordinates[:, 3], properties, frequencies,
        _two(lines[line], f"{name}, line {line + 1}", "SMILES"),
        _two(lines[line + 1], f"{name}, line {line + 2}", "InChI"),
    )  # fmt: skip


def _count(lines: list[str], name: str) -> int:
    """Number of atoms, if the file has as many lines as it implies."""
    first = lines[0].strip() if lines else ""
    if not first.isdecimal() or not 1 <= len(first) <= 4 or not 1 <= int(first) <= MAX_ATOMS:
        raise InputError(
            f"{name}, line 1: expected the number of atoms, 1 to {MAX_ATOMS}, got {quoted(first)}"
        )
    n_atoms = int(first)
    if len(lines) != n_atoms + 5:
        raise InputError(
            f"{name} has {len(lines)} lines; expected {n_atoms + 5} for {n_atoms} atoms",
            hint="files of QM9 end with frequencies, SMILES and InChI",
        )
    return n_atoms


def _properties(line: str, name: str) -> tuple[int, dict[str, float]]:
    words = line.split()
    if len(words) != len(PROPERTIES) + 2 or words[0] != "gdb" or not words[1].isdecimal():
        raise InputError(
            f"{name}, line 2: expected `gdb`, a number and {len(PROPERTIES)} properties, got "
            f"{quoted(line[:60])}"
        )
    if len(words[1]) > 9:
        raise InputError(f"{name}, line 2: the number of the molecule has {len(words[1])} digits")
    values = _values(words[2:], f"{name}, line 2")
    return int(words[1]), dict(zip(PROPERTIES, values.tolist(), strict=True))


def _atoms(lines: list[str], name: str) -> tuple[npt.NDArray[np.int64], Array]:
    """Atomic numbers (n_atoms,), and positions and charges (n_atoms, 4)."""
    numbers, rows = [], []
    for place, line in enumerate(lines, 3):
        words = line.split()
        if len(words) != 5 or words[0] not in ELEMENTS:
            raise InputError(
                f"{name}, line {place}: expected one of {', '.join(sorted(ELEMENTS))}, three "
                f"coordinates and a charge, got {quoted(line[:60])}"
            )
        numbers.append(atomic_numbers[words[0]])
        rows.append(_values(words[1:], f"{name}, line {place}"))
    return np.array(numbers, np.int64), np.array(rows)


def _values(words: list[str], place: str) -> Array:
    """Numbers, of which an exponent may be written `*^`."""
    try:
        values = np.array([float(word.replace("*^", "e")) for word in words])
    except ValueError:
        raise InputError(f"{place}: expected numbers, got {quoted(' '.join(words)[:60])}") from None
    if not (np.abs(values) <= LARGEST).all():
        raise InputError(f"{place}: a number is not finite, or beyond {LARGEST:g}")
    return values


def _two(line: str, place: str, what: str) -> tuple[str, str]:
    words = line.split()
    if len(words) != 2:
        raise InputError(f"{place}: expected two {what}, got {len(words)}")
    return words[0], words[1]
