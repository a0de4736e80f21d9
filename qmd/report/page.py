"""Report as data, and as one self-contained HTML file."""

import base64
from dataclasses import dataclass, field
from pathlib import Path

from qmd import __version__
from qmd.io import files
from qmd.report.viewer import Viewer

MAX_BYTES = 5_000_000
"""Largest size of a report, so that it can be sent by mail."""


@dataclass(frozen=True)
class Figure:
    """Picture with its caption."""

    png: bytes
    caption: str


@dataclass(frozen=True)
class Table:
    """Table of text; the cells "yes" and "NO" are coloured."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Section:
    """Heading, with the text, table, figures and viewer below it."""

    title: str
    text: str = ""
    table: Table | None = None
    figures: tuple[Figure, ...] = ()
    viewer: Viewer | None = None


@dataclass(frozen=True)
class Page:
    """Report."""

    title: str
    lead: str
    verdict: str = ""
    """Verdict: "same", "differs" or empty."""
    sections: tuple[Section, ...] = field(default=())


def write(path: Path, page: Page) -> None:
    """Write the HTML file.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    text = render(page)
    with files.output_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    files.write_text(path, text)


def render(page: Page) -> str:
    """Return the HTML text, which fetches nothing from the network."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("qmd.report", ""), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters["base64"] = lambda data: base64.b64encode(data).decode()
    viewers = [section.viewer for section in page.sections if section.viewer]
    script = viewers[0].script if viewers else ""
    template = environment.get_template("page.html.jinja")
    return template.render(page=page, script=script, version=__version__)
