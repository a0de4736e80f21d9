"""The notebooks of the documentation run, and carry no outputs of an earlier run."""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "docs").glob("*.ipynb"))


def test_there_is_a_notebook() -> None:
    assert "python.ipynb" in [path.name for path in NOTEBOOKS]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_a_notebook_is_stored_without_outputs(path: Path) -> None:
    cells = nbformat.read(path, as_version=4).cells
    assert [cell for cell in cells if cell.get("outputs") or cell.get("execution_count")] == []


@pytest.fixture
def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel `python3` of this interpreter, which imports this checkout, and settings apart."""
    specification = tmp_path / "jupyter" / "kernels" / "python3" / "kernel.json"
    specification.parent.mkdir(parents=True)
    command = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    specification.write_text(
        json.dumps({"argv": command, "display_name": "Python 3", "language": "python"})
    )
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    monkeypatch.setenv("JUPYTER_PREFER_ENV_PATH", "0")
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "runtime"))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), *sys.path]))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of Jupyter's client
@pytest.mark.filterwarnings("ignore::ResourceWarning")  # its sockets are left to the collector
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_a_notebook_runs(path: Path, kernel: None, tmp_path: Path) -> None:
    folder = tmp_path / "here"
    folder.mkdir()
    notebook: Any = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(folder)}}
    )
    client.execute()  # raises where a cell does
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    text = "".join(output.get("text", "") for output in outputs)
    assert "2000 steps, 1 ps" in text and "InputError" in text and "Did you mean" in text
    assert sum("image/png" in output.get("data", ()) for output in outputs) == 2
    assert (folder / "water" / "report.html").is_file()
    assert "Warning" not in text


ENDLESS = """
import qmd

settings = {
    "system": {"structure": "h2o", "temperature_K": 300},
    "potential": "sivqlm-h2o",
    "integrator": {"kind": "velocity_verlet", "timestep_fs": 0.5},
    "steps": 10**12,
}
try:
    qmd.run(settings, output="water")
except KeyboardInterrupt as error:
    print(type(error).__name__, error)
"""
RESUMED = """
import json

reached = json.load(open("water/run.json"))["last_session"]["last_step"]
result = qmd.run(settings, set={"steps": reached + 10}, output="water", progress=False)
print("resumed", result.session_steps)
"""


@pytest.mark.slow  # compiles, and waits for bars
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_a_kernel_shows_bars_and_an_interrupt_leaves_a_run_that_resumes(
    kernel: None, tmp_path: Path
) -> None:
    from jupyter_client.manager import KernelManager

    manager = KernelManager(kernel_name="python3")
    manager.start_kernel(cwd=str(tmp_path))
    client = manager.client()
    client.start_channels()
    client.wait_for_ready(timeout=60)
    try:
        shown = messages(client, ENDLESS, lambda: manager.interrupt_kernel())
        assert "Interrupted Stopped by SIGINT at step" in shown
        assert "steps/s" in shown and "ns/day" in shown
        assert "resumed 10" in messages(client, RESUMED)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def messages(client: Any, code: str, interrupt: Any = None) -> str:
    """What a kernel shows of a cell; it is interrupted once a bar has text."""
    request, shown, end = client.execute(code), "", time.monotonic() + 300
    while time.monotonic() < end:
        message = client.get_iopub_msg(timeout=300)
        if message["parent_header"].get("msg_id") != request:
            continue
        shown += json.dumps(message["content"], default=str).replace("\\u2007", " ")
        if interrupt and "ns/day" in shown:
            interrupt()
            interrupt = None
        if message["content"].get("execution_state") == "idle":
            return shown
    raise TimeoutError(shown)
