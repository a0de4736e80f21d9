"""`qmd potential check, evaluate, draw, resources`: what they print, and how they end."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from qmd.audit import audit
from qmd.audit.findings import Finding, Verdict
from qmd.cli.app import app
from qmd.forces import jax_cache

ROOT = Path(__file__).parents[2]
LABELS = ROOT / "runs" / "labels-h2o" / "h2o.npz"


class Answer(NamedTuple):
    code: int
    out: str
    err: str


Run = Callable[..., Answer]


@pytest.fixture
def potential(tmp_path: Path, monkeypatch, capfd) -> Iterator[Run]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(jax_cache, "use_compilation_cache", lambda: tmp_path)

    def run(*arguments: str) -> Answer:
        with pytest.raises(SystemExit) as end:
            app(["potential", *arguments], prog_name="qmd")
        return Answer(end.value.code or 0, *capfd.readouterr())

    yield run


def labels() -> dict[str, np.ndarray]:
    with np.load(LABELS) as file:
        return dict(file)


def assert_one_line(answer: Answer, code: int, *words: str) -> None:
    assert answer.code == code, answer
    cause, *hint = answer.err.splitlines()
    assert cause.startswith("qmd: ") and len(hint) <= 1
    assert all(word in answer.err for word in words), answer.err


def findings(verdict: Verdict) -> list[Finding]:
    return [
        Finding("rotation: energy", 1e-3, 1e-12, "eV", Verdict.BY_DESIGN),
        Finding("rotation: forces", 2.0, 1e-10, "eV/A", verdict, "here"),
    ]


@pytest.mark.parametrize("arguments", [(), ("--json",)])
def test_check_ends_with_0_unless_something_fails(potential: Run, monkeypatch, arguments):
    asked = {}

    def pretended(package, *, n_geometries, seed, quick, log):
        asked.update(n=n_geometries, seed=seed, quick=quick, name=package.name)
        return found

    monkeypatch.setattr(audit, "audit", pretended)
    found = findings(Verdict.PASS)
    good = potential("check", "sivqlm-h2o", "--geometries", "3", "--seed", "5", *arguments)
    assert good.code == 0 and good.err == ""
    assert asked == {"n": 3, "seed": 5, "quick": False, "name": "sivqlm-h2o"}
    found = findings(Verdict.FAIL)
    bad = potential("check", "sivqlm-h2o", "--quick", *arguments)
    assert asked["quick"]
    assert_one_line(bad, 4, "1 of 2 checks failed", "rotation: forces")
    if arguments:
        assert json.loads(good.out)["passed"] is True and json.loads(bad.out)["passed"] is False
    else:
        assert "broken, by design" in good.out and "FAIL" not in good.out and "FAIL" in bad.out


def test_evaluate_prints_json_with_the_documented_keys(potential: Run, tmp_path):
    data = labels()
    few = slice(0, 40)
    np.savez("labels.npz", Z=data["Z"], R=data["R"][few], E=data["E"][few] + 3, F=data["F"][few])
    answer = potential("evaluate", "sivqlm-h2o", "labels.npz", "--json", "--fit-offset")
    assert answer.code == 0
    told = json.loads(answer.out)
    assert set(told) == {
        "mse_energy_eV2", "mse_forces_eV2_per_A2", "mae_energy_meV", "mae_forces_meV_per_A", "n",
        "energy_offset_eV", "n_outside_domain", "n_atoms", "mse_stress_eV2_per_A6",
        "mae_stress_meV_per_A3",
    }  # fmt: skip
    assert told["n_atoms"] == 3 and told["mse_stress_eV2_per_A6"] is None
    assert told["n"] == 40
    # The card of the model: 31 meV below 10 eV, so that the mean of 40 is known to 0.1 eV.
    assert told["energy_offset_eV"] == pytest.approx(3, abs=0.1)
    table = potential("evaluate", "sivqlm-h2o", "labels.npz")
    assert "40 frames" in table.out and "meV/A" in table.out


def test_evaluate_refuses_in_one_line(potential: Run, tmp_path):
    assert_one_line(potential("evaluate", "sivqlm-h2o", "none.npz"), 2, "none.npz")
    assert_one_line(potential("evaluate", "nothing", "none.npz"), 3, "'nothing'")
    wrong = labels()
    np.savez(
        "swapped.npz", Z=wrong["Z"][::-1], R=wrong["R"][:5], E=wrong["E"][:5], F=wrong["F"][:5]
    )
    assert_one_line(potential("evaluate", "sivqlm-h2o", "swapped.npz"), 3, "H H O", "reorder")
    np.savez("labels.npz", Z=wrong["Z"], R=wrong["R"][:5], E=wrong["E"][:5], F=wrong["F"][:5])
    answer = potential("evaluate", "sivqlm-h2o", "labels.npz", "--energy-key", "E7")
    assert_one_line(answer, 2, "'E7'")


def test_draw_writes_a_picture_or_prints(potential: Run, tmp_path):
    assert potential("draw", "sivqlm-h2o", "-o", "water.png").out.strip() == "water.png"
    assert (tmp_path / "water.png").stat().st_size > 5000
    text = potential("draw", "sivqlm-h2o", "--text", "--layers", "99").out
    assert "11 of 11 layers" in text  # no more than there are
    answer = potential("draw", "sivqlm-h2o", "--circuit", "pair")
    assert_one_line(answer, 2, "'pair'", "sivqlm-h2o")
    assert_one_line(potential("draw", "sivqlm-h2o", "-o", "water.what"), 2, "water.what")
    assert_one_line(potential("draw", "sivqlm-h2o", "-o", "none/water.png"), 5, "none")


def test_resources_as_table_and_json(potential: Run):
    table = potential("resources", "sivqlm-h2o")
    assert table.code == 0 and "CNOTs, best known cost per gate" in table.out
    (circuit,) = json.loads(potential("resources", "sivqlm-h2o", "--json").out)["circuits"]
    # Two blocks of four Heisenberg pairs in 11 layers, and two singlets.
    assert circuit["two_qubit_gates"] == 2 * 4 * 11 + 2


def test_a_trained_peer_has_a_card(potential: Run):
    peers = ROOT / "runs" / "train-h2o-peers"
    said = {
        "polynomial-h2o": "invariant polynomial of degree 7, 71 trained parameters",
        "vqlm-h2o": "generic circuit: 3 qubits, 11 layers, 82 trained parameters",
    }
    for name, line in said.items():
        code, out, _ = potential("info", str(peers / f"{name}.qmdp"))
        assert code == 0 and line in " ".join(out.split()), out


def test_flexible_water_has_a_card_for_its_atoms(potential: Run):
    one = potential("info", "spc-fw", "--structure", "h2o").out
    two = potential("info", "spc-fw").out
    assert "Wu, Tepper, Voth" in one and "point charges" not in one
    assert "point charges of 2 molecules: -0.82, 0.41 e" in two
    assert_one_line(potential("info", "spc-fw", "--structure", "lih"), 3, "O,H,H; lih has Li,H")
    assert_one_line(potential("info", "sivqlm-lih", "--structure", "h2o"), 3, "Li,H; h2o has")
    assert_one_line(potential("draw", "spc-fw"), 3, "no circuit")
    listed = potential("list").out
    assert "spc-fw" in listed and "committee" in listed


def test_flexible_water_is_evaluated_on_the_molecules_of_the_labels(potential: Run, tmp_path):
    data = labels()
    few = np.argsort(data["E"])[:40]
    np.savez("labels.npz", Z=data["Z"], R=data["R"][few], E=data["E"][few], F=data["F"][few])
    told = json.loads(potential("evaluate", "spc-fw", "labels.npz", "--json", "--fit-offset").out)
    # The 40 lowest labels; a bond that is 0.04 A longer is off by 46 eV/A^2 (0.04 A)^2 / 2 a bond.
    assert told["n"] == 40 and told["mae_energy_meV"] < 500
