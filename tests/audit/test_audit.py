"""The audit passes a good potential and finds what is wrong with a bad one."""

import dataclasses
import json
import re
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from qmd.audit import audit
from qmd.audit.agreement import audit_eager, audit_forces, audit_native, audit_pennylane
from qmd.audit.domain import audit_domain
from qmd.audit.findings import (
    AuditContext,
    Finding,
    Verdict,
    audit_context,
    distorted,
    finding_within,
)
from qmd.audit.smoothness import QUANTITIES, audit_smoothness, scans
from qmd.audit.symmetry import audit_symmetry, exchanges
from qmd.cli.cards import card
from qmd.data.domains import outside
from qmd.potentials import (
    Architecture,
    Circuit,
    Domain,
    LinearVectors,
    ManyBody,
    Package,
    Parameters,
    Quantum,
    ShortRangeWall,
    Sum,
    Switched,
    sivqlm,
    vqlm,
    water_pair,
)
from qmd.potentials.classical.water import water_baseline

WATER = np.array([[0.0, 0.0, 0.0], [0.766, 0.5985, 0.0], [-0.766, 0.5985, 0.1]])
DIMER = np.concatenate([WATER, WATER @ np.diag([1.0, -1.0, 1.0]) + [0.3, -2.9, 0.4]])


def quantum(architecture: Architecture, *, alpha: float = 0.5) -> Quantum:
    """A circuit with random couplings and energies of order 1 eV."""
    return Quantum(architecture, trained(architecture, alpha))


def trained(architecture: Architecture, alpha: float = 0.5) -> Parameters:
    rng, circuit = np.random.default_rng(3), architecture.circuit
    return Parameters(
        np.full((1, architecture.features.n_scales), alpha),
        0.5 * rng.standard_normal((circuit.n_layers, circuit.n_couplings)),
        np.ones(len(circuit.observables)),
        np.asarray(0.1),
    )


def package(model: Any, positions: np.ndarray = WATER, margin: float = 0.3) -> Package:
    """A package around one geometry; distances may change by `margin` angstrom."""
    pairs = np.array([(i, j) for i in range(len(positions)) for j in range(i + 1, len(positions))])
    found = np.linalg.norm(positions[pairs[:, 0]] - positions[pairs[:, 1]], axis=1)
    warn = np.stack([found - margin, found + margin], axis=1)
    return Package(
        name="trial", description="", species=("O", "H", "H") * (len(positions) // 3), model=model,
        reference_energy_eV=0.0, domain=Domain(pairs, warn, warn), training={}, citation="",
        licence="", test_positions=positions[None],
    )  # fmt: skip


def verdicts(findings: list[Finding]) -> dict[str, Verdict]:
    return {finding.what: finding.verdict for finding in findings}


@pytest.fixture(scope="module")
def water() -> AuditContext:
    return audit_context(package(quantum(sivqlm.water(2, 1))), 6, seed=0)


def test_a_good_model_passes(water):
    findings = audit_domain(water) + audit_symmetry(water) + audit_forces(water)
    findings += audit_smoothness(water)
    assert set(verdicts(findings).values()) == {Verdict.PASS}
    names = set(verdicts(findings))
    for word in ("translation", "rotation", "reflection", "exchange H2 H3"):
        assert {f"{word}: energy", f"{word}: forces"} <= names
    assert not audit.failed(findings)


@pytest.fixture
def as_installed() -> Iterator[None]:
    """Without the strict promotion of `conftest`, which PennyLane does not keep to."""
    import jax

    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


def interpreters(context):
    return [*audit_eager(context), *audit_native(context), *audit_pennylane(context)]


@pytest.mark.slow  # half a minute of compilation
def test_the_interpreters_of_a_good_model_agree(as_installed):
    findings = interpreters(audit_context(package(quantum(sivqlm.water(1, 1))), 2, seed=0))
    assert set(verdicts(findings).values()) == {Verdict.PASS}
    assert len(findings) == 6


def test_a_quick_audit_says_what_it_does_and_what_it_leaves_out(monkeypatch):
    said: list[str] = []
    tried = package(quantum(sivqlm.water(1, 1)))
    found = audit.audit(tried, n_geometries=9, quick=True, log=said.append)
    assert not audit.failed(found)
    left_out = [f.what for f in found if f.verdict == Verdict.SKIPPED]
    assert left_out == [
        "scans for jumps", "compiled JAX against eager", "PennyLane against JAX"
    ]  # fmt: skip
    assert {"rotation: forces", "forces against differences", "native against JAX: forces"} <= {
        f.what for f in found
    }
    assert re.fullmatch(r"4 checks of trial at 5 geometries: about \d+ s on .*", said[0])
    assert [line.split(" (")[0] for line in said[1:]] == [
        "1 of 5: compilation", "2 of 5: domain", "3 of 5: symmetries",
        "4 of 5: forces against differences", "5 of 5: native kernel against JAX",
    ]  # fmt: skip
    assert "(0 s passed, about" in said[1]


def test_a_whole_audit_is_announced_with_all_its_parts():
    steps = audit._steps(package(quantum(sivqlm.water(2, 1))))
    more = audit._steps(package(quantum(sivqlm.water(2, 2))))
    assert len(steps) == 8 and all(step.seconds > 0 for step in steps)
    assert steps[-1].seconds == 20  # one circuit
    assert more[0].seconds >= steps[0].seconds  # a larger program


def test_the_rest_of_an_audit_takes_longer_on_a_busy_machine(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(audit.time, "monotonic", lambda: now[0])
    said: list[str] = []
    steps = [audit.Step(name, lambda context: [], 10.0, True) for name in "abc"]
    clock = audit._Clock(steps, said.append)
    assert clock.left == 30
    clock.begin()
    now[0] = 20.0  # twice the estimate
    clock.begin()
    assert said == ["1 of 3: a (0 s passed, about 30 s left)",
                    "2 of 3: b (20 s passed, about 40 s left)"]  # fmt: skip


def test_geometries_are_random_but_inside_the_domain_and_repeat(water):
    assert not outside(water.package.domain, water.positions).any()
    assert np.abs(np.diff(water.positions, axis=0)).max() > 0.01
    again, other = (distorted(water.package, 6, np.random.default_rng(seed)) for seed in (0, 1))
    np.testing.assert_array_equal(again, water.positions[1:])
    assert not np.array_equal(other, again)


def test_broken_rotation_is_by_design_with_z_rotations_alone():
    model = quantum(sivqlm.water(2, 1, symmetry_breaking=True))
    findings = audit_symmetry(audit_context(package(model), 4, seed=0))
    found = verdicts(findings)
    assert found["rotation: energy"] == found["rotation: forces"] == Verdict.BY_DESIGN
    size = next(f.measured for f in findings if f.what == "rotation: energy")
    assert size is not None and size > 1e-6  # the size is told, far above rounding
    assert found["rotation about z: energy"] == found["rotation about z: forces"] == Verdict.PASS
    assert found["translation: energy"] == found["exchange H2 H3: energy"] == Verdict.PASS
    assert not audit.failed(findings)


def test_an_ancilla_claims_reflections_even_where_rotation_is_broken():
    model = quantum(sivqlm.water_dimer(1, symmetry_breaking=True), alpha=0.3)
    found = verdicts(audit_symmetry(audit_context(package(model, DIMER), 2, seed=0)))
    assert found["reflection: energy"] == found["reflection: forces"] == Verdict.PASS
    assert found["rotation: energy"] == Verdict.BY_DESIGN


def test_hydrogens_that_are_told_apart_fail():
    good = sivqlm.water(2, 1)
    uneven = LinearVectors(((-1.0, 1.0, 0.0), (-0.9, 0.0, 0.9)), (0, 0))
    model = quantum(Architecture(uneven, good.circuit))
    findings = audit_symmetry(audit_context(package(model), 2, seed=0))
    assert [f.what for f in audit.failed(findings)] == [
        "exchange H2 H3: energy", "exchange H2 H3: forces",
    ]  # fmt: skip


def test_the_generic_circuit_does_not_claim_to_know_like_atoms():
    findings = audit_symmetry(audit_context(package(vqlm.water(2)), 2, seed=0))
    found = verdicts(findings)
    assert found["exchange H2 H3: energy"] == Verdict.BY_DESIGN
    assert found["rotation: energy"] == found["reflection: energy"] == Verdict.PASS


def test_chirality_without_an_ancilla_is_found():
    # Four vectors in space have a handedness, and so has a circuit with complex amplitudes.
    circuit = Circuit(
        n_qubits=4, n_layers=2, singlets=((0, 1), (2, 3)),
        encoding=tuple(sivqlm.water_dimer().circuit.encoding[:4]),
        layer=sivqlm.water(1, 1).circuit.layer, observables=sivqlm.water().circuit.observables,
    )  # fmt: skip
    rows = tuple(tuple(float(a == b) - float(a == 0) for a in range(6)) for b in (1, 2, 4, 5))
    model = quantum(Architecture(LinearVectors(rows, (0, 0, 0, 0)), circuit), alpha=0.3)
    found = verdicts(audit_symmetry(audit_context(package(model, DIMER), 2, seed=0)))
    assert found["reflection: energy"] == Verdict.BY_DESIGN
    assert found["rotation: energy"] == Verdict.PASS


def test_exchanges_are_of_atoms_bonded_alike_and_of_like_molecules():
    species = ("O", "H", "H") * 2
    names = [exchange.name for exchange in exchanges(species, DIMER)]
    assert names == ["H2 H3", "H5 H6", "molecules 1 2"]
    orders = {exchange.name: exchange.order for exchange in exchanges(species, DIMER)}
    assert orders["molecules 1 2"] == (3, 4, 5, 0, 1, 2)
    assert orders["H5 H6"] == (0, 1, 2, 3, 5, 4)
    assert exchanges(("Li", "H"), np.array([[0.0, 0, 0], [0, 0, 1.6]])) == []
    hydrogen = exchanges(("H", "H"), np.array([[0.0, 0, 0], [0, 0, 0.74]]))
    assert [exchange.order for exchange in hydrogen] == [(1, 0)]


def test_wrong_forces_fail(water):
    wrong = dataclasses.replace(water, forces=water.forces * (1 + 1e-5))
    assert [f.what for f in audit.failed(audit_forces(wrong))] == ["forces against differences"]


def test_an_interpreter_that_disagrees_fails(water, monkeypatch, as_installed):
    from qmd import potentials

    def off(kernel: Any, x: np.ndarray) -> tuple[float, np.ndarray]:
        energy, forces = evaluate(kernel, x)
        return energy + 1e-10, forces

    evaluate = potentials.evaluate
    monkeypatch.setattr(potentials, "evaluate", off)
    assert [f.what for f in audit.failed(interpreters(water))] == ["native against JAX: energy"]


@pytest.mark.parametrize(("alpha", "verdict"), [(2.0, Verdict.PASS), (4.0, Verdict.FAIL)])
def test_angles_that_wrap_around_fail(water, alpha, verdict):
    # |v| = alpha r; with bonds of 0.8 to 1.2 angstrom, pi is passed between alpha = 2.6 and 3.9.
    steep = package(quantum(sivqlm.water(1, 1), alpha=alpha))
    findings = audit_domain(dataclasses.replace(water, package=steep))
    assert verdicts(findings)["largest encoding angle"] == verdict


def test_test_vectors_outside_the_domain_fail(water):
    far = dataclasses.replace(water.package, test_positions=1.5 * water.package.test_positions)
    findings = audit_domain(dataclasses.replace(water, package=far))
    assert verdicts(findings)["test vectors outside the domain"] == Verdict.FAIL


def test_a_number_that_is_not_finite_fails(water):
    energies = water.energies.copy()
    energies[1] = np.nan
    findings = audit_domain(dataclasses.replace(water, energies=energies))
    assert verdicts(findings)["energies or forces not finite"] == Verdict.FAIL
    assert finding_within("", float("nan"), 1.0, "").verdict == Verdict.FAIL


class Kinked:
    """``(r - 1)^2 / 2`` in the bond O1-H2, and ``jump (r - at)^order / order!`` beyond `at`."""

    def __init__(self, order: int, jump: float, at: float) -> None:
        self.order, self.jump, self.at = order, jump, at

    def energy(self, x: Any) -> Any:
        import jax.numpy as jnp

        r = jnp.linalg.norm(x[1] - x[0])
        beyond = jnp.where(r > self.at, jnp.maximum(r - self.at, 0.0) ** self.order, 0.0)
        return (r - 1) ** 2 / 2 + self.jump * beyond / (1, 1, 2)[self.order]

    def energy_and_forces(self, x: Any) -> Any:
        import jax

        energy, gradient = jax.value_and_grad(self.energy)(x)
        return energy, -gradient


@pytest.mark.parametrize("order", range(3))
@pytest.mark.parametrize("at", [0.9, 1.1234])
def test_jumps_are_found_where_they_are(water, order, at):
    kinked = SimpleNamespace(
        name="kinked", species=water.package.species, domain=water.package.domain,
        model=water.package.model, test_positions=WATER[None],
        potential=lambda: Kinked(order, 1e-3, at),
    )  # fmt: skip
    findings = audit_smoothness(audit_context(kinked, 0, seed=0))
    broken = audit.failed(findings)
    assert [f.what for f in broken] == [f"jump of the {QUANTITIES[order][0]}"]
    # What is left of the smooth change over the last interval is at most 1e-7 of 1e-3.
    assert broken[0].measured == pytest.approx(1e-3, rel=1e-3)
    assert f"O1-H2 at {at:.4f} A" in broken[0].remark


def test_scans_stay_in_the_domain_and_cross_switches():
    monomer = ShortRangeWall(((0, 1), (0, 2)), (1.2, 1.2), 3.0)
    pair = Switched(Sum((water_baseline(),)), (0, 3), 4.0, 5.0)
    work = audit_context(package(ManyBody(monomer, pair), DIMER), 0, seed=0)
    lines = scans(work)
    across = [line for line in lines if line.marks]
    assert [line.name for line in across] == ["O1-O4"]
    assert across[0].ends[0] < 4.0 < 5.0 < across[0].ends[1]
    # Kinds: O-H bonded, H-H within, and O-O, O-H, H-H between molecules.
    assert len(lines) - len(across) == 5
    for line in lines:
        at = np.linspace(*line.ends, 9)
        x = line.start + (at - line.distance)[:, None, None] * line.direction
        assert line.marks or not outside(work.package.domain, x).any()
    assert not audit.failed(audit_smoothness(work))


def test_scans_cross_the_cut_off_of_densities_between_molecules():
    from qmd.audit.claims import cutoffs

    model = package(Quantum(arch := water_pair.architecture(1, 3), trained(arch)), DIMER)
    assert {c.outer for c in cutoffs(model)} == {arch.features.cutoff}
    assert {(0, 3), (1, 4), (0, 4)} <= {c.between for c in cutoffs(model)}
    alone = SimpleNamespace(package=model, positions=DIMER[None], energies=np.zeros(1))
    marked = [line for line in scans(alone) if line.marks]
    assert sorted(line.name for line in marked) == ["H2-H5", "O1-H5", "O1-O4"]
    assert all(line.ends[0] < arch.features.cutoff < line.ends[1] for line in marked)


def test_the_card_outlines_a_model_of_parts():
    pair = Switched(Sum((water_baseline(), quantum(sivqlm.water_dimer(2)))), (0, 3), 4.0, 5.0)
    text = card(package(ManyBody(quantum(sivqlm.water(1, 1)), pair), DIMER))
    lines = [line.strip() for line in text.splitlines()]
    assert "circuit: 7 qubits, 2 layers, 10 trained parameters" in lines
    assert "charges, repulsion and dispersion of two waters, 13 trained parameters" in lines
    assert "switched off from 4 to 5 A of atoms 1 and 4" in lines


def test_the_table_and_json_tell_the_same(water):
    findings = [
        finding_within("good", 1e-14, 1e-12, "eV"),
        finding_within("bad", float("inf"), 1e-12, "eV", "here"),
        Finding("none", None, None, "", Verdict.SKIPPED, "no native form"),
    ]
    lines = audit.table(findings).splitlines()
    assert len(lines) == 4
    assert lines[2].split() == ["bad", "inf", "1e-12", "eV", "FAIL", "here"]
    told = json.loads(audit.as_json(water.package, findings))
    assert told["passed"] is False and told["potential"] == "trial"
    assert [row["verdict"] for row in told["findings"]] == ["pass", "FAIL", "skipped"]
    assert told["findings"][1]["measured"] is None
