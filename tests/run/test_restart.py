"""A run that was stopped anywhere, by anything, ends with the bytes of one that was not."""

import hashlib
import json
import os
import random
import shutil
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from forked import Case, Lab, everything

import qmd
from qmd.errors import CorruptError, InputError
from qmd.io import checkpoint, netcdf
from qmd.io.files import FAULT_POINTS
from qmd.io.run_folder import RunPaths
from qmd.io.verify import verify
from qmd.jobs.lock import RunLock
from qmd.run.config import MAY_CHANGE_ON_RESUME, load_config


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with Lab() as lab:
        yield lab


@pytest.fixture(scope="module")
def short(request: pytest.FixtureRequest, tmp_path_factory, lab: Lab) -> Case:
    """31 steps: two checkpoints, and an end that is on nobody's grid."""
    method = getattr(request, "param", "langevin")
    case = Case(tmp_path_factory.mktemp("short"), lab, method)
    case.expect()
    return case


@pytest.fixture
def case(short: Case) -> Case:
    """`short`, not begun yet."""
    shutil.rmtree(short.output, ignore_errors=True)
    return short


@pytest.fixture
def begun(case: Case) -> Case:
    """`short`, stopped at step 25, with checkpoints of that and of step 20."""
    assert case.run(stop_after=25).code == 75
    return case


both_methods = pytest.mark.parametrize("short", ["nve", "langevin"], indirect=True)


# Stops in good order


@both_methods
def test_a_run_stopped_after_each_step_gives_the_same_bytes(case: Case) -> None:
    for step in range(31):
        ended = case.run(stop_after=min(step, 1))
        assert ended.code == 75 and f"at step {step} of 31;" in ended.output
    case.assert_completes()


@both_methods
@pytest.mark.parametrize("stops", [(1,), (10,), (21,), (3, 7, 30)])
def test_a_run_first_asked_for_fewer_steps_gives_the_same_bytes(
    case: Case, stops: tuple[int, ...]
) -> None:
    for steps in stops:
        assert case.run("--set", f"steps={steps}").code == 0
    case.assert_completes()


STOPS: dict[str, tuple[int | Path, ...]] = {
    "SIGINT": (signal.SIGINT,),
    "SIGTERM": (signal.SIGTERM,),
    "SIGUSR1": (signal.SIGUSR1,),
    "SIGHUP": (signal.SIGHUP,),
    "SIGTERM, SIGTERM and SIGINT": (signal.SIGTERM, signal.SIGTERM, signal.SIGINT),
    "SIGTERM, again and again": (signal.SIGTERM,) * 20,
    "EXIT file": (Path("EXIT"),),
    "wall time": (),
}


@pytest.mark.parametrize("stop", STOPS)
@pytest.mark.parametrize("after_s", [0.0, 0.1])
def test_a_run_asked_to_stop_does_so_at_once_and_gives_the_same_bytes(
    tmp_path: Path, lab: Lab, stop: str, after_s: float
) -> None:
    case = Case(tmp_path, lab, "langevin")
    settings = ["--set", "steps=1e12"]
    if stop == "wall time":
        settings += ["--set", f"wall_time_h={2 * max(after_s, 0.01) / 3600}"]
    ended = case.run(
        *settings,
        disturb=tuple(case.output / d if isinstance(d, Path) else d for d in STOPS[stop]),
        on_file=case.output / "trajectory.nc",  # from then on the run is before its first step
        after_s=after_s,
    )
    assert ended.code == 75, ended.output
    assert ended.output.startswith("qmd: Stopped by ") and ended.output.count("\n") == 2
    assert any(word in ended.output for word in stop.replace(" and", ",").split(", "))
    assert ended.seconds < 5
    assert not (case.output / "EXIT").exists()
    case.expect(f"steps={checkpoint.read(case.output / 'checkpoint').step + 37}")
    case.assert_completes()


def test_a_file_EXIT_older_than_the_start_is_ignored(case: Case) -> None:
    case.output.mkdir()
    (case.output / "EXIT").touch()
    case.assert_completes()


# Ends that nobody announced


@both_methods
@pytest.mark.parametrize("file", ["run.json", "topology.pdb", "checkpoint", "final.extxyz"])
@pytest.mark.parametrize("point", FAULT_POINTS)
def test_a_run_that_dies_while_it_writes_a_file_recovers(case: Case, point: str, file: str) -> None:
    assert case.run(fault=f"{point}:{file}").code == 137
    case.assert_completes()


@both_methods
@pytest.mark.parametrize("point", FAULT_POINTS)
def test_a_run_that_dies_in_a_later_checkpoint_recovers(begun: Case, point: str) -> None:
    assert begun.run(fault=f"{point}:checkpoint").code == 137
    found, note = checkpoint.read_latest(begun.output / "checkpoint")
    assert found.step == (30 if point == "after_replace" else 25) and note is None
    begun.assert_completes()


def test_a_run_that_dies_while_it_writes_its_last_record_leaves_no_part_of_it(case: Case) -> None:
    assert case.run("--set", "steps=30").code == 0
    assert case.run(fault="after_tmp:final.extxyz").code == 137
    (case.output / "run.json.tmp").write_text("{")
    case.assert_completes()
    assert not list(case.output.glob("*.tmp"))


@pytest.mark.parametrize("file", ["trajectory.nc", "log.csv"])
def test_what_was_written_behind_the_last_checkpoint_is_dropped(begun: Case, file: str) -> None:
    with open(begun.output / file, "ab") as output:
        output.write(b"9,9,9,9,9,9\n" * 1000)  # more than the rest of the run will overwrite
    begun.assert_completes()


def test_a_start_that_was_cut_off_is_marked_and_made_again_for_the_same_input_only(
    case: Case,
) -> None:
    assert case.run(fault="after_tmp:checkpoint").code == 137
    assert json.loads((case.output / "run.json").read_text())["begun"] is False
    assert_refused(case, 5, "no checkpoint", "--set", "seed=6")
    case.assert_completes()
    assert json.loads((case.output / "run.json").read_text())["begun"] is True


@pytest.mark.parametrize("max_bytes", [0, 200, 500, 1000, 1300, 1500])
def test_a_full_disk_stops_a_run_which_goes_on_with_room(case: Case, max_bytes: int) -> None:
    # run.json and the checkpoint have about 1 kB, the log ends with 700 bytes and the trajectory
    # with 1.9 kB: each limit is met in another place.
    ended = case.run(max_bytes=max_bytes)
    assert ended.code == 5 and "full" in ended.output, ended.output
    assert not list(case.output.glob("*.tmp"))
    case.assert_completes()


def test_a_disk_that_fills_up_later_leaves_the_checkpoint_and_every_synced_frame(
    tmp_path: Path, lab: Lab
) -> None:
    case = Case(tmp_path, lab, "langevin")
    case.expect("steps=1000")
    assert case.run(stop_after=25).code == 75
    before = everything(case.output)
    assert case.run(max_bytes=2500).code == 5
    after = everything(case.output)
    # Bytes 4 to 8 count the frames.
    assert after["trajectory.nc"][8:].startswith(before["trajectory.nc"][8:])
    assert after["log.csv"].startswith(before["log.csv"]) and after["log.csv"].endswith(b"\n")
    assert checkpoint.read(case.output / "checkpoint").step >= 25
    case.assert_completes()


# Damage


def test_a_damaged_checkpoint_is_replaced_by_the_one_before(begun: Case) -> None:
    damage(begun.output / "checkpoint")
    ended = begun.assert_completes()
    assert "damaged" in ended.output and "checkpoint.prev at step 20" in ended.output


def test_a_stop_without_a_step_keeps_the_older_checkpoint(begun: Case) -> None:
    for _ in range(2):
        assert begun.run(stop_after=0).code == 75
    assert checkpoint.read(begun.output / "checkpoint.prev").step == 20
    begun.assert_completes()


def test_a_missing_checkpoint_is_replaced_by_the_one_before(begun: Case) -> None:
    (begun.output / "checkpoint").unlink()
    begun.assert_completes()


def test_without_a_sound_checkpoint_a_run_is_refused(begun: Case) -> None:
    damage(begun.output / "checkpoint")
    damage(begun.output / "checkpoint.prev")
    assert_refused(begun, 6, "damaged")


def test_without_any_checkpoint_results_are_not_overwritten(begun: Case) -> None:
    (begun.output / "checkpoint").unlink()
    (begun.output / "checkpoint.prev").unlink()
    assert_refused(begun, 5, "no checkpoint")


@pytest.mark.parametrize("file", ["trajectory.nc", "log.csv"])
@pytest.mark.parametrize("n_bytes", [1, 60, 400])
def test_a_truncated_output_is_refused(begun: Case, file: str, n_bytes: int) -> None:
    path = begun.output / file
    os.truncate(path, path.stat().st_size - n_bytes)
    assert_refused(begun, 6, "truncated")


@pytest.mark.parametrize("file", ["trajectory.nc", "log.csv"])
def test_a_missing_output_is_refused(begun: Case, file: str) -> None:
    (begun.output / file).unlink()
    assert_refused(begun, 6, f"{file} is missing")


def test_the_trajectory_of_another_run_is_refused(begun: Case, tmp_path: Path) -> None:
    assert begun.run("--set", "seed=6", "--output", tmp_path / "other").code == 0
    shutil.copy(tmp_path / "other" / "trajectory.nc", begun.output)
    assert_refused(begun, 6, "replaced")


def test_other_library_versions_are_told_and_accepted(begun: Case) -> None:
    path = begun.output / "checkpoint"
    saved = checkpoint.read(path)
    checkpoint.write(path, replace(saved, versions=saved.versions | {"numba": "0.1"}))
    ended = begun.assert_completes()
    assert 'numba: "0.1" -> ' in ended.output and "bits may differ" in ended.output


@pytest.mark.parametrize("file", ["trajectory.nc", "log.csv"])
def test_a_flipped_bit_of_an_output_is_refused_and_named(begun: Case, file: str) -> None:
    path = begun.output / file
    whole = path.read_bytes()
    begin = netcdf.read(path).begin if file == "trajectory.nc" else 0
    rng = random.Random(file)
    for _ in range(10):
        damaged = bytearray(whole)
        damaged[rng.randrange(begin, len(whole))] ^= 1 << rng.randrange(8)
        path.write_bytes(damaged)
        assert_refused(begun, 6, "frame" if begin else "not all of lines 1 to ")
    path.write_bytes(whole)
    begun.assert_completes()


@pytest.mark.parametrize("finished", [False, True])
@pytest.mark.parametrize("file", ["topology.pdb", "run.json"])
@pytest.mark.parametrize("fault", ["missing", "damaged"])
def test_what_can_be_made_again_is(begun: Case, file: str, fault: str, finished: bool) -> None:
    if finished:
        begun.assert_completes()
    if fault == "missing":
        (begun.output / file).unlink()
    else:
        (begun.output / file).write_text((begun.output / file).read_text()[:-9])
    ended = begun.assert_completes()
    assert (f"{file} was {fault} and has been written again" in ended.output) == (
        file == "topology.pdb"
    )
    assert json.loads((begun.output / "run.json").read_text())["begun"] is True


def test_the_outputs_of_a_run_are_verified(begun: Case, lab: Lab) -> None:
    verify(begun.output)
    begun.assert_completes()
    verify(begun.output)
    for file in ("trajectory.nc", "log.csv", "topology.pdb"):
        path = begun.output / file
        whole = path.read_bytes()
        damage(path)
        with pytest.raises(CorruptError, match=f"{file} is damaged"):
            verify(begun.output)
        path.unlink()
        with pytest.raises(CorruptError, match=file):
            verify(begun.output)
        path.write_bytes(whole)
    verify(begun.output)
    topology = (begun.output / "topology.pdb").read_bytes()
    damage(begun.output / "log.csv")
    damage(begun.output / "topology.pdb")
    with pytest.raises(CorruptError, match="log.csv is damaged.*topology.pdb is damaged"):
        verify(begun.output)
    with pytest.raises(CorruptError, match="log.csv is damaged"):
        qmd.load(begun.output, verify=True)
    (begun.output / "topology.pdb").write_text("HETATM  ! 2  O\n")
    with pytest.raises(CorruptError, match="topology.pdb cannot be read"):
        qmd.load(begun.output)
    (begun.output / "topology.pdb").write_bytes(topology)
    assert len(qmd.load(begun.output).trajectory) == 5  # steps 0, 7, 14, 21 and 28
    ended = lab.qmd("analyze", begun.output, "--verify")
    assert ended.code == 6 and "log.csv is damaged: not all of lines" in ended.output
    (begun.output / "checkpoint").unlink()
    (begun.output / "checkpoint.prev").unlink()
    with pytest.raises(InputError, match="no checkpoint to verify"):
        verify(begun.output)


def damage(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[9 * len(data) // 10] ^= 1  # behind the header of a trajectory
    path.write_bytes(data)


def assert_refused(case: Case, code: int, reason: str, *arguments: str) -> None:
    """One cause in one line, and nothing changed on the disk."""
    before = everything(case.output)
    ended = case.run(*arguments)
    assert ended.code == code and reason in ended.output, ended.output
    cause, *hint = ended.output.splitlines()
    assert cause.startswith("qmd: ") and (not hint or hint[1:] == [] and hint[0].startswith("  "))
    assert everything(case.output) == before


# Changes of the input

SHIPPED = Path(__file__).parents[2] / "potentials" / "shipped" / "sivqlm-h2o.qmdp"
CHANGES = {
    "system.structure": ["system.structure=h2o"],
    "system.velocities": ["system.velocities=zero", "system.temperature_K=null"],
    "system.temperature_K": ["system.temperature_K=301"],
    "system.exact_temperature": ["system.exact_temperature=true"],
    "system.remove_rotation": ["system.remove_rotation=true"],
    "system.masses_u": ["system.masses_u.H=2.014"],
    "potential.name": [f"potential.name={SHIPPED}"],
    "potential.backend": ["potential.backend=jax"],
    "potential.sha256": [f"potential.sha256={hashlib.sha256(SHIPPED.read_bytes()).hexdigest()}"],
    "integrator.timestep_fs": ["integrator.timestep_fs=0.25"],
    "integrator.temperature_K": ["integrator.temperature_K=310"],
    "integrator.friction_per_ps": ["integrator.friction_per_ps=1"],
    "integrator.remove_drift_every": ["integrator.remove_drift_every=10"],
    "confinement": ["confinement.radius_A=5.0"],
    "noise": ["noise.shots=1000000000"],
    "seed": ["seed=6"],
    "replica": ["replica=1"],
    "replicas": ["replicas=2"],
    "guards.max_force_eV_per_A": ["guards.max_force_eV_per_A=40"],
    "guards.max_displacement_A_per_step": ["guards.max_displacement_A_per_step=0.2"],
    "guards.on_leaving_domain": ["guards.on_leaving_domain=warn"],
}


@pytest.mark.parametrize("key", CHANGES)
def test_a_run_does_not_go_on_with_another_input(begun: Case, key: str) -> None:
    settings = [word for setting in CHANGES[key] for word in ("--set", setting)]
    assert_refused(begun, 3, f"{key}: ", *settings)
    begun.assert_completes()


def test_every_key_of_the_input_is_among_those_changes(short: Case) -> None:
    leaves = set(paths(json.loads(load_config(short.input).text)))
    may_change = set(MAY_CHANGE_ON_RESUME)
    free = {leaf for leaf in leaves if {leaf, leaf.split(".")[0]} & may_change}
    kinds = {"integrator.kind", "potential.kind"}
    lists = {"system.fixed"}  # not for --set; test_identity.py has it
    assert leaves - free - kinds - lists == CHANGES.keys()


def paths(node: object, path: str = "") -> Iterator[str]:
    if isinstance(node, dict):
        for key, child in node.items():
            yield from paths(child, f"{path}.{key}" if path else key)
    else:
        yield path


def test_a_run_does_not_go_on_with_another_integrator(begun: Case, lab: Lab) -> None:
    text = begun.input.read_text()
    begun.write("nve")
    assert_refused(begun, 3, 'integrator.kind: "langevin_baoab" -> "velocity_verlet"')
    begun.input.write_text(text)
    begun.assert_completes()


def test_a_run_does_not_go_on_with_an_edited_structure(begun: Case) -> None:
    structure = begun.input.with_name("water.xyz")
    text = structure.read_text()
    structure.write_text(text.replace("0.766", "0.767"))
    assert_refused(begun, 3, "structure water.xyz: other atoms or start")
    structure.write_text(text.replace("3\n\n", "3\nanother comment\n"))
    begun.assert_completes()
    structure.write_text(text)


def test_a_run_does_not_go_on_with_a_potential_trained_anew(tmp_path: Path, lab: Lab) -> None:
    case = Case(tmp_path, lab, "langevin", potential="model.qmdp")
    package = case.input.with_name("model.qmdp")
    shutil.copy(SHIPPED, package)
    assert case.run("--set", "steps=20").code == 0
    save_as_trained_again(package)
    assert_refused(case, 3, "potential sivqlm-h2o: another one")


def save_as_trained_again(path: Path) -> None:
    """The same numbers with another training card."""
    from qmd.potentials.contract import evaluate
    from qmd.potentials.package.files import load, save

    package = load(path)
    kernel = package.native()
    save(path, replace(package, training={"seed": 2}), lambda x: evaluate(kernel, x))


def test_more_steps_and_another_cadence_are_no_change(begun: Case) -> None:
    ended = begun.run(
        "--set", "steps=40", "--set", "output.log_every=1", "--set", "wall_time_h=1"
    )  # fmt: skip
    assert ended.code == 0 and "Going on from step 25 of 40." in ended.output
    rows = (begun.output / "log.csv").read_text().splitlines()
    steps = [int(row.split(",")[0]) for row in rows[1:]]
    assert steps == [*range(0, 25, 3), *range(26, 41)]


# Folders


def test_a_finished_run_is_left_alone(case: Case) -> None:
    case.assert_completes()
    before = everything(case.output)
    assert case.run().code == 0
    ended = case.run("--set", "steps=11")
    assert ended.code == 0 and "Already at step 31; the input asks for 11" in ended.output
    assert everything(case.output) == before


@pytest.mark.parametrize("path", RunPaths(Path()).written(), ids=str)
def test_results_of_unknown_origin_are_refused_and_left_alone(case: Case, path: Path) -> None:
    case.output.mkdir()
    (case.output / path).write_text("precious")
    (case.output / "run.lock").touch()
    is_checkpoint = path.name.startswith("checkpoint")
    assert_refused(case, 6 if is_checkpoint else 5, path.name)


def test_overwrite_begins_again(begun: Case) -> None:
    (begun.output / "notes.txt").write_text("mine")
    assert begun.run("--overwrite", "--set", "seed=6", "--set", "steps=5").code == 0
    ended = begun.run("--overwrite")
    assert ended.code == 0 and "Going on" not in ended.output
    begun.assert_complete()
    assert (begun.output / "notes.txt").read_text() == "mine"


def test_overwriting_that_was_cut_off_can_be_made_again(begun: Case) -> None:
    # Killed between the removals; they are in this order.
    for path in RunPaths(begun.output).written():
        path.unlink(missing_ok=True)
        assert begun.run("--overwrite").code == 0
        begun.assert_complete()


def test_results_are_not_overwritten_for_a_start_that_is_refused(begun: Case) -> None:
    setting = "guards.max_force_eV_per_A=1e-6"
    assert_refused(begun, 4, "At the start", "--overwrite", "--set", setting)


def test_another_output_folder_can_be_given(case: Case, tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "down"
    assert case.run("--output", folder).code == 0
    assert not case.output.exists()
    shutil.copytree(folder, case.output)
    case.assert_complete()


def test_a_second_process_in_the_folder_is_refused(begun: Case) -> None:
    with RunLock(begun.output):
        assert_refused(begun, 5, "Another qmd process is running")
        assert_refused(begun, 5, "Another qmd process is running", "--overwrite")
    begun.assert_completes()
