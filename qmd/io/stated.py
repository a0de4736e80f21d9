"""Physics that a structure file states: it is honoured, or refused by name, never dropped."""

import re
from typing import Any, NamedTuple

import numpy as np
from ase.data import chemical_symbols

from qmd.errors import InputError, decimal_comma, quoted
from qmd.system.isotopes import HEAVY_HYDROGEN_U

_CHARGES = "charge", "total_charge", "net_charge"
_MULTIPLICITIES = {"multiplicity": 0, "spin_multiplicity": 0, "uhf": 1}
"""Entries of a comment line, and what is to be added: `uhf` counts the unpaired electrons."""
_COLUMNS = {
    "mass": "give the masses (u) in a column named masses",
    "isotope": "give the masses (u) in a column named masses",
    "isotopes": "give the masses (u) in a column named masses",
}
_MOMENTS = {"initial_charges": "charges of atoms", "initial_magmoms": "magnetic moments of atoms"}


def read_heavy_hydrogen(lines: list[str], name: str) -> tuple[list[str], dict[int, float]]:
    """Return the lines of an XYZ file with D and T as H, and the masses (u) of these atoms.

    Raises
    ------
    InputError
        If a symbol is that of no element; the line names symbol and atom.
    """
    lines, masses = list(lines), {}
    for atom in range(len(lines) - 2):
        symbol, _, rest = lines[atom + 2].strip().partition(" ")
        if symbol in HEAVY_HYDROGEN_U:
            lines[atom + 2], masses[atom] = f"H {rest}", HEAVY_HYDROGEN_U[symbol]
        elif symbol.isalpha() and symbol.capitalize() not in chemical_symbols[1:]:
            raise InputError(f"{name}: atom {atom + 1} is of an unknown element, {quoted(symbol)}")
    return lines, masses


def read_heavy_hydrogen_of_pdb(lines: list[str], name: str) -> tuple[list[str], dict[int, float]]:
    """Do the same for the lines of a PDB file, by the element in columns 77-78."""
    lines, masses, atom = list(lines), dict[int, float](), -1
    for number, line in enumerate(lines):
        if not line.startswith(("ATOM  ", "HETATM")):
            continue
        atom += 1
        symbol = line[76:78].strip()
        if symbol in HEAVY_HYDROGEN_U:
            lines[number] = f"{line[:76]} H{line[78:]}"
            masses[atom] = HEAVY_HYDROGEN_U[symbol]
        elif symbol.capitalize() not in chemical_symbols[1:]:
            raise InputError(f"{name}: atom {atom + 1} is of an unknown element, {quoted(symbol)}")
    return lines, masses


def hydrogen_by_element(text: str, name: str) -> str:
    """Return the text of an XYZ file of many frames with D and T as H, for ASE.

    Raises
    ------
    InputError
        If a symbol is that of no element; the line names frame, symbol and atom.
    """
    lines, at, frame = text.splitlines(), 0, 0
    while at < len(lines) and (count := lines[at].strip()):
        if count.startswith("VEC"):  # a cell, which ASE reads from lines behind the atoms
            at += 1
            continue
        place = f"{name}, frame {frame}"
        if not count.isdecimal() or len(count) > 9:
            raise InputError(f"{place}: expected the number of atoms, got {quoted(count)}")
        end = at + 2 + int(count)
        if end > len(lines):
            raise InputError(f"{place} promises {count} atoms, but has {len(lines) - at - 2}")
        check_columns(lines[at:end], place)
        lines[at:end], _ = read_heavy_hydrogen(lines[at:end], place)
        at, frame = end, frame + 1
    return "\n".join([*lines, ""])


_PROPERTIES = re.compile(r"""Properties['"]?\s*=\s*['"{]?([^\s'"}]+)""", re.IGNORECASE)


def check_columns(frame: list[str], name: str) -> None:
    """Refuse a frame of extended XYZ whose comment line promises more columns than it has.

    ASE takes memory for all that are promised before it reads the first.

    Raises
    ------
    InputError
        In one line, with both numbers.
    """
    if len(frame) < 3:
        return
    found = len(frame[2].split())
    for properties in _PROPERTIES.findall(frame[1]):
        counts = properties.split(":")[2::3]
        if any(not count.isdecimal() or len(count) > 9 for count in counts):
            raise InputError(f"{name}: {quoted(properties)} has no numbers of columns")
        promised = sum(map(int, counts))
        if promised > found:
            raise InputError(f"{name} promises {promised} columns, but has {found}")


def unreadable(what: str, error: Exception, text: str) -> InputError:
    """Return the refusal of a file with which a parser of ASE failed, in its own way.

    Parameters
    ----------
    what : str
        Beginning of the line, such as ``'a.xyz' is not a valid xyz file``.
    error : Exception
    text : str
        Content of the file.
    """
    symbol = error.args[0] if isinstance(error, KeyError) and error.args else None
    if not (isinstance(symbol, str) and symbol.isalpha()):
        return InputError(f"{what} ({type(error).__name__})", decimal_comma(text))
    numbers = (n for n, line in enumerate(text.splitlines(), 1) if symbol in _words(line))
    where = next((f" (line {number})" for number in numbers), "")
    heavy = symbol.capitalize() in HEAVY_HYDROGEN_U
    return InputError(
        f"{what}: {quoted(symbol)} is the symbol of no element{where}",
        hint="write H, and give the masses by `system.masses_u`" if heavy else None,
    )


def _words(line: str) -> list[str]:
    words = line.split()
    return [*words, *(word.capitalize() for word in words)]


class Stated(NamedTuple):
    """Charge and multiplicity that a file states; None where it states nothing."""

    charge: int | None = None
    multiplicity: int | None = None


NOTHING = Stated()


def read_stated(atoms: Any, name: str) -> Stated:
    """Return what a frame states; refuse spins, isotopes and charges of atoms by name.

    Parameters
    ----------
    atoms : ase.Atoms
    name : str
        Name of the file, for messages.

    Raises
    ------
    InputError
        By the name of the entry.
    """
    info = atoms.info | getattr(atoms.calc, "results", {})
    if "spin" in info and not np.all(np.asarray(info["spin"]) == 0):
        raise InputError(
            f"{name} states spin {quoted(str(info['spin']))}, which programs read in several ways",
            hint="state `multiplicity`, 2S + 1, in its place",
        )
    for column, advice in _COLUMNS.items():
        if column in atoms.arrays:
            raise InputError(f"{name} has a column {column}, which would be dropped", advice)
    for column, what in _MOMENTS.items():
        if column in atoms.arrays and np.any(atoms.arrays[column]):
            raise InputError(
                f"{name} states {what}, which would be dropped",
                hint="remove the column; state the `charge` of all atoms in the comment line",
            )
    charges = {key: _whole(info[key], key, name) for key in _CHARGES if key in info}
    spins = {
        key: _whole(info[key], key, name) + added
        for key, added in _MULTIPLICITIES.items()
        if key in info
    }
    stated = Stated(_agreed(charges, name), _agreed(spins, name))
    if stated.multiplicity is not None and stated.multiplicity < 1:
        raise InputError(f"{name} states multiplicity {stated.multiplicity}; expected 1 or more")
    return stated


def _whole(value: Any, key: str, name: str) -> int:
    try:
        number = float(np.asarray(value).reshape(()))
        if number.is_integer():
            return int(number)
    except (TypeError, ValueError):
        pass
    raise InputError(f"{name} states {key} {quoted(str(value))}; expected a whole number")


def _agreed(values: dict[str, int], name: str) -> int | None:
    if len(set(values.values())) > 1:
        raise InputError(f"{name} contradicts itself: {', '.join(values)} differ")
    return next(iter(values.values()), None)


def require_neutral(stated: Stated, name: str) -> None:
    """Refuse a charge or open shell for what treats neutral closed shells.

    Raises
    ------
    InputError
        By the name of what is stated.
    """
    for what, value, neutral in (
        ("charge", stated.charge, 0),
        ("multiplicity", stated.multiplicity, 1),
    ):
        if value not in (None, neutral):
            raise InputError(
                f"{name} states {what} {value}; only `dft`, `fci` and some calculators take it",
                hint=f"remove the {what} if the molecule is neutral with paired electrons",
            )


_MOL_CHARGES = {"1": 3, "2": 2, "3": 1, "5": -1, "6": -2, "7": -3}
"""Codes of charges in the atom lines of a MOL file; 4 is a radical."""


def read_mol(lines: list[str], name: str) -> Stated:
    """Return charge and multiplicity of a MOL file, which ASE does not read.

    Raises
    ------
    InputError
        If it states isotopes, or radicals whose spins may add up in several ways.
    """
    n_atoms = int(lines[3][:3]) if len(lines) > 3 and lines[3][:3].strip().isdecimal() else 0
    charges: list[int] = []
    radicals: list[int] = []
    for number, line in enumerate(lines[4 : 4 + n_atoms], 1):
        difference, code = line[34:36].strip(), line[36:39].strip()
        if difference not in ("", "0"):
            raise InputError(
                f"{name}: atom {number} has a mass difference, which would be dropped", _BY_KEY
            )
        if code == "4":
            radicals.append(2)
        elif code in _MOL_CHARGES:
            charges.append(_MOL_CHARGES[code])
        elif code not in ("", "0"):
            raise InputError(f"{name}: atom {number} has the unknown charge code {quoted(code)}")
    if any(line.startswith("M  ISO") for line in lines):
        raise InputError(f"{name} states isotopes (M  ISO), which would be dropped", _BY_KEY)
    found = {key: _properties(lines, key, name) for key in ("CHG", "RAD")}
    if found["CHG"] or found["RAD"]:  # they replace the codes of the atom lines
        charges, radicals = found["CHG"], found["RAD"]
    if len([spin for spin in radicals if spin != 1]) > 1:
        raise InputError(f"{name} states several radicals, whose spins may add up in several ways")
    multiplicity = max(radicals) if radicals else None
    return Stated(sum(charges) if charges else None, multiplicity)


_BY_KEY = "remove it, and give the masses by `system.masses_u`"


def _properties(lines: list[str], key: str, name: str) -> list[int]:
    """Return the values of the lines ``M  KEY``: pairs of an atom and a value."""
    values: list[int] = []
    for line in lines:
        if line.startswith(f"M  {key}"):
            try:
                _, *pairs = map(int, line[6:].split())
            except ValueError:
                raise InputError(f"{name}: the line {quoted(line.strip())} is damaged") from None
            values += pairs[1::2]
    return values


def read_pdb(lines: list[str], name: str) -> Stated:
    """Return the charge of a PDB file; refuse atoms without an element, or in alternate places.

    Elements are never guessed from the names of atoms: ` CA ` is a carbon, `CA  ` calcium.

    Raises
    ------
    InputError
        By the serial number of the first such atom.
    """
    atoms = [line for line in lines if line.startswith(("ATOM  ", "HETATM"))]
    bare = [line[6:11].strip() for line in atoms if not line[76:78].strip()]
    if bare:
        raise InputError(
            f"{name}: {len(bare)} atoms have no element in columns 77-78, the first is {bare[0]}",
            hint="write the elements; they are not guessed from the names of atoms",
        )
    charges: list[int] = []
    for line in atoms:
        serial = line[6:11].strip()
        if line[16:17].strip():
            raise InputError(
                f"{name}: atom {serial} is in the alternate location {line[16]}",
                hint="keep one conformer, with column 17 blank",
            )
        charge = re.fullmatch(r"(\d)([+-])|([+-])(\d)|0?", line[78:80].strip())
        if charge is None:
            raise InputError(
                f"{name}: atom {serial} has the charge {quoted(line[78:80].strip())}; expected a "
                "digit and a sign, as 1-",
            )
        size, sign = charge[1] or charge[4], charge[2] or charge[3]
        charges.append(int(sign + size) if size else 0)
    if not any(line[78:80].strip() for line in atoms):
        return NOTHING
    n_models = max(1, sum(line.startswith("ENDMDL") for line in lines))
    models = np.array_split(np.array(charges), n_models)
    totals = {f"the charge of model {n}": int(each.sum()) for n, each in enumerate(models, 1)}
    return Stated(_agreed(totals, name))
