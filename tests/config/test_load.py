"""Keys of earlier releases work under their old names, with a note that gives the new ones."""

from pathlib import Path

import pytest

from qmd.config.load import LoadedConfig, load
from qmd.errors import InputError
from qmd.train.config import TrainConfig

INPUT = """\
name: two
dataset: water.npz
model: {kind: qnn-revised, species: [O, H, H], elements: [H, O]}
stages: [{kind: gauss_newton}]
"""
OTHER = "[{species: [O, O, H, H], dataset: peroxide.npz}]"


def loaded(folder: Path, more: str, *overrides: str) -> LoadedConfig[TrainConfig]:
    path = folder / "train.yaml"
    path.write_text(INPUT + more)
    return load(path, TrainConfig, overrides)


def test_an_old_key_means_the_same_and_is_noted_with_its_line(tmp_path: Path) -> None:
    old = loaded(tmp_path, f"together: {OTHER}\nstarts: {{judged_below_eV: 0.5}}\n")
    new = loaded(tmp_path, f"other_molecules: {OTHER}\nstarts: {{scored_below_eV: 0.5}}\n")
    assert old.sha256 == new.sha256 and new.notes == ()
    first, second = old.notes
    assert first.startswith(f"{tmp_path / 'train.yaml'}:5: together is now other_molecules;")
    assert "starts.judged_below_eV is now starts.scored_below_eV;" in second


def test_an_old_key_on_the_command_line_is_noted_as_such(tmp_path: Path) -> None:
    found = loaded(tmp_path, "", "starts.judged_below_eV=0.5")
    assert found.config.starts.scored_below_eV == 0.5
    assert [note.partition(":")[0] for note in found.notes] == ["--set"]


def test_a_key_under_both_names_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="together is the old name of other_molecules; keep only"):
        loaded(tmp_path, f"together: {OTHER}\nother_molecules: {OTHER}\n")


def test_an_error_below_an_old_key_has_its_line_and_the_new_name(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"train.yaml:6: unknown key 'data' in other_molecules.0"):
        loaded(tmp_path, "together:\n  - {species: [O, H], dataset: a.npz, data: b.npz}\n")
