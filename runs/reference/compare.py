"""The shipped models against their references: docs/dynamics.md.

    python runs/reference/compare.py

Takes what trajectories are there, whole or not; needs the extra `reference`. Reports go to `output`
here.
"""

import argparse
from pathlib import Path

from qmd.analysis import comparison_report, series
from qmd.analysis.compare import Comparison, compare
from qmd.analysis.potential_of_run import potential_of_package
from qmd.forces.catalogue import load_package
from qmd.report import page

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "docs" / "dynamics.md"
MODELS = {"lih": "sivqlm-lih", "h2o": "sivqlm-h2o", "h2o-dimer": "sivqlm-h2o-dimer"}
HEAD = """\
<!-- Written by runs/reference/compare.py; do not edit. -->

# Dynamics against DFT

Does a trained circuit reproduce the dynamics of the method that it was trained on? Each shipped
model starts like a trajectory of its reference method (`runs/reference`), with the same time step.
`qmd compare NAME runs/reference/FOLDER` produces these tables and a report with figures. [Analyse
and compare](analyze.md) explains each row. The limits are choices of this project.

"""


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--points", type=int, default=20, help="reference energies on each path")
    args = parser.parse_args()
    sections = []
    for folder, name in MODELS.items():
        if not (HERE / folder / "trajectory.nc").exists():
            print(f"{folder}: no trajectory")
            continue
        reference = series.read(HERE / folder)
        found = compare(
            potential_of_package(load_package(name, HERE)), reference, points=args.points
        )
        page.write(HERE / "output" / f"{folder}.html", comparison_report.page(found))
        print(f"{folder}: {found.verdict}")
        sections.append(section(name, found))
    PAGE.write_text(HEAD + "\n".join(sections))


def section(name: str, found: Comparison) -> str:
    """Verdict, drift of both, and each criterion."""
    table = comparison_report.verdict_table(found)
    rows = [table.head, ("---",) * len(table.head), *table.rows]
    ours, theirs = found.drift
    text = (
        f"## {name}\n\nAgainst {found.reference.name}, {found.model.times_ps[-1]:g} ps in steps of "
        f"{found.reference.timestep_fs:g} fs: **{found.verdict}**.\n\n"
    )
    text += "\n".join("| " + " | ".join(row) + " |" for row in rows)
    text += (
        f"\n\nDrift, meV/atom/ps: model {ours.drift_meV_per_atom_ps:.1e} +- "
        f"{ours.drift_error_meV_per_atom_ps:.0e}, reference {theirs.drift_meV_per_atom_ps:.1e} +- "
        f"{theirs.drift_error_meV_per_atom_ps:.0e}; rms fluctuation, meV/atom: "
        f"{ours.fluctuation_meV_per_atom:.3f} and {theirs.fluctuation_meV_per_atom:.3f}. Largest "
        f"net force of the reference: {net_force(found):.0e} eV/angstrom.\n"
    )
    return text + "".join(f"\n{note}\n" for note in found.notes)


def net_force(found: Comparison) -> float:
    """Largest component of the sum of the forces over the frames, eV/angstrom."""
    return float(abs(found.reference.forces.sum(axis=1)).max())


if __name__ == "__main__":
    main()
