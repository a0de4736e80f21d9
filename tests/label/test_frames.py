"""Labels come frame by frame, survive a stop, and never mix two sets of geometries."""

import numpy as np
import pytest

from qmd.errors import MismatchError
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
