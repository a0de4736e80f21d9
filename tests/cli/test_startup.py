"""A short run starts at once: nothing is imported that it does not use."""

import os
import subprocess
import sys
from pathlib import Path

from qmd.cli.kinds import template

ROOT = Path(__file__).parents[2]
HEAVY = (
    "jax", "jaxlib", "pennylane", "equinox", "MDAnalysis", "ase.io", "rich", "scipy.linalg",
    "matplotlib", "netCDF4", "optax", "pandas",
)  # fmt: skip


def modules_after(*arguments: str | Path) -> tuple[set[str], str]:
    """What a new process has imported after a command line, and what it wrote to stdout."""
    code = (
        "import sys\n"
        "from qmd.cli.app import app\n"
        "try:\n"
        "    app(sys.argv[1:])\n"
        "finally:\n"
        "    print(*sys.modules, file=sys.stderr)\n"
    )
    process = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    return set(process.stderr.split()), process.stdout


def test_a_run_of_ten_steps_imports_nothing_heavy(tmp_path: Path) -> None:
    (tmp_path / "input.yaml").write_text(template("run"))
    modules, output = modules_after("run", tmp_path / "input.yaml", "--set", "steps=10")
    assert "10 steps in " in output
    assert {"numpy", "numba"} <= modules
    assert not modules & set(HEAVY)


def test_help_needs_no_numerics(tmp_path: Path) -> None:
    for arguments in (["--help"], ["run", "--help"], ["--version"], ["init"]):
        modules, output = modules_after(*arguments)
        assert output
        assert not modules & {"numpy", "numba", *HEAVY}


def test_numba_stays_able_to_load_scipy_later() -> None:
    # Where a process of ours goes on to compile `np.dot`, the import that was kept out must work.
    code = (
        "import sys; from qmd.cli.startup import numba_without_blas; numba_without_blas()\n"
        "assert 'scipy.linalg' not in sys.modules\n"
        "import scipy.linalg.cython_blas\n"
    )
    subprocess.run(
        [sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": str(ROOT)}, check=True
    )
