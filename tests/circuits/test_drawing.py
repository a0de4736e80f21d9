"""Drawings hold the gates of the layers asked for."""

from typing import Any

import pytest
from circuit_instances import part, star

from qmd.circuits import drawing
from qmd.errors import InputError
from qmd.potentials import sivqlm, vqlm


def boxes(text: str, name: str) -> int:
    """Boxes of a name, each counted once a wire."""
    return text.count(name)


@pytest.mark.parametrize("n_layers", [1, 3])
def test_text_has_one_box_for_each_gate_of_the_shown_layers(n_layers):
    text = drawing.text(part(sivqlm.water()), n_layers)
    assert f"4 qubits, {n_layers} of 11 layers shown" in text
    assert boxes(text, "singlet") == 4  # two pairs
    assert boxes(text, "V(v1)") == boxes(text, "V(v2)") == 2 * (n_layers + 1)
    assert boxes(text, "RH(J6)") == 4 * n_layers  # RH14 and RH23 share it
    assert boxes(text, "RH(J5)") == 2 * n_layers
    assert boxes(text, "||") == 4 * (n_layers + 1)


def test_gates_with_the_ancilla_and_rz_are_drawn():
    text = drawing.text(part(sivqlm.water_dimer(2, symmetry_breaking=True)))
    assert boxes(text, "V(v6)") == 2 * 2  # on atom 6 and on the ancilla, before and after
    assert boxes(text, "RZ(J4)") == 7 and boxes(text, "RZ(J3)") == 1


def test_sums_that_do_not_commute_are_one_box():
    model: Any = star(4).model
    assert boxes(drawing.text(part(model.architecture)), "RH(J1)") == 4


def test_elementary_gates_are_those_of_the_reference():
    model = part(sivqlm.lih())
    one, two = (drawing.text(model, n, gates=True) for n in (1, 2))
    assert boxes(one, "IsingXX") == 2 * 3 and boxes(two, "IsingXX") == 2 * 6
    assert "RH" not in one
    assert boxes(one, "||") == 4 * 2 and boxes(two, "||") == 4 * 3


def test_barriers_of_the_generic_circuit_stand_between_its_layers():
    text = drawing.text(part(vqlm.lih(3)), 2)
    wire = next(line for line in text.splitlines() if line.startswith("0:"))
    start, first, second, end = wire.split("||")
    assert "RX" in start and "RY" not in start and "IsingZZ" not in start
    assert "RY" in first and "RY" in second and "IsingZZ" in first
    assert "<Z>" in end


@pytest.mark.parametrize("model", [sivqlm.lih(), vqlm.lih(2)])
def test_pictures_mark_their_layers(model: Any, tmp_path, monkeypatch):
    from matplotlib.axes import Axes

    said = []
    original = Axes.text

    def record(self, x, y, s, *args, **options):
        if str(s).startswith("layer"):
            said.append((x, s))
        return original(self, x, y, s, *args, **options)

    monkeypatch.setattr(Axes, "text", record)
    path = tmp_path / "circuit.png"
    drawing.picture(part(model), path, 2)
    assert path.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    n = part(model).n_layers
    assert [s for _, s in said] == [f"layer 1 of {n}", f"layer 2 of {n}"]
    assert said[0][0] < said[1][0]


def test_a_picture_of_an_unknown_format_is_refused_with_the_known_ones(tmp_path):
    with pytest.raises(
        InputError, match=r"circuit\.docx: expected a suffix of .*pdf, .*png, .*svg"
    ):
        drawing.picture(part(sivqlm.water()), tmp_path / "circuit.docx", 2)
    assert list(tmp_path.iterdir()) == []
