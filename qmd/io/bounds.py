"""Bounds of structure files: what a file declares is compared with its size and with limits.

Readers of ASE take memory for what a file promises before they read it, and make an object of a few
kilobytes for each frame, however short. So the text is counted first, and what the counts cannot
bound is refused by the name of its format.
"""

from qmd.errors import InputError, quoted
from qmd.io.foreign.crystals import count_poscar

FORMATS = frozenset({"extxyz", "xyz", "proteindatabank", "mol", "gen", "turbomole", "vasp", "cif"})
"""ASE's names of the formats that are read."""
KNOWN = "xyz, pdb, mol, gen, Turbomole coord, POSCAR, cif, ASE db"
MAX_FRAMES = 100_000
"""Largest number of frames of a text file; each takes some 5 kB in memory."""
MAX_COLUMNS = 1_000_000
"""Largest length of a line."""
MAX_CIF_LINES = 20_000
"""Largest number of lines of a CIF file."""
ONE = "write the one structure you mean to a file of its own"


def other_format(kind: str, name: str) -> InputError:
    """Return the refusal of a file whose format is not read; `kind` is ASE's name of it, or ""."""
    found = f": it is {quoted(kind)}" if kind else ""
    return InputError(
        f"{name} is not in a format that qmd reads ({KNOWN}){found}",
        hint="`ase convert FILE molecule.xyz` converts others",
    )


def check_text(
    lines: list[str], kind: str, name: str, *, max_frames: int, max_atoms: int | None = None
) -> None:
    """Refuse a file that declares more than it holds, or holds more than is read.

    Parameters
    ----------
    lines : list of str
        Lines of the file.
    kind : str
        One of `FORMATS`.
    name : str
        Name of the file, for messages.
    max_frames : int
        Largest number of frames.
    max_atoms : int, optional
        Largest number of atoms of a frame.

    Raises
    ------
    InputError
        In one line, with the number found and the limit.
    """
    longest = max(map(len, lines), default=0)
    if longest > MAX_COLUMNS:
        raise InputError(f"{name} has a line of more than {MAX_COLUMNS} characters")
    counters = {
        "proteindatabank": _pdb, "mol": _mol, "gen": _gen, "turbomole": _turbomole,
        "vasp": count_poscar, "cif": _cif,
    }  # fmt: skip
    frames = counters[kind](lines, name) if kind in counters else _xyz(lines, name)
    if len(frames) > max_frames:
        if max_frames == 1:
            raise InputError(f"{name} has more than one frame", ONE)
        raise InputError(
            f"{name} has {len(frames)} frames; at most {max_frames}",
            hint="write them as arrays Z and R (and E and F) to an .npz file",
        )
    if 0 in frames:
        number = f", frame {frames.index(0)}," if len(frames) > 1 else ""
        raise InputError(f"{name}{number} has no atoms")
    if max_atoms is not None and max(frames) > max_atoms:
        raise InputError(f"{name} has {max(frames)} atoms; expected 1 to {max_atoms}")


def _count(text: str, what: str, n_lines: int, name: str) -> int:
    """Return a number of lines that a file declares, if it has so many."""
    if not text.isdecimal() or len(text) > 9:
        raise InputError(f"{name}: expected the number of {what}, got {quoted(text)}")
    if int(text) > n_lines:
        raise InputError(f"{name} promises {int(text)} {what}, but has {max(n_lines, 0)}")
    return int(text)


def _xyz(lines: list[str], name: str) -> list[int]:
    frames: list[int] = []
    at = 0
    while at < len(lines) and (count := lines[at].strip()):
        if count.startswith("VEC"):  # a cell, which ASE reads from lines behind the atoms
            at += 1
            continue
        place = f"{name}, frame {len(frames)}" if frames else name
        frames.append(_count(count, "atoms", len(lines) - at - 2, place))
        at += 2 + frames[-1]
    return frames


def _pdb(lines: list[str], name: str) -> list[int]:
    """Count the atoms of each model; ASE makes a frame at each line that begins with END."""
    frames: list[int] = []
    atoms = 0
    for line in lines:
        atoms += line.startswith(("ATOM", "HETATM"))
        if line.startswith("END"):
            frames.append(atoms)
            atoms = 0
    return [*frames, atoms] if atoms or not frames else frames


def without_end(lines: list[str]) -> list[str]:
    """Return the lines of a PDB file without END behind its models, where ASE sees a frame."""
    if not any(line.startswith("ENDMDL") for line in lines):
        return lines
    return [line for line in lines if line.strip() != "END"]


def _mol(lines: list[str], name: str) -> list[int]:
    counts = lines[3] if len(lines) > 3 else ""
    if "V3000" in counts:
        raise InputError(f"{name} is a mol file of version V3000; expected V2000")
    n_atoms = _count(counts[:3].strip(), "atoms", len(lines) - 4, name)
    _count(counts[3:6].strip() or "0", "bonds", len(lines) - 4 - n_atoms, name)
    return [n_atoms]


def _gen(lines: list[str], name: str) -> list[int]:
    words = lines[0].split() if lines else []
    return [_count(words[0] if words else "", "atoms", len(lines) - 2, name)]


def _cif(lines: list[str], name: str) -> list[int]:
    """Count the blocks; each line is a site at most, of which symmetry makes up to 192 atoms."""
    if len(lines) > MAX_CIF_LINES:
        raise InputError(f"{name} has more than {MAX_CIF_LINES} lines; write it as extended XYZ")
    blocks = sum(line.lstrip().lower().startswith("data_") for line in lines)
    return [1] * max(1, blocks)


def _turbomole(lines: list[str], name: str) -> list[int]:
    begin = next((n for n, line in enumerate(lines) if line.strip().startswith("$coord")), None)
    if begin is None:
        raise InputError(f"{name} has no group $coord")
    rest = lines[begin + 1 :]
    return [next((n for n, line in enumerate(rest) if line.startswith("$")), len(rest))]
