"""Export to ASE: a Python file that contains the calculator, the program and the card."""

import base64
import pprint
import textwrap
import zlib
from pathlib import Path

from qmd.export import ase_source
from qmd.export.card import UNITS, card
from qmd.export.program import PLATFORMS, single
from qmd.potentials import Package


def encode(package: Package) -> bytes:
    """Return the source of `qmd.export.ase_source` and its data, in UTF-8; deterministic."""
    n = len(package.species)
    signature = {"PROGRAM": f"float64[{n},3] -> (energy float64[], forces float64[{n},3])"}
    data = pprint.pformat(
        card(package, "ase", UNITS, signature, PLATFORMS), width=100, sort_dicts=False
    )
    program = base64.b64encode(zlib.compress(single(package), 9)).decode()
    lines = "\n".join(textwrap.wrap(program, 96))
    source = Path(ase_source.__file__).read_text(encoding="utf-8")
    return f'{source}\n\nCARD = {data}\n\nPROGRAM = """\n{lines}\n"""\n'.encode()
