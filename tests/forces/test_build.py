"""Sums and committees in an input: closed forms, native against Python, spread, identity."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from qmd.errors import InputError, MismatchError
from qmd.forces.build import build_potential, parse_potential
from qmd.forces.runnable import RunnablePotential
from qmd.interop.ase_calculator import QmdCalculator
from qmd.io.structure import load_system
from qmd.potentials import SHIPPED, Committee, Package, load, save
from qmd.run import session
from qmd.run.config import RunConfig, load_config
from qmd.run.setup import set_up
from qmd.run.start import start_state

EMT = {"kind": "ase", "calculator": "ase.calculators.emt.EMT"}
MORSE = {"kind": "morse", "bonds": [[0, 1], [0, 2]], "depth_eV": 4.6, "steepness_per_A": 2.3}
MORSE |= {"length_A": 0.95}
BOND = {"kind": "harmonic_bond", "bonds": [[1, 2]], "stiffness_eV_per_A2": 3.0, "length_A": 1.5}
BEND = {"kind": "harmonic_angle", "angles": [[1, 0, 2]], "stiffness_eV_per_rad2": 3.0}
BEND |= {"angle_deg": 110.0}
PAIR = {"kind": "lennard_jones", "epsilon_eV": 0.001, "sigma_A": 1.0}
CHARGES = {"kind": "point_charges", "charges_e": [-0.2, 0.1, 0.1]}
WATER = load_system("h2o", Path())


@pytest.fixture(autouse=True)
def fast_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda fd: None)


def write(folder: Path, potential: object, **settings: object) -> Path:
    document = {
        "system": {"structure": "h2o", "temperature_K": 300},
        "potential": potential,
        "integrator": {"kind": "velocity_verlet", "timestep_fs": 0.25},
        "steps": 40,
        "output": {"trajectory_every": 10, "log_every": 10, "checkpoint_every": 10},
    }
    path = folder / "input.yaml"
    path.write_text(json.dumps(document | settings))
    return path


def resolved(potential: object, folder: Path = Path()) -> RunnablePotential:
    """As an input would have it, on the built-in water."""
    document = {
        "system": {"structure": "h2o", "velocities": "zero"},
        "potential": potential,
        "integrator": {"kind": "velocity_verlet", "timestep_fs": 0.5},
        "steps": 1,
    }
    return build_potential(RunConfig.model_validate(document).potential, WATER, folder)


def evaluated(potential: object) -> tuple[float, np.ndarray]:
    return resolved(potential).energy_and_forces(WATER.positions)


def together(kind: str, parts: list[object], **more: object) -> dict[str, object]:
    return {"kind": kind, "terms" if kind == "sum" else "members": parts, **more}


NATIVE = ["sivqlm-h2o", MORSE, BOND, BEND, PAIR, CHARGES]


@pytest.mark.parametrize("parts", [NATIVE, [*NATIVE, EMT]], ids=["native", "python"])
def test_sums_are_sums_and_committees_are_means(parts: list[object]) -> None:
    weights = [0.5, 1.0, -0.3, 2.0, 0.1, 1.0, 0.7][: len(parts)]
    alone = [evaluated(part) for part in parts]
    energies, forces = np.array([e for e, _ in alone]), np.array([f for _, f in alone])
    potential = resolved(together("sum", parts, weights=weights))
    assert (potential.model is None) == (EMT in parts)
    energy, total = potential.energy_and_forces(WATER.positions)
    # Some ten roundings of energies and forces below 100.
    assert energy == pytest.approx(np.dot(weights, energies), abs=1e-12)
    np.testing.assert_allclose(total, np.tensordot(weights, forces, 1), atol=1e-12)

    committee = resolved(together("committee", parts))
    assert (committee.model is None) == (EMT in parts)
    energy, mean = committee.energy_and_forces(WATER.positions)
    assert energy == pytest.approx(energies.mean(), abs=1e-12)
    np.testing.assert_allclose(mean, forces.mean(axis=0), atol=1e-12)
    spread = np.sqrt(((forces - forces.mean(axis=0)) ** 2).sum(axis=2).mean(axis=0))
    np.testing.assert_allclose(committee.force_spread(WATER.positions), spread, atol=1e-12)


def test_a_committee_of_one_opinion_has_no_spread_and_a_weight_scales_it() -> None:
    x = WATER.positions
    same = resolved(together("committee", [MORSE, MORSE]))
    np.testing.assert_allclose(same.force_spread(x), 0.0, atol=1e-13)
    inner = together("committee", [MORSE, "spc-fw"])
    outer = resolved(together("sum", [inner, BEND], weights=[-2.0, 1.0]))
    np.testing.assert_allclose(
        outer.force_spread(x), 2 * resolved(inner).force_spread(x), rtol=1e-13
    )
    assert resolved(together("sum", [MORSE, BEND])).force_spread is None


def test_what_is_known_of_the_parts_is_known_of_the_sum() -> None:
    one, both = resolved("sivqlm-h2o").source, resolved(together("sum", ["sivqlm-h2o", EMT])).source
    assert both.reference_energy_eV == one.reference_energy_eV
    assert both.citation == one.citation and "ase" in both.needs
    np.testing.assert_array_equal(both.domain.stop, one.domain.stop)
    mean = resolved(together("committee", ["sivqlm-h2o", "spc-fw"])).source
    assert mean.reference_energy_eV == pytest.approx(one.reference_energy_eV / 2)
    assert "; " in mean.citation


@pytest.mark.parametrize("last", ["spc-fw", EMT], ids=["native", "python"])
def test_a_committee_conserves_energy_goes_on_and_logs_its_spread(
    tmp_path: Path, last: object
) -> None:
    members = together("committee", ["sivqlm-h2o", together("sum", [MORSE, BEND]), last])
    for name in ("whole", "parts"):
        (tmp_path / name).mkdir()
    whole = session.run(load_config(write(tmp_path / "whole", members)))
    session.run(load_config(write(tmp_path / "parts", members), ["steps=20"]))
    parts = session.run(load_config(write(tmp_path / "parts", members)))
    assert parts.progress.first_step == 20
    for path in (whole.paths.trajectory, whole.paths.log, whole.paths.final):
        assert path.read_bytes() == (parts.paths.directory / path.name).read_bytes()
    log = np.genfromtxt(whole.paths.log, delimiter=",", names=True)
    # (omega dt)^2/8 of a stretch at 4000 1/cm, 0.5 %, of what goes to and fro.
    assert np.ptp(log["total_energy_eV"]) < 0.01 * np.ptp(log["kinetic_energy_eV"])
    first = whole.setup.force_spread(whole.setup.system.positions).max()
    assert log["force_spread_eV_per_A"][0] == pytest.approx(first, abs=1e-9)


def test_a_run_goes_on_with_the_same_parts_only(tmp_path: Path) -> None:
    source = SHIPPED / "sivqlm-h2o.qmdp"
    package, copy = load(source), tmp_path / "own.qmdp"
    copy.write_bytes(source.read_bytes())
    potential = together("sum", ["own.qmdp", BEND], weights=[1.0, 0.1])
    session.run(load_config(write(tmp_path, potential), ["steps=10"]))
    heavier = together("sum", ["own.qmdp", BEND], weights=[1.0, 0.2])
    with pytest.raises(MismatchError, match="potential.weights: .* -> "):
        session.run(load_config(write(tmp_path, heavier)))
    stiffer = together("sum", ["own.qmdp", BEND | {"angle_deg": 111.0}], weights=[1.0, 0.1])
    with pytest.raises(MismatchError, match="potential.terms"):
        session.run(load_config(write(tmp_path, stiffer)))
    from qmd.potentials import evaluate

    kernel = package.native()
    other = Package(**{**vars_of(package), "citation": "another file of the same name"})
    save(copy, other, lambda x: evaluate(kernel, x))
    with pytest.raises(MismatchError, match="another one than before"):
        session.run(load_config(write(tmp_path, potential)))


def vars_of(package: Package) -> dict[str, object]:
    return {name: getattr(package, name) for name in Package.__dataclass_fields__}


def test_files_that_a_calculator_reads_belong_to_a_run(tmp_path: Path) -> None:
    from qmd.forces.reference import settings_sha256

    weights = tmp_path / "weights.bin"
    config = RunConfig.model_validate(
        {
            "system": {"structure": "h2o", "velocities": "zero"},
            "potential": EMT | {"arguments": {"label": str(weights)}},
            "integrator": {"kind": "velocity_verlet", "timestep_fs": 0.5},
            "steps": 1,
        }
    ).potential
    digests = [settings_sha256(config)]
    for content in (b"1", b"2"):
        weights.write_bytes(content)
        digests.append(settings_sha256(config))
    assert len(set(digests)) == 3


def test_a_committee_comes_back_from_a_package_with_its_spread(tmp_path: Path) -> None:
    members = ["sivqlm-h2o", "spc-fw", together("sum", [MORSE, BEND])]
    committee = resolved(together("committee", members))
    assert isinstance(committee.model, Committee)
    package = load(SHIPPED / "sivqlm-h2o.qmdp")
    whole = Package(**{**vars_of(package), "model": committee.model, "name": "committee"})
    save(tmp_path / "committee.qmdp", whole, committee.energy_and_forces)
    again = resolved("committee.qmdp", tmp_path)
    x = WATER.positions
    np.testing.assert_array_equal(again.force_spread(x), committee.force_spread(x))
    assert again.energy_and_forces(x)[0] == committee.energy_and_forces(x)[0]


def test_any_description_is_an_ase_calculator() -> None:
    from ase import Atoms

    description = together("committee", ["spc-fw", MORSE])
    atoms = Atoms(WATER.numbers, WATER.positions, calculator=QmdCalculator(description))
    energy, forces = evaluated(description)
    assert atoms.get_potential_energy() == pytest.approx(energy, abs=1e-14)
    np.testing.assert_allclose(atoms.get_forces(), forces, atol=1e-14)
    np.testing.assert_allclose(
        atoms.calc.results["force_spread"], resolved(description).force_spread(WATER.positions)
    )
    two = Atoms("OHHOHH", np.concatenate([WATER.positions, WATER.positions + [0, 0, 3.0]]))
    two.calc = QmdCalculator("spc-fw")
    assert np.isfinite(two.get_forces()).all()
    del two[3:]
    assert two.get_potential_energy() == pytest.approx(evaluated("spc-fw")[0], abs=1e-13)
    with pytest.raises(InputError, match=r"potential.*depth_eV"):
        QmdCalculator(MORSE | {"depth_eV": -1.0})


@pytest.mark.parametrize(
    ("potential", "error", "message"),
    [
        (together("sum", []), InputError, "potential.terms"),
        (together("committee", ["spc-fw"]), InputError, "potential.members"),
        (together("sum", ["spc-fw"], weights=[1.0, 2.0]), InputError, "2 numbers for 1 terms"),
        (together("sum", [PAIR | {"sigma": 1.0}]), InputError, "unknown key 'sigma'"),
        (together("sum", [{"kind": "morze"}]), InputError, "potential.terms.0.kind"),
        (BEND | {"angle_deg": 180.0}, InputError, "angle_deg: expected a number > 0 and < 180"),
        (BEND | {"angles": [[0, 1]]}, InputError, "potential.angles.0"),
        (MORSE | {"bonds": [[0, 3]]}, MismatchError, "2 different atoms of 0 to 2, but got"),
        (PAIR | {"atoms": [0, 0]}, MismatchError, "2 different atoms"),
        (CHARGES | {"charges_e": [1.0, -1.0]}, MismatchError, "needs 3 charges, but got 2"),
        (CHARGES | {"molecules": [[0], [1]]}, MismatchError, "each of the atoms 0 to 2 once"),
        (CHARGES | {"molecules": [[0, 1, 2], [2]]}, MismatchError, "each of the atoms 0 to 2"),
        (together("sum", ["spc-fw", "sivqlm-lih"]), MismatchError, "sivqlm-lih is for Li,H"),
        (together("sum", ["spc-fw", "none"]), MismatchError, "no potential 'none'"),
    ],
)
def test_impossible_potentials_are_refused(
    tmp_path: Path, potential: object, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        set_up(load_config(write(tmp_path, potential)))


def test_a_sphere_confines_sums_too(tmp_path: Path) -> None:
    potential = together("sum", [MORSE, EMT])
    free = start_state(set_up(load_config(write(tmp_path, potential))))
    sphere = {"radius_A": 0.85, "stiffness_eV_per_A3": 20.0}
    within = start_state(set_up(load_config(write(tmp_path, potential, confinement=sphere))))
    outside = np.maximum(np.linalg.norm(free.positions, axis=1) - 0.85, 0)
    assert within.energy - free.energy == pytest.approx(20.0 * (outside**3).sum(), rel=1e-9)


def test_waters_with_classical_forces_conserve_energy(tmp_path: Path) -> None:
    system = {"structure": "h2o-dimer", "temperature_K": 100}
    for timestep in (0.5, 0.25):
        settings = {
            "system": system,
            "integrator": {"kind": "velocity_verlet", "timestep_fs": timestep},
            "steps": int(500 / timestep),
            "output": {"log_every": 1},
        }
        (tmp_path / str(timestep)).mkdir()
        session.run(load_config(write(tmp_path / str(timestep), "spc-fw", **settings)))
    coarse, fine = (
        np.loadtxt(tmp_path / str(dt) / "output" / "log.csv", delimiter=",", skiprows=1)[:, 4].std()
        for dt in (0.5, 0.25)
    )
    # The error of velocity Verlet falls as dt^2; the two trajectories stay alike for 0.5 ps.
    assert coarse / fine == pytest.approx(4.0, rel=0.25)


@pytest.mark.parametrize(
    "more, reason",
    [
        ({"truncation": "shift"}, "is of no effect without `cutoff_A`"),
        ({"tail_correction": True}, "is of no effect without `cutoff_A`"),
        ({"skin_A": 0.5}, "`skin_A` is of no effect without `cutoff_A`"),
        ({"cutoff_A": 8, "switch_from_A": 7}, "`switch_from_A` is of no effect without"),
    ],
)
def test_keys_of_a_cut_off_are_not_dropped_without_one(more, reason):
    with pytest.raises(InputError, match=reason):
        parse_potential({"kind": "lennard_jones", "epsilon_eV": 0.01, "sigma_A": 3.4, **more})


def test_an_accuracy_is_not_dropped_without_ewald_sums():
    with pytest.raises(InputError, match="`accuracy` is of no effect without `cutoff_A`"):
        parse_potential({"kind": "point_charges", "charges_e": [1, -1], "accuracy": 1e-8})
