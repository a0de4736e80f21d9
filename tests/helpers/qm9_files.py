"""Molecules in the layout of QM9, typed after its documentation, and archives of them."""

import io
import tarfile
from pathlib import Path
from typing import Any

METHANE = (
    "5\n"
    "gdb 1\t157.7118\t157.70997\t157.70699\t0.\t13.21\t-0.3877\t0.1171\t0.5048\t35.3641\t0.044749"
    "\t-40.47893\t-40.476062\t-40.475117\t-40.498597\t6.469\t\n"
    "C\t-0.0126981359\t 1.0858041578\t 0.0080009958\t-0.535689\n"
    "H\t 0.002150416\t-0.0060313176\t 0.0019761204\t 0.133921\n"
    "H\t 1.0117308433\t 1.4637511618\t 2.0*^-4\t 0.133922\n"
    "H\t-0.540815069\t 1.4475266138\t-0.8766437152\t 0.133923\n"
    "H\t-0.5238136345\t 1.4379326443\t 0.9063972942\t 1.3*^-1\n"
    "1341.307\t1341.3284\t1341.365\t1562.6731\t1562.7453\t3038.3205\t3151.6034\t3151.6788\t3151.7078\n"
    "C\tC\t\n"
    "InChI=1S/CH4/h1H4\tInChI=1S/CH4/h1H4\n"
)
CYANIDE = (
    "3\n"
    "gdb 5\t0.\t44.593883\t44.593883\t2.8937\t12.99\t-0.3604\t0.0191\t0.3796\t48.7476\t0.016601"
    "\t-93.411888\t-93.40937\t-93.408425\t-93.431246\t6.278\t\n"
    "C\t-0.0133239314\t 1.1324657151\t 0.0082758861\t 0.107274\n"
    "N\t 0.0023107217\t-0.0191585934\t 0.0019287752\t-0.335147\n"
    "H\t-0.0278026991\t 2.1990764116\t 0.0141558966\t 0.227873\n"
    "799.0101\t799.0101\t2198.4393\t3490.3686\n"
    "C#N\tC#N\t\n"
    "InChI=1S/CHN/c1-2/h1H\tInChI=1S/CHN/c1-2/h1H\n"
)


def archive(path: Path, files: dict[str, str]) -> Path:
    """Write an archive with `files`, compressed as the name of `path` says."""
    mode: Any = "w:" + path.suffix[1:].replace("tar", "")
    with tarfile.open(path, mode) as tar:
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(text)
            tar.addfile(member, io.BytesIO(text.encode()))
    return path
