"""A report as data, and as one self-contained HTML file."""

import base64
from dataclasses import dataclass, field
from pathlib import Path

from qmd import __version__
from qmd.io import files
from qmd.report.viewer import Viewer

MAX_BYTES = 5_000_000
"""A report stays smaller, so that it can be sent by mail."""


@dataclass(frozen=True)
class Figure:
    """A picture with its words."""

    png: bytes
    caption: str


@dataclass(frozen=True)
class Table:
    """Rows of text; "yes" and "NO" are coloured."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Section:
    """A heading and what stands below it."""

    title: str
    text: str = ""
    table: Table | None = None
    figures: tuple[Figure, ...] = ()
    viewer: Viewer | None = None


@dataclass(frozen=True)
class Page:
    """A report."""

    title: str
    lead: str
    verdict: str = ""
    """ "same", "differs" or nothing."""
    sections: tuple[Section, ...] = field(default=())


def write(path: Path, page: Page) -> None:
    """Make the HTML file.

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
    """The HTML text: no address in it is ever fetched."""
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
