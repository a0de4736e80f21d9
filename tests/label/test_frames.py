"""Labels come frame by frame, survive a stop, and never mix two sets of geometries."""

import os

import numpy as np
import pytest

from qmd.errors import MismatchError
from qmd.forces import reference
from qmd.forces.dft import pyscf_variables
from qmd.label.frames import label_frames

Z = np.array([8, 1, 1])


def label(positions: np.ndarray) -> dict[str, np.ndarray]:
    if positions[0, 0] > 1e3:
        raise RuntimeError("did not converge")
    return {"E": positions.sum(), "F": 2 * positions}


def saved(path) -> dict[str, np.ndarray]:
    with np.load(path) as data:
        return dict(data)


def frames(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, 3, 3))


def run(positions, path, **options):
    per_frame = {"group": np.arange(len(positions))}
    quiet = {"log": lambda text: None}
    return label_frames(label, positions, path, {"Z": Z}, per_frame, **quiet, **options)


def test_labels_belong_to_their_frames_whatever_the_number_of_workers(tmp_path):
    positions = frames(7)
    for workers in (1, 2):
        path = tmp_path / f"{workers}.npz"
        assert run(positions, path, workers=workers) == 7
        data = saved(path)
        np.testing.assert_array_equal(data["R"], positions)
        np.testing.assert_array_equal(data["E"], positions.sum(axis=(1, 2)))
        np.testing.assert_array_equal(data["F"], 2 * positions)
        np.testing.assert_array_equal(data["Z"], Z)


def test_as_many_frames_as_atoms_are_not_taken_for_one_another(tmp_path):
    path, positions = tmp_path / "labels.npz", frames(3)
    run(positions, path, save_every=1)
    np.testing.assert_array_equal(saved(path)["Z"], Z)


def test_a_failure_keeps_what_is_done_and_the_next_call_goes_on(tmp_path):
    path, positions = tmp_path / "labels.npz", frames(6)
    bad = positions.copy()
    bad[4, 0, 0] = 1e6
    with pytest.raises(RuntimeError, match="did not converge"):
        run(bad, path, save_every=2)
    kept = saved(path)
    assert len(kept["E"]) == 4 and kept["group"].tolist() == [0, 1, 2, 3]
    assert run(positions, path, save_every=2) == 6
    np.testing.assert_array_equal(saved(path)["E"], positions.sum(axis=(1, 2)))


def test_labels_of_other_geometries_are_refused(tmp_path):
    path = tmp_path / "labels.npz"
    run(frames(3), path)
    before = path.read_bytes()
    with pytest.raises(MismatchError, match="other geometries"):
        run(frames(5, seed=1), path)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "content, reason", [(b"", "it is empty"), (b"energies", "holds no labels")]
)
def test_a_file_that_holds_no_labels_is_kept_and_named(tmp_path, content, reason):
    path = tmp_path / "labels.npz"
    path.write_bytes(content)
    with pytest.raises(MismatchError, match=reason) as error:
        run(frames(3), path)
    assert "another --output" in error.value.hint and path.read_bytes() == content


def environment_here(positions):
    return {"threads": np.array(int(os.environ["OMP_NUM_THREADS"]))}


@pytest.mark.parametrize("workers", [1, 2])
def test_the_environment_is_set_while_labels_are_computed_only(tmp_path, monkeypatch, workers):
    # Processes that start later with OPENBLAS_CORETYPE compute other last bits.
    for name in ("OMP_NUM_THREADS", "OPENBLAS_CORETYPE"):
        monkeypatch.delenv(name, raising=False)
    before = dict(os.environ)
    label_frames(environment_here, np.zeros((2, 1, 3)), tmp_path / "l.npz", {}, {}, workers=workers)
    assert dict(os.environ) == before
    with np.load(tmp_path / "l.npz") as labels:
        assert labels["threads"].tolist() == [1, 1]


def test_loading_a_reference_method_leaves_the_environment_alone(monkeypatch):
    monkeypatch.delenv("OPENBLAS_CORETYPE", raising=False)
    seen, before, kind = [], dict(os.environ), pyscf_variables().get("OPENBLAS_CORETYPE")
    loaded = lambda name: seen.append(os.environ.get("OPENBLAS_CORETYPE"))  # noqa: E731
    monkeypatch.setattr(reference, "import_module", loaded)
    monkeypatch.setattr(reference, "_forbid_eval", lambda: None)
    reference._require("pyscf")
    assert seen == [kind]
    assert dict(os.environ) == before
