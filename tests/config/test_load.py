"""Keys of earlier releases work under their old names, with a note that gives the new ones."""

from pathlib import Path

import pytest

from qmd.config.load import LoadedConfig, load
from qmd.errors import InputError, decimal_comma
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


@pytest.mark.parametrize(
    ("more", "overrides", "message", "advice"),
    [
        (
            "starts:\n  scored_below_eV: 0,5\n",
            (),
            "got the text '0,5'",
            "0,5 has a decimal comma; write 0.5",
        ),
        ("", ("starts.scored_below_eV=1,25",), "'1,25'", "1,25 has a decimal comma; write 1.25"),
        (
            "starts: {scored_below_eV: 0,5}\n",
            (),
            "unknown key '5' in starts",
            "a comma ends a value: numbers have a decimal point, as in 0.5",
        ),
    ],
)
def test_a_decimal_comma_is_named(
    tmp_path: Path, more: str, overrides: tuple[str, ...], message: str, advice: str
) -> None:
    with pytest.raises(InputError, match=message) as error:
        loaded(tmp_path, more, *overrides)
    assert error.value.hint == advice


@pytest.mark.parametrize("text", ["1,2-dichloroethane", "a,b", "rpbe,pbe", "f(1,2)", "1.0 2.0"])
def test_other_commas_are_no_decimal_commas(text: str) -> None:
    assert decimal_comma(text) is None
