"""Reports in a real browser: they open offline, ask nobody for anything, and the molecule turns."""

import io
import json
import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from qmd.analysis import analyze, compare, comparison_report
from qmd.analysis import report as analysis_report
from qmd.analysis.condensed.hydrogen_bonds import HydrogenBonds
from qmd.report import page
from qmd.report.figures import histograms, png
from qmd.report.page import Page, Section, Table
from qmd.report.viewer import viewer
from qmd.run import session
from qmd.run.config import load_config

pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::PendingDeprecationWarning"
)
BROWSER = shutil.which("chromium")
FLAGS = [
    "--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip


@pytest.fixture(scope="module")
def reports(tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("report")
    document = {
        "system": {"structure": "h2o", "temperature_K": 300},
        "potential": "sivqlm-h2o",
        "integrator": {"kind": "velocity_verlet", "timestep_fs": 0.5},
        "steps": 1000,
        "output": {"trajectory_every": 1, "log_every": 1, "checkpoint_every": 1000},
    }
    (folder / "input.yaml").write_text(json.dumps(document))
    session.run(load_config(folder / "input.yaml"))
    found = analyze.analyze(folder)
    page.write(folder / "analysis.html", analysis_report.page(found))
    with_itself = compare.compare(found.run, found.run, points=3)
    page.write(folder / "comparison.html", comparison_report.page(with_itself))
    return {name: folder / f"{name}.html" for name in ("analysis", "comparison")}


@pytest.mark.parametrize("name", ["analysis", "comparison"])
def test_a_report_is_one_small_file_that_names_no_address_to_fetch(reports, name):
    text = reports[name].read_text()
    assert reports[name].stat().st_size < page.MAX_BYTES
    outside = text[: text.index("<script>")] + text[text.rindex("</script>") :]
    assert "http" not in outside.replace("http-equiv", "")
    assert text.count("data:image/png;base64,") >= 4


def test_the_number_of_hydrogen_bonds_has_its_error():
    counts = np.tile([1.0, 2.0], 50)  # (0.5 of a standard deviation) / sqrt(100)
    found = SimpleNamespace(
        coordinates=[], hydrogen_bonds=HydrogenBonds(1.5, 1.0, 99, None, counts), diffusion=None
    )
    text = analysis_report._geometry(found).text
    assert text.startswith("1.500 +- 0.050 hydrogen bonds per frame; 100 % of the frames")


@pytest.mark.skipif(BROWSER is None, reason="needs Debian's chromium")
@pytest.mark.parametrize("name", ["analysis", "comparison"])
def test_a_report_opens_offline_in_a_browser(reports, name):
    from playwright.sync_api import sync_playwright

    requests: list[str] = []
    problems: list[str] = []
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=BROWSER, args=FLAGS)
        view = browser.new_page(viewport={"width": 1000, "height": 900})
        view.on("request", lambda r: requests.append(r.url))
        view.on("pageerror", lambda e: problems.append(str(e)))
        view.on("console", lambda m: problems.append(m.text) if m.type == "error" else None)
        view.goto(reports[name].as_uri())
        view.wait_for_function("document.body.dataset.viewer", timeout=60_000)
        assert view.evaluate("document.body.dataset.viewer") == "ready"
        scene = view.locator("#viewer-structure canvas").first
        before = scene.screenshot()
        box = scene.bounding_box()
        assert box is not None
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        view.mouse.move(x, y)
        view.mouse.down()
        view.mouse.move(x + 120, y + 60, steps=5)
        view.mouse.up()
        view.wait_for_timeout(500)
        after = scene.screenshot()
        pictures = view.evaluate("[...document.images].every(i => i.complete && i.naturalWidth)")
        view.emulate_media(media="print")
        printed = view.locator(".viewer").is_visible()
        browser.close()
    assert requests == [reports[name].as_uri()] and not problems
    assert pictures and not printed
    assert different(before, after) > 0.005  # of the pixels: the molecule has turned


def different(first: bytes, second: bytes) -> float:
    from matplotlib.image import imread

    a, b = (imread(io.BytesIO(data)) for data in (first, second))
    assert a.std() > 0.02  # something is drawn
    return float((np.abs(a - b).max(axis=-1) > 0.1).mean())


def test_values_that_do_not_move_have_a_histogram():
    figure = png(lambda axis: histograms(axis, "O-H (A)", [("", np.full((9, 2), 0.96))]))
    moving = np.random.default_rng(0).normal(0.96, 0.02, (9, 2))
    assert figure != png(lambda axis: histograms(axis, "O-H (A)", [("", moving)]))


def test_text_from_a_file_cannot_become_markup():
    nasty = "<script>alert(1)</script>"
    text = page.render(
        Page(nasty, nasty, sections=(Section(nasty, nasty, Table((nasty,), ((nasty,),))),))
    )
    assert nasty not in text and "&lt;script&gt;" in text


def test_the_viewer_takes_frames_that_are_close_in_time():
    positions = np.random.default_rng(0).standard_normal((5000, 2, 3))
    shown = viewer(("H", "</script>"), positions, np.arange(5000) * 5e-4)
    assert shown is not None
    data = json.loads(shown.data)
    assert len(data["structures"]) == 300 and "</script" not in shown.data
    assert data["properties"]["time"]["values"][1] == 0.002  # ps
    assert data["structures"][1]["x"] == pytest.approx(positions[4, :, 0], abs=5e-5)


def test_the_viewer_draws_the_cell_about_whole_molecules():
    water = np.array([[0.0, 0.0, 0.0], [0.96, 0.0, 0.0], [-0.24, 0.93, 0.0]])
    cell = np.array([[9.0, 0.0, 0.0], [2.0, 8.5, 0.0], [-1.5, 1.0, 9.5]])
    apart = water + np.array([[27.1, 8.4, 0.5], [18.1, 8.4, 0.5], [29.1, 16.9, 0.5]])
    cells = np.array([cell, 1.1 * cell])
    shown = viewer(("O", "H", "H"), np.array([apart] * 2), np.arange(2.0), cells, ((0, 1, 2),))
    assert shown is not None
    data = json.loads(shown.data)
    first, second = data["structures"]
    assert data["settings"]["structure"][0]["unitCell"] is True
    np.testing.assert_allclose(np.reshape(first["cell"], (3, 3)), cell)
    np.testing.assert_allclose(np.reshape(second["cell"], (3, 3)), 1.1 * cell, atol=1e-4)
    x = np.array([first[axis] for axis in "xyz"]).T
    np.testing.assert_allclose(x - x[0], water, atol=2e-4)  # four decimals
    centre = x.mean(axis=0) @ np.linalg.inv(cell)
    assert (centre > 0).all() and (centre < 1).all()


def test_the_viewer_shows_fewer_frames_of_many_atoms_and_the_cell_of_a_slab():
    positions = np.random.default_rng(0).random((50, 6000, 3)) * [20, 20, 5]
    cells = np.repeat(np.diag([20.0, 20.0, 0.0])[None], 50, axis=0)
    shown = viewer(("Ar",) * 6000, positions, np.arange(50) * 0.01, cells)
    assert shown is not None
    structures = json.loads(shown.data)["structures"]
    assert len(structures) == 10 and len(shown.data) < 2_500_000
    assert structures[0]["cell"][8] == pytest.approx(5, abs=0.01)


def test_without_chemiscope_a_report_has_no_viewer(monkeypatch):
    monkeypatch.setattr("qmd.report.viewer.find_spec", lambda name: None)
    assert viewer(("H",), np.zeros((2, 1, 3)), np.arange(2.0)) is None


def test_a_folder_that_cannot_be_written_is_one_clear_line(tmp_path):
    from qmd.errors import OutputError

    if os.geteuid() == 0:
        target = Path("/proc/none/report.html")
    else:
        tmp_path.chmod(0o500)
        target = tmp_path / "sub" / "report.html"
    with pytest.raises(OutputError):
        page.write(target, Page("title", "lead"))
