"""Text that grows: what a checkpoint counts is on the disk before it is counted."""

import os
from pathlib import Path
from typing import Any

import pytest

from qmd.errors import OutputError
from qmd.io.text import TextWriter


def test_lines_are_on_the_disk_before_they_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, synced = tmp_path / "log.csv", list[bytes]()
    fsync = os.fsync

    def noted(fd: int) -> None:
        fsync(fd)
        assert os.fstat(fd).st_ino == path.stat().st_ino
        synced.append(path.read_bytes())

    monkeypatch.setattr(os, "fsync", noted)
    writer = TextWriter(path, None, head="step\n")
    writer.write("0\n")
    writer.flush()
    assert synced == []  # readers see it; a power cut may take it
    writer.write("1\n")
    counted: dict[str, Any] = writer.sync()
    assert synced == [b"step\n0\n1\n"] and counted["bytes"] == len(synced[0])
    writer.close()


def test_a_disk_that_does_not_confirm_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = TextWriter(tmp_path / "log.csv", None)

    def fails(fd: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as full:
        full.setattr(os, "fsync", fails)
        with pytest.raises(OutputError, match="log.csv: No space left"):
            writer.sync()
    writer.close()


def test_a_planted_link_is_not_followed(tmp_path: Path) -> None:
    writer = TextWriter(tmp_path / "log.csv", None, head="step\n")
    counted = writer.sync()
    writer.close()
    elsewhere = tmp_path / "elsewhere"
    (tmp_path / "log.csv").rename(elsewhere)
    (tmp_path / "log.csv").symlink_to(elsewhere)
    for synced in (counted, None):
        with pytest.raises(OutputError, match="log.csv"):
            TextWriter(tmp_path / "log.csv", synced, head="0\n")
    assert elsewhere.read_text() == "step\n"


def test_a_resumed_file_goes_on_behind_what_was_counted(tmp_path: Path) -> None:
    writer = TextWriter(tmp_path / "log.csv", None, head="step\n")
    for line in ("0\n", "1\n"):
        writer.write(line)
        writer.flush()
    counted = writer.sync()
    writer.write("2\n")
    writer.close()
    again = TextWriter(tmp_path / "log.csv", counted)
    again.write("3\n")
    assert again.sync()["bytes"] == counted["bytes"] + 2
    again.close()
    assert (tmp_path / "log.csv").read_text() == "step\n0\n1\n3\n"
