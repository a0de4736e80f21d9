"""Parts of pages that commands write, between two markers."""

from pathlib import Path


def write(page: Path, name: str, text: str) -> None:
    """Put `text` between the markers `<!-- NAME -->` and `<!-- /NAME -->` of a page."""
    begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    before, found, rest = page.read_text().partition(begin)
    _, closed, after = rest.partition(end)
    if not (found and closed):
        raise SystemExit(f"{page} has no markers {begin} and {end}")
    page.write_text(f"{before}{begin}\n{text}\n{end}{after}")
