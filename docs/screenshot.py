"""The picture of a report in docs/analyze.md, taken in a real browser.

    python docs/screenshot.py

Needs the extra `test`, and Debian's chromium.
"""

import shutil
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

from qmd.analysis import report as analysis_report
from qmd.analysis.analyze import analyze
from qmd.report import page
from qmd.run import session
from qmd.run.config import load_config

ROOT = Path(__file__).parents[1]
TARGET = ROOT / "docs" / "images" / "report.png"
CHANGES = ["steps=4000", "output.trajectory_every=1", "output.log_every=1"]
FLAGS = ["--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]


def main():
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "water"
        session.run(load_config(ROOT / "runs" / "water-nve" / "input.yaml", CHANGES), run)
        report = run / "report.html"
        page.write(report, analysis_report.page(analyze(run)))
        with sync_playwright() as play:
            browser = play.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
            view = browser.new_page(viewport={"width": 1000, "height": 1300})
            view.goto(report.as_uri())
            view.wait_for_function("document.body.dataset.viewer", timeout=60_000)
            view.wait_for_timeout(2000)
            view.screenshot(path=TARGET)
            browser.close()


if __name__ == "__main__":
    main()
