"""The command line in a folder of its own."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import INPUT, WATER, Answer

from qmd.cli.app import app


@pytest.fixture
def qmd(tmp_path: Path, monkeypatch, capfd) -> Callable[..., Answer]:
    """Run a command line in a folder that holds an input and a structure."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "fsync", lambda fd: None)
    (tmp_path / "input.yaml").write_text(INPUT)
    (tmp_path / "water.xyz").write_text(WATER)

    def run(*arguments: str) -> Answer:
        with pytest.raises(SystemExit) as end:
            app(list(arguments), prog_name="qmd")
        return Answer(end.value.code or 0, *capfd.readouterr())

    return run
