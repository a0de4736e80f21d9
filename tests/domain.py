"""Pull a hydrogen out of every shipped model: `python tests/domain.py [MODEL ...]`.

The hydrogen whose alarm comes last moves away from its nearest atom by 0.01 angstrom a step: how
far is it when the trained domain warns and stops, and where does the force on it differ by more
than 0.5 eV/angstrom from the method that made the training data? `--reference` computes that, which
takes minutes. `--docs FILE` writes the table of the file between the markers of a page. Exit code
1: an alarm comes after the error.
"""

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

sys.path[:0] = [str(Path(__file__).parent / "helpers"), str(Path(__file__).parents[1])]

import pages  # noqa: E402
from shipped_models import RESULTS, STRUCTURES, Shipped, kept, save, shipped  # noqa: E402

from qmd.data.domains import FARTHEST_PULL_A, last_noticed, pull  # noqa: E402
from qmd.forces.dft import DFT  # noqa: E402
from qmd.forces.fci import FCI  # noqa: E402
from qmd.potentials import evaluate  # noqa: E402

REFERENCE_STEP_A, WRONG_EV_PER_A = 0.1, 0.5
RMD17 = DFT("PBE/def2-SVP", "pbe,pbe", "def2-svp", None)
METHODS: dict[str, Any] = {"sivqlm-lih": FCI(), "sivqlm-h2o": DFT(), "sivqlm-h2o-dimer": DFT()}
"""What made the training data; of the others, rMD17, PBE/def2-SVP."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", default=list(STRUCTURES))
    parser.add_argument("--json", type=Path, default=RESULTS / "domain.json",
                        help="figures, kept after each model")  # fmt: skip
    parser.add_argument("--reference", action="store_true", help="compare with the method")
    parser.add_argument("--docs", type=Path, help="page whose table is written anew")
    parser.add_argument("--only-docs", action="store_true", help="compute nothing")
    options = parser.parse_args()
    found = kept(options.json)
    for label in [] if options.only_docs else options.models:
        if "warn_A" not in found.setdefault(label, {}):
            found[label] |= alarms(shipped(label))
        if options.reference and "wrong_A" not in found[label]:
            found[label] |= errors(shipped(label), found[label]["hydrogen"])
        save(options.json, found)
        print(label, found[label], flush=True)
    if options.docs:
        pages.write(options.docs, "domain", table(found))
    return any(is_late(one) for one in found.values())


def is_late(one: dict[str, Any]) -> bool:
    """Return True if the force is wrong before the domain warns."""
    return one.get("wrong_A") is not None and one["wrong_A"] < one["warn_A"]


def alarms(model: Shipped) -> dict[str, Any]:
    """Find the hydrogen whose alarm comes last, and where it warns and stops."""
    species, start = tuple(model.system.symbols), model.system.positions
    found = last_noticed(model.package.domain, species, start)
    assert found is not None
    return {
        "hydrogen": found.atom,
        "warn_A": found.warns_after_A,
        "stop_A": found.stops_after_A,
        "date": time.strftime("%Y-%m-%d"),
    }


def errors(model: Shipped, hydrogen: int) -> dict[str, Any]:
    """Find where the force on the hydrogen is wrong; None if it is right everywhere."""
    method = METHODS.get(model.name, RMD17)
    kernel, rows = model.package.native(), []
    for by in np.arange(0, FARTHEST_PULL_A, REFERENCE_STEP_A):
        x = pull(model.system.positions, hydrogen, np.array([by]))[0]
        known = method.energy_and_forces(model.system.numbers, x)[1]
        error = float(np.linalg.norm(evaluate(kernel, x)[1][hydrogen] - known[hydrogen]))
        rows.append([round(float(by), 2), round(error, 4)])
        if error > WRONG_EV_PER_A:
            break
    wrong = rows[-1][0] if rows[-1][1] > WRONG_EV_PER_A else None
    return {"errors_eV_per_A": rows, "wrong_A": wrong}


def table(found: dict[str, Any]) -> str:
    """Return what was found as a table."""
    lines = [
        "| model | hydrogen | warns at | stops at | force wrong at | alarm | date |",
        "| --- | ---: | ---: | ---: | ---: | --- | --- |",
    ]
    for label in STRUCTURES:
        if one := found.get(label):
            wrong, alarm = "not compared", ""
            if "wrong_A" in one:
                at = one["wrong_A"]
                wrong = "nowhere" if at is None else f"+{at:.1f} angstrom"
                alarm = "late" if is_late(one) else "in time"
            lines.append(
                f"| {label} | {one['hydrogen']} | +{one['warn_A']:.2f} angstrom "
                f"| +{one['stop_A']:.2f} angstrom | {wrong} | {alarm} | {one['date']} |"
            )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
