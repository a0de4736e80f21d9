"""The benchmark scripts: their loops agree, their reports are complete, native is fast."""

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numba
import numpy as np
import pytest

from qmd.integrators import VECTOR_WIDTH
from qmd.potentials.network import pair_lanes

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
PEERS = ["callback", "ase_jax", "jax_md"]


def script(name, *arguments):
    """Run a script in a process of its own: it pins threads before NumPy and JAX are loaded."""
    # jax-md promotes dtypes implicitly, which the tests forbid our own code.
    environment = {k: v for k, v in os.environ.items() if not k.startswith("JAX_NUMPY_")}
    command = [sys.executable, str(BENCHMARKS / f"{name}.py"), *map(str, arguments)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)


@pytest.fixture(scope="module")
def md_loop(tmp_path_factory):
    folder = tmp_path_factory.mktemp("md_loop")
    json_file, markdown_file = folder / "md_loop.json", folder / "md_loop.md"
    done = script("md_loop", "--quick", "--json", json_file, "--markdown", markdown_file)
    assert done.returncode == 0, done.stderr
    result = json.loads(json_file.read_text())
    return SimpleNamespace(result=result, markdown=markdown_file.read_text(), printed=done.stdout)


@pytest.fixture
def harness(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return pytest.importorskip("_harness")


@pytest.mark.slow
def test_every_loop_is_measured_against_the_native_one(md_loop):
    result = md_loop.result
    measured = [name for name in PEERS if name not in result["skipped"]]
    assert set(result["us_per_step"]) == {"native", *measured}
    for name in measured:
        ratio = result["us_per_step"][name] / result["us_per_step"]["native"]
        assert result[f"native_over_{name}"] == pytest.approx(ratio) and ratio > 0
        assert len(result["samples_us_per_step"][name]) == result["repeats"]


@pytest.mark.slow
def test_only_a_peer_that_is_not_installed_is_left_out(md_loop):
    installed = importlib.util.find_spec("jax_md") is not None
    assert list(md_loop.result["skipped"]) == ([] if installed else ["jax_md"])


@pytest.mark.slow
def test_all_loops_make_the_native_trajectory(md_loop):
    # The bound that the script itself enforces, and derives.
    agreement = md_loop.result["agreement"]
    assert agreement.pop("steps") == 200
    for distance in agreement.values():
        assert distance["positions_A"] <= 1e-8 and distance["total_energy_eV"] <= 1e-9


@pytest.mark.slow
def test_the_native_loop_is_ten_times_faster_than_ase(md_loop):
    # Measured: more than 100 times; the rest is room for a loaded machine.
    assert md_loop.result["native_over_ase_jax"] > 10


@pytest.mark.slow
def test_the_table_names_machine_and_versions(md_loop):
    assert md_loop.markdown == md_loop.printed
    result = md_loop.result
    assert result["machine"]["cpu"] in md_loop.markdown
    for name, version in result["versions"].items():
        assert f"{name} {version}" in md_loop.markdown


@pytest.mark.parametrize(
    "name",
    [
        "md_loop",
        "force",
        "kernel",
        "batch",
        "training",
        "replicas",
        "startup",
        "networks",
        "tune",
        "allegro",
    ],
)
def test_help_gives_an_example(name):
    done = script(name, "--help")
    assert f"Example: python benchmarks/{name}.py" in " ".join(done.stdout.split())


@pytest.mark.slow
def test_the_kernel_is_within_the_bound_that_its_phases_add_up_to(tmp_path):
    done = script("kernel", "--quick", "--json", tmp_path / "kernel.json")
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "kernel.json").read_text())
    for circuit, counts in result["flops"].items():
        assert set(counts) == {"forward", "observe", "backward"}
        # No kernel beats its arithmetic; measured 2 to 4 times it, the rest is room for load.
        assert 1 <= result[f"{circuit}_over_bound"] <= 20
    # By hand: one encoding of two pairs is 2 x 16 x 16, a layer that and 16 x 32 of a coupling.
    assert result["flops"]["h2o"]["forward"] == 512 + 11 * (512 + 512)


@pytest.mark.slow
def test_batches_agree_with_the_native_kernel_with_or_without_a_gpu(tmp_path):
    done = script("batch", "--quick", "--json", tmp_path / "batch.json")
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "batch.json").read_text())
    assert {"native", "cpu_1", "cpu_16"} <= set(result["us"])
    assert ("gpu_1" in result["us"]) == (result["gpu"] is not None)
    assert ("Left out" in done.stdout) == (result["gpu"] is None)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["force", "training", "replicas", "startup", "output", "networks", "allegro"]
)
def test_every_script_runs_to_its_end(name, tmp_path):
    done = script(name, "--quick", "--json", tmp_path / "result.json")
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "result.json").read_text())["benchmark"] == name
    assert done.stdout.startswith("# ")


def test_targets_are_held_against_the_results(harness):
    import targets

    results = {
        target.benchmark: json.loads((targets.RESULTS / f"{target.benchmark}.json").read_text())
        for target in targets.TARGETS
    }
    text = targets.markdown(results)
    assert text == (targets.RESULTS / "targets.md").read_text(), "python benchmarks/targets.py"
    startup = next(t for t in targets.TARGETS if t.benchmark == "startup")
    loop = next(t for t in targets.TARGETS if t.benchmark == "md_loop")
    assert [startup.verdict(x) for x in (3.1, 2.5, 1.9)] == ["missed", "reached", "stretch reached"]
    assert [loop.verdict(x) for x in (99, 100, 171)] == ["missed", "reached", "stretch reached"]


@pytest.mark.parametrize(
    ("option", "reason"),
    [
        (["--repeats", "1"], "expected at least 2, got '1'"),
        (["--steps", "-5"], "expected at least 1, got '-5'"),
        (["--json", "no/such/folder.json"], "there is no folder no/such"),
    ],
)
def test_options_are_refused_before_anything_is_measured(option, reason):
    done = script("md_loop", *option)
    assert done.returncode == 2 and reason in done.stderr


def test_samples_are_taken_in_turn_after_one_round_that_does_not_count(harness):
    calls = []
    tasks = {name: lambda name=name: calls.append(name) for name in "ABC"}
    times = harness.interleaved(tasks, 2, harness.Progress())
    assert "".join(calls) == "ABC" * 3
    assert {name: len(sample) for name, sample in times.items()} == {"A": 2, "B": 2, "C": 2}


def test_a_disturbed_sample_does_not_move_the_median(harness):
    assert harness.spread([3.5, 3.4, 3.6, 3.5, 900.0]) == ("3.5", "3.5 to 3.6")


@pytest.mark.parametrize(
    ("value", "shown"), [(3.4567, "3.46"), (17.04, "17"), (999.4, "999"), (86123.0, "86,100")]
)
def test_numbers_are_shown_to_three_digits(harness, value, shown):
    assert harness.number(value) == shown


@pytest.mark.slow
def test_a_version_against_itself_makes_the_same_steps(tmp_path):
    file = tmp_path / "against.json"
    done = script("against", sys.executable, "--quick", "--json", file)
    assert done.returncode == 0, done.stderr
    result = json.loads(file.read_text())
    assert result["same_bits"] == dict.fromkeys(result["same_bits"], True)
    assert set(result["same_bits"]) < set(result["samples_s"])
    for name, samples in result["samples_s"].items():
        assert f"| {result[f'{name}_this_over_other']:.3f} |" in done.stdout
        assert all(0 < seconds for times in samples.values() for seconds in times)
    # Two runs of one program: a first run compiles for many seconds, a warm one does not.
    cold, warm = (result["samples_s"][name]["this"] for name in ("first_run", "warm_run"))
    assert min(cold) > 2 * max(warm)


def test_ratios_of_a_liquid_are_those_of_one_configuration_atom_or_centre(harness):
    liquid = pytest.importorskip("liquid")
    ms = {"native_192": 3.0, "native_12288": 230.4, "deepmd_192": 60.0, "pennylane_1": 300.0}
    found = liquid._ratios(ms, [192, 12288])
    assert found == pytest.approx({
        "native_over_deepmd": 20.0,
        "native_over_pennylane": 19200.0,  # 300 ms over 3 ms / 192
        "cost_per_atom_12288_over_192": 1.2,  # 18.75 us over 15.625 us
    })  # fmt: skip


def vector_operations(function, n_integers):
    """Count the additions and multiplications of vectors in what LLVM makes; multiply-adds twice.

    Loops over amplitudes are there once: their number is known when the kernel runs only.
    """
    compiled = numba.njit(function)
    compiled.compile((numba.float64[::1], *[numba.int64] * n_integers))
    (code,) = compiled.inspect_llvm().values()
    vector = f"<{VECTOR_WIDTH} x double>"
    single = re.findall(rf"= f(?:mul|add|sub) (?:\w+ )*{vector}", code)
    double = re.findall(rf"call {vector} @llvm\.fm", code)
    return len(single) + 2 * len(double)


def test_operations_of_gates_are_those_of_the_compiled_ones(harness):
    arithmetic = pytest.importorskip("_arithmetic")

    def gate(w, x, phase, u, high, low, size):
        pair_lanes.turn_pair(w, x, phase, u, high, low, size)

    def back(w, psi, after, phase, u, high, low, size, of_phase, of_q):
        pair_lanes.turn_pair_back(w, psi, after, phase, u, high, low, size, of_phase, of_q)

    def observe(w, psi, after, weight, q, high, low, size, value, of_q):
        pair_lanes.observe_pair(w, psi, after, weight, q, high, low, size, value, of_q)

    def cayley(w, u):
        pair_lanes.prepare_unitary(w, u)

    assert vector_operations(gate, 6) == arithmetic.GATE
    assert vector_operations(cayley, 1) == arithmetic.UNITARY
    # Before and after the loop: six sums are scaled and added (12), a matrix is made (1 + 5 + 1).
    undone = 2 * arithmetic.GATE + arithmetic.SLOPES_OF_GATE
    assert undone <= vector_operations(back, 9) <= undone + 12
    assert arithmetic.OBSERVE <= vector_operations(observe, 9) <= arithmetic.OBSERVE + 19


def test_operations_of_a_liquid_are_counted_by_hand(harness):
    liquid, arithmetic = pytest.importorskip("liquid"), pytest.importorskip("_arithmetic")
    symbols, positions, _ = liquid.box(1)
    found = arithmetic.operations(liquid.network(symbols[:3], 2), positions[:3], np.zeros((3, 3)))
    # 5 x 4 turns of 8 pairs of amplitudes, there, and back with both states and the slopes; in 4
    # layers 6 gates, 6 observables, of 4 x 4 amplitudes each; both sectors.
    turns, gates = 20 * 8 * (28 + 2 * 28 + 24), 24 * 4 * (100 + 2 * 100 + 56)
    assert found["circuits"] == 3 * (2 * (turns + gates + 6 * 4 * 96) + 24 * 95)
    # Three atoms have two neighbours each, 14 Gaussians and nine components.
    assert found["neighbours"] == 3 * 2 * 14 * (10 + 2 * 9 + 42)
    # 60 numbers of vectors, 30 scalars, 30 tensors of five: from the moments of two elements.
    assert found["channels"] == 3 * 2 * (2 * 240 * 14 * 2)


def test_ratios_of_allegro_are_those_of_equal_work(harness):
    allegro = pytest.importorskip("allegro")
    ms = {"plain_aspirin": 10.0, "mlp_aspirin": 11.0, "qdi_aspirin": 13.2, "nequip_eager_256": 90.0,
          "plain_256": 30.0, "nequip_compiled_aspirin": 15.0, "layer_mlp": 1.0, "layer_qdi": 2.0,
          "circuit": 0.5, "pennylane": 600.0, "pennylane_compiled": 20.0}  # fmt: skip
    assert allegro.ratios(ms) == pytest.approx({
        "allegro_over_nequip_compiled_aspirin": 1.5,
        "allegro_over_nequip_eager_256": 3.0,
        "qdi_over_twin": 1.2,
        "qdi_layer_over_twin": 2.0,
        "pennylane_over_qdi": 1200.0,
        "compiled_pennylane_over_qdi": 40.0,
    })  # fmt: skip


def test_a_peer_answers_until_it_is_closed_and_one_that_ends_is_an_error(harness, tmp_path):
    peers = pytest.importorskip("_peers")
    script = tmp_path / "peer.py"
    script.write_text(
        "import sys\nprint('words of a library\\n{\"ready\": 1}', flush=True)\n"
        "for line in sys.stdin:\n    print('{\"seconds\": %d}' % (2 * int(line)), flush=True)\n"
    )
    peer = peers.Peer(sys.executable, str(script))
    assert peer.first == {"ready": 1} and peer.advance(3) == 6.0
    peer.close()
    script.write_text("raise SystemExit(1)\n")
    with pytest.raises(RuntimeError, match="the peer ended"):
        peers.Peer(sys.executable, str(script))
