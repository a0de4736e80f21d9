"""One way to write: planted links are not followed, and the disk has it before the name does."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from qmd import atomic, potentials
from qmd.label.frames import label_frames
from qmd.potentials import evaluate


def _label(folder: Path) -> Path:
    def label(positions: np.ndarray) -> dict[str, np.ndarray]:
        return {"E": np.array(positions.sum())}

    path = folder / "labels.npz"
    label_frames(label, np.ones((2, 1, 3)), path, {"Z": np.array([1])}, {}, log=lambda text: None)
    with np.load(path, allow_pickle=False) as data:
        assert data["E"].tolist() == [3.0, 3.0]
    return path


def _package(folder: Path) -> Path:
    package = potentials.load(potentials.find("sivqlm-lih"))
    kernel, path = package.native(), folder / "lih.qmdp"
    digest = potentials.save(path, package, lambda x: evaluate(kernel, x))
    assert potentials.load(path).sha256 == digest
    return path


def _text(folder: Path) -> Path:
    path = folder / "record.json"
    atomic.write_text(path, "{}\n")
    return path


WRITERS = [_label, _package, _text]


@pytest.mark.parametrize("write", WRITERS)
def test_a_planted_link_is_not_followed(write: Callable[[Path], Path], tmp_path: Path) -> None:
    name = write(tmp_path).name
    victim, here = tmp_path / "victim", tmp_path / "here"
    here.mkdir()
    victim.write_text("not yours")
    for planted in (name, name + ".tmp", name.removesuffix(".npz") + ".tmp.npz"):
        if not (here / planted).is_symlink() and planted != name:
            (here / planted).symlink_to(victim)
    path = write(here)
    assert victim.read_text() == "not yours"
    assert path.is_file() and not path.is_symlink()


@pytest.mark.parametrize("write", WRITERS)
def test_the_content_is_on_the_disk_before_the_name_is(
    write: Callable[[Path], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[str] = []
    fsync, replace = os.fsync, os.replace

    def noted_fsync(fd: int) -> None:
        events.append("fsync")
        fsync(fd)

    def noted_replace(*paths: Path) -> None:
        events.append("replace")
        replace(*paths)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(os, "replace", noted_replace)
    write(tmp_path)
    last = len(events) - 1 - events[::-1].index("replace")
    assert events[last - 1 : last + 2] == ["fsync", "replace", "fsync"]  # file, name, folder
