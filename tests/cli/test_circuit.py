"""`qmd circuit analyze`: files, numbers and errors."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import Answer, assert_one_line

QUICK = ("--layers", "1", "--draws", "3", "--inputs", "1")


def test_a_layer_has_its_numbers_its_plots_and_a_report(qmd: Callable[..., Answer]) -> None:
    answer = qmd(
        "circuit", "analyze", "qdi", *QUICK, "--widths", "2", "--json", "n.json", "--plots", "p",
        "--report", "r.html",
    )  # fmt: skip
    assert answer.code == 0, answer.err
    assert "24 of 24 parameters kept, 20 of them on |0>" in answer.out
    assert "161 terms accessible, 161 not zero" in answer.out and "report: r.html" in answer.out
    data = json.loads(Path("n.json").read_text())
    assert data["redundancy"][0]["kept"] == 24
    assert data["fourier"]["accessible_terms"] == 161
    assert data["counts"] == {
        "seed": 0, "draws": 3, "inputs": 1, "gradients": 30, "pairs": 300, "data": 1000,
    }  # fmt: skip
    assert data["gradients"][0]["mean"]["error"] > 0
    pictures = {path.name for path in Path("p").iterdir()}
    assert pictures == {"fisher.png", "fourier.png", "gradients.png", "expressibility.png"}
    html = Path("r.html").read_text()
    for title in ("Redundancy", "Fisher information", "Fourier spectrum", "Gradients"):
        assert title in html
    assert "http://" not in html and "https://" not in html and "seed 0" in html


def test_a_circuit_of_a_package_is_analysed_at_its_parameters_too(
    qmd: Callable[..., Answer],
) -> None:
    answer = qmd("circuit", "analyze", "qnn-ethanol", *QUICK, "--widths", "3", "--quiet",
                 "--circuit", "members.1", "--json", "n.json")  # fmt: skip
    assert answer.code == 0 and not answer.out, answer.err
    data = json.loads(Path("n.json").read_text())
    assert (data["name"], data["n_qubits"], data["n_layers"]) == ("members.1", 5, 4)
    # Six couplings of four layers; every encoding of every layer has vectors of its own, and every
    # pair gate a symmetric matrix.
    assert data["n_parameters"] == 24 and data["n_inputs"] == 5 * 4 * 3 + 24 * 6
    assert data["fourier"]["together"] and data["fourier"]["degrees"] == [20]
    assert data["fisher_trained"]["n_draws"] == 1
    assert Path("members.1-circuit.html").is_file()


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ("nothing", 3, ("nothing",)),
        ("qdi --layers 1,x", 2, ("--layers", "1,2,4")),
        ("qdi --features 1000", 2, ("n_features must be 1 to 512",)),
        ("qdi --draws 2", 2, ("--draws", "3")),
        ("sivqlm-lih --widths 2", 2, ("belong to atoms",)),
        ("sivqlm-lih --circuit other", 2, ("no circuit 'other'",)),
    ],
)
def test_wrong_arguments_are_one_line(
    qmd: Callable[..., Answer], arguments: str, code: int, words: tuple[str, ...]
) -> None:
    assert_one_line(qmd("circuit", "analyze", *arguments.split()), code, *words)
    assert not list(Path.cwd().glob("*.html"))


def test_the_function_takes_a_description(tmp_path: Path) -> None:
    import qmd
    from qmd.potentials import QDI

    found = qmd.analyze_circuit(
        QDI(2, 2), layers=[1], widths=[2], draws=3, inputs=1, report=False, progress=False
    )
    assert found.report is None and found.plots == ()
    # The CNOT gates turn Z_1 into Z_0: an RZ before them joins the feature and an RZ behind them.
    assert found.data["n_parameters"] == 12 and "11 of 12 parameters" in found.summary()
    again = qmd.analyze_circuit(
        QDI(2, 2), layers=[1], widths=[2], draws=3, inputs=1, report=False, progress=False
    )
    assert again == found  # the seed determines all numbers
