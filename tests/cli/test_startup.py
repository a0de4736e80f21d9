"""A short run starts at once: nothing is imported that it does not use."""

import os
import subprocess
import sys
from pathlib import Path

from qmd.cli.inputs.kinds import template

ROOT = Path(__file__).parents[2]
HEAVY = (
    "jax", "jaxlib", "pennylane", "equinox", "MDAnalysis", "ase.io", "rich", "scipy.linalg",
    "matplotlib", "netCDF4", "optax", "pandas", "coverage", "cffi", "yaml",
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


def test_numba_leaves_out_what_can_still_be_loaded_later() -> None:
    # Where a process of ours goes on to compile `np.dot`, the imports that were kept out must work.
    code = (
        "import sys; from qmd.cli.startup import numba_without_extras; numba_without_extras()\n"
        "assert not {'scipy.linalg', 'cffi', 'coverage', 'yaml'} & sys.modules.keys()\n"
        "import scipy.linalg.cython_blas, cffi, coverage, yaml\n"
    )
    subprocess.run(
        [sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": str(ROOT)}, check=True
    )


def test_settings_of_numba_in_the_folder_are_read(tmp_path: Path) -> None:
    (tmp_path / ".numba_config.yaml").write_text("developer_mode: 1\n")
    code = (
        "from qmd.cli.startup import numba_without_extras; numba_without_extras()\n"
        "import numba; print(numba.config.DEVELOPER_MODE)\n"
    )
    process = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert process.stdout == "1\n"
