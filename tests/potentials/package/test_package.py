"""Packages: exact round trips, and no file whatsoever that crashes or runs anything."""

import copy
import dataclasses
import hashlib
import io
import json
import os
import pickle
import re
import struct
import tracemalloc
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import circuits
import numpy as np
import pytest
from circuits import FIXED, RANDOM
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from qmd.potentials import (
    Domain,
    Encode,
    Heisenberg,
    Package,
    PackageError,
    Quantum,
    atom_centred,
    evaluate,
    evaluate_all,
    find,
    load,
    save,
    shipped,
)
from qmd.potentials.circuit.json_form import architecture_from_json, architecture_to_json
from qmd.potentials.package import files
from qmd.potentials.package.archive import MAX_BYTES, MEMBERS
from qmd.potentials.package.files import SHIPPED
from qmd.potentials.tree.walk import named_parameters

MODEL, PARAMETERS, VECTORS = MEMBERS
Change = Callable[[dict[str, Any]], object]


def package_of(model: circuits.Model, species: tuple[str, ...], **changes: Any) -> Package:
    pairs = np.array([(0, 1)])
    fields: dict[str, Any] = dict(
        name="test",
        description="random numbers",
        species=species,
        model=Quantum(model.architecture, model.parameters),
        reference_energy_eV=-2080.25,
        domain=Domain(pairs, np.array([[0.7, 1.5]]), np.array([[0.6, 1.6]])),
        training={"seed": 1, "errors": {"energy_eV": 0.25}},
        citation="nobody",
        licence="CC0-1.0",
        test_positions=np.array([model.positions(seed) for seed in range(3)]),
    )
    return Package(**fields | changes)


def native_evaluation(model: Package) -> Callable[[np.ndarray], tuple[float, np.ndarray]]:
    kernel = model.native()
    return lambda positions: evaluate(kernel, positions)


@pytest.fixture(scope="module")
def water() -> Package:
    return package_of(circuits.model("water-sb"), ("O", "H", "H"))


@pytest.fixture(scope="module")
def good(water, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("package") / "water.qmdp"
    save(path, water, native_evaluation(water))
    return path


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> Path:
    """Two atoms and two spins: quick to load many times."""
    tiny = package_of(circuits.model("two"), ("Li", "H"))
    path = tmp_path_factory.mktemp("package") / "two.qmdp"
    save(path, tiny, native_evaluation(tiny))
    return path


def contents(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def write(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def forged(
    good: Path, path: Path, *, model: Change | None = None, **tensors: Change | bytes
) -> Path:
    """A package with changed contents and the right hashes, as an author of bad files writes it.

    `parameters` and `vectors` change a dictionary of arrays, or are the bytes of the member.
    """
    members = contents(good)
    description = json.loads(members[MODEL])
    for key, name in (("parameters", PARAMETERS), ("vectors", VECTORS)):
        change = tensors.get(key)
        if isinstance(change, bytes):
            members[name] = change
        elif change is not None:
            arrays = {k: v.copy() for k, v in load_tensors(members[name]).items()}
            change(arrays)
            members[name] = save_tensors(arrays)
        description["sha256"][name] = hashlib.sha256(members[name]).hexdigest()
    if model is not None:
        model(description)
    members[MODEL] = json.dumps(description).encode()
    return write(path, members)


def refused(path: Path, match: str | None = None) -> None:
    with pytest.raises(PackageError, match=match) as caught:
        load(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: not a usable .qmdp package: ")
    assert message.isprintable() and len(message) < 300 + len(str(path))


def assert_same(a: Package, b: Package) -> None:
    """All fields but the hash of the file."""
    for field in dataclasses.fields(Package):
        x, y = getattr(a, field.name), getattr(b, field.name)
        if field.name in ("model", "domain"):
            values = named_parameters if field.name == "model" else vars
            assert values(x).keys() == values(y).keys()
            for u, v in zip(values(x).values(), values(y).values(), strict=True):
                assert u.dtype == v.dtype
                np.testing.assert_array_equal(u, v)
        elif field.name == "test_positions":
            np.testing.assert_array_equal(x, y)
        elif field.name != "sha256":
            assert x == y, field.name


# What is written comes back.


def test_a_package_comes_back_exactly(good, water):
    loaded = load(good)
    assert_same(loaded, water)
    assert loaded.sha256 == hashlib.sha256(good.read_bytes()).hexdigest()
    for positions in water.test_positions:
        energy, forces = evaluate(loaded.native(), positions)
        expected_energy, expected_forces = evaluate(water.native(), positions)
        assert energy == expected_energy
        np.testing.assert_array_equal(forces, expected_forces)


def test_the_same_model_gives_the_same_bytes(good, water, tmp_path):
    again = tmp_path / "again.qmdp"
    digest = save(again, load(good), native_evaluation(water))
    assert again.read_bytes() == good.read_bytes()
    assert digest == load(again).sha256
    assert [entry.name for entry in tmp_path.iterdir()] == ["again.qmdp"]


def test_a_failed_save_leaves_the_old_package(good, water, tmp_path):
    path = tmp_path / "water.qmdp"
    path.write_bytes(good.read_bytes())

    def fail(positions: np.ndarray) -> tuple[float, np.ndarray]:
        raise ArithmeticError

    with pytest.raises(ArithmeticError):
        save(path, water, fail)
    assert path.read_bytes() == good.read_bytes()


@pytest.mark.parametrize("name", FIXED + RANDOM)
def test_architectures_come_back_from_json(name):
    architecture = circuits.model(name).architecture
    text = json.dumps(architecture_to_json(architecture))
    assert architecture_from_json(json.loads(text)) == architecture


def test_positions_that_must_not_be_written_are_read(water):
    x = water.test_positions.copy()
    x.flags.writeable = False
    energies, forces = evaluate_all(water.native(), x)
    energy, force = evaluate(water.native(), x[0])
    assert energy == energies[0] and not x.flags.writeable
    np.testing.assert_array_equal(force, forces[0])


def test_kernels_of_a_package_share_no_workspace(water):
    one, two = water.native(), water.native()
    assert not np.shares_memory(one.workspace, two.workspace)


def test_a_circuit_beyond_the_native_kernel_is_checked_with_jax(tmp_path):
    star = Heisenberg(0, tuple((0, q) for q in range(1, 5)))
    base = circuits.model("two").architecture
    circuit = dataclasses.replace(base.circuit, n_qubits=5, layer=(star,), encoding=(Encode(0, 0),))
    architecture = dataclasses.replace(base, circuit=circuit)
    model = circuits.Model(architecture, circuits.random_parameters(architecture, 0))
    wide = package_of(model, ("Li", "H"))
    with pytest.raises(ValueError, match="Use the JAX backend"):
        wide.native()
    path = tmp_path / "wide.qmdp"
    function = circuits.quickly_compiled(wide.potential().energy_and_forces, wide.test_positions[0])
    save(path, wide, lambda positions: function(positions))
    assert_same(load(path), wide)
    worse = forged(path, tmp_path / "worse.qmdp", vectors=lambda v: v["energies"].__imul__(1.01))
    refused(worse, "test vector 0 gives")


# Damaged files.


def test_no_flipped_bit_changes_a_model_unnoticed(small, tmp_path):
    data, original = small.read_bytes(), load(small)
    path = tmp_path / "flipped.qmdp"
    n_refused = 0
    for bit in np.random.default_rng(0).choice(8 * len(data), 300, replace=False):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << (bit % 8)
        path.write_bytes(flipped)
        try:
            assert_same(load(path), original)
        except PackageError:
            n_refused += 1
    assert n_refused > 200  # others hit what does not matter, such as the file times


def test_no_cut_file_is_taken(small, tmp_path):
    data, path = small.read_bytes(), tmp_path / "cut.qmdp"
    for size in [*range(0, len(data), 37), len(data) - 1]:
        path.write_bytes(data[:size])
        refused(path)


@pytest.mark.parametrize("missing", MEMBERS)
def test_missing_members_are_named(good, tmp_path, missing):
    members = contents(good)
    del members[missing]
    refused(write(tmp_path / "a.qmdp", members), f"it lacks {re.escape(missing)}")


@pytest.mark.parametrize(
    ("data", "match"),
    [
        (b"", "empty"),
        (b"\0" * (MAX_BYTES + 1), "larger than 16 MiB"),
        (b"system: h2o\n", "BadZipFile"),
        (b"PK\x05\x06" + b"\0" * 18, "it lacks model.json"),
    ],
    ids=["empty", "large", "text", "empty zip"],
)
def test_files_of_another_kind_are_refused(tmp_path, data, match):
    path = tmp_path / "a.qmdp"
    path.write_bytes(data)
    refused(path, match)


def test_what_is_not_a_regular_file_is_refused(tmp_path):
    refused(tmp_path, "not a regular file")
    os.mkfifo(tmp_path / "pipe")  # reading it would wait forever
    refused(tmp_path / "pipe", "not a regular file")
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "none.qmdp")


def test_changed_tensors_are_noticed_by_their_hash(good, tmp_path):
    for name in (PARAMETERS, VECTORS):
        members = contents(good)
        changed = bytearray(members[name])
        changed[-1] ^= 1
        members[name] = bytes(changed)
        refused(write(tmp_path / "a.qmdp", members), f"SHA-256 of {re.escape(name)}")


# Files that were made to be bad.


def array(name: str, value: Any) -> Change:
    return lambda arrays: arrays.update({name: np.asarray(value(arrays[name]), order="C")})


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"vectors": array("energies", lambda a: a + 1e-9)}, "test vector 0 gives"),
        ({"vectors": array("forces", lambda a: a + 1e-7)}, "test vector 0 gives other forces"),
        ({"vectors": array("energies", lambda a: np.full_like(a, np.nan))}, "test vector 0"),
        ({"vectors": array("forces", lambda a: np.full_like(a, np.nan))}, "test vector 0"),
        ({"vectors": array("positions", lambda a: np.full_like(a, np.nan))}, "finite"),
        ({"vectors": array("positions", lambda a: a * 1.001)}, "test vector 0 gives"),
        ({"vectors": array("energies", lambda a: a[:1])}, "do not match"),
        ({"vectors": array("energies", lambda a: a[:, None])}, "do not match"),
        ({"vectors": array("forces", lambda a: a[:1])}, "do not match"),
        ({"vectors": array("positions", lambda a: a[..., :2])}, "ValueError: The model"),
        ({"vectors": array("positions", lambda a: a[0, 0, 0])}, "ValueError: The model"),
        ({"vectors": lambda v: v.update({k: a[:0] for k, a in v.items()})}, "missing"),
        ({"vectors": lambda v: v.update({k: a.astype("f4") for k, a in v.items()})}, "float64"),
        ({"vectors": lambda v: v.pop("forces")}, "KeyError: 'forces'"),
        ({"parameters": array("couplings", lambda a: a + 0.01)}, "test vector 0 gives"),
        ({"parameters": array("couplings", lambda a: a * np.nan)}, "'couplings' must be finite"),
        ({"parameters": array("weights", lambda a: a * np.inf)}, "'weights' must be finite"),
        ({"parameters": array("offset", lambda a: a + 1e200)}, "'offset' must be finite"),
        ({"parameters": array("scales", lambda a: a.astype("f4"))}, "it is float32"),
        ({"parameters": array("scales", lambda a: a.astype(int))}, "it is int64"),
        ({"parameters": array("scales", lambda a: a[:2])}, "'scales' must be float64 of shape"),
        ({"parameters": array("couplings", lambda a: a.T)}, "'couplings' must be"),
        ({"parameters": array("offset", lambda a: a[None])}, "'offset' must be"),
        ({"parameters": lambda p: p.pop("offset")}, "KeyError: 'offset'"),
    ],
)
def test_wrong_tensors_are_refused(good, tmp_path, changes, match):
    refused(forged(good, tmp_path / "a.qmdp", **changes), match)


def safetensors(header: object, data: bytes = b"", length: int | None = None) -> bytes:
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0" * 8,
        safetensors({}, length=2**60),
        safetensors({"offset": {"dtype": "F64", "shape": [2**40], "data_offsets": [0, 2**43]}}),
        safetensors({"offset": {"dtype": "F64", "shape": [2**62, 4], "data_offsets": [0, 0]}}),
        safetensors({"offset": {"dtype": "F64", "shape": [4], "data_offsets": [0, 8]}}, b"\0" * 8),
        safetensors({"offset": {"dtype": "O", "shape": [], "data_offsets": [0, 8]}}, b"\0" * 8),
        safetensors([]),
        b"[" * 100_000,
    ],
    ids=["empty", "zeros", "header", "huge", "overflow", "shape", "object", "list", "text"],
)
@pytest.mark.parametrize("member", ["parameters", "vectors"])
def test_tensor_files_that_lie_about_their_size_are_refused(good, tmp_path, member, data):
    refused(forged(good, tmp_path / "a.qmdp", **{member: data}))


def setting(*keys: str | int, to: object) -> Change:
    def change(model: dict[str, Any]) -> None:
        *path, last = keys
        target: Any = model
        for key in path:
            target = target[key]
        target[last] = to

    return change


CIRCUIT, FEATURES = ("model", "circuit"), ("model", "features")


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (setting("format", to="zip"), "does not say format 'qmdp'"),
        (setting("schema", to=3), "schema 3, this version reads 2"),
        (setting("schema", to="\x1b[2J" + "x" * 9999), "schema"),
        (setting("units", "energy", to="Hartree"), "Hartree"),
        (setting("model", "head", "kind", to="mlp"), "unknown to this version"),
        (setting(*FEATURES, "kind", to="os.system"), "unknown to this version"),
        (setting(*FEATURES, "weights", to=[[1.0, 0.0, 0.0]] * 2), "sum to 0"),
        (setting(*FEATURES, "weights", to=[["1", -1, 0]] * 2), "expected a number"),
        (setting(*FEATURES, "scale_index", to=[0, 10**18]), "'scales' must be"),
        (setting(*CIRCUIT, "layer", 0, "gate", to="__import__"), "gate '__import__' is unknown"),
        (setting(*CIRCUIT, "layer", 0, "coupling", to=10**18), "'couplings' must be"),
        (setting(*CIRCUIT, "layer", 0, "pairs", to=[[0, 1, 2]]), "ValueError"),
        (setting(*CIRCUIT, "layer", 0, "pairs", to=["01"]), "expected an integer"),
        (setting(*CIRCUIT, "n_qubits", to=21), "2 to 20 qubits"),
        (setting(*CIRCUIT, "n_qubits", to=10**400), "2 to 20 qubits"),
        (setting(*CIRCUIT, "n_qubits", to=4.0), "expected an integer"),
        (setting(*CIRCUIT, "n_qubits", to="4"), "expected an integer"),
        (setting(*CIRCUIT, "n_layers", to=True), "expected an integer"),
        (setting(*CIRCUIT, "n_layers", to=10**9), "1 to 200 layers"),
        (setting(*CIRCUIT, "observables", 0, "with_ancilla", to="no"), "expected true or false"),
        (setting("species", to=["O", "H"]), "2 species"),
        (setting("species", to=["O", "H", 1]), "printable"),
        (setting("name", to="water\x1b]0;owned\x07"), "printable"),
        (setting("description", to="two\nlines"), "printable"),
        (setting("citation", to=None), "printable"),
        (setting("reference_energy_eV", to="-1"), "expected a number"),
        (setting("reference_energy_eV", to=10**400), "OverflowError"),
        (setting("reference_energy_eV", to=float("nan")), "NaN is not a number"),
        (setting("reference_energy_eV", to=float("-inf")), "-Infinity is not a number"),
        (setting("domain", "pairs", to=[[0, 3]]), "pairs of different atoms"),
        (setting("domain", "pairs", to=[[0, -1]]), "pairs of different atoms"),
        (setting("domain", "pairs", to=[[1, 1]]), "pairs of different atoms"),
        (setting("domain", "pairs", to=[[0, 10**30]]), "OverflowError"),
        (setting("domain", "pairs", to=[]), "must have shape"),
        (setting("domain", "warn_A", to=[[0.5, 1.5]]), "enclose"),
        (setting("domain", "warn_A", to=[[1.5, 0.7]]), "enclose"),
        (setting("domain", "stop_A", to=[[0.6, None]]), "expected a number"),
        (setting("domain", "stop_A", to=[[0.6, 1.6], [0.6, 1.6]]), "must have shape"),
        (setting("training", to=3), "TypeError"),
        (setting("sha256", to={}), "KeyError"),
    ],
)
def test_wrong_descriptions_are_refused(good, tmp_path, change, match):
    refused(forged(good, tmp_path / "a.qmdp", model=change), match)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff\xfe",
        b"[" * 500_000,
        b'{"a":' * 200_000,
        b"9" * 5000,
        b"[" + b"0," * 600_000 + b"0]",
    ],
    ids=["empty", "open", "list", "null", "bytes", "deep", "deep dict", "digits", "large"],
)
def test_descriptions_that_are_not_ours_are_refused(good, tmp_path, text):
    refused(write(tmp_path / "a.qmdp", contents(good) | {MODEL: text}))


def places(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The path of every value within plain JSON values."""
    if path:
        yield path
    readers: dict[type, Any] = {dict: dict.items, list: enumerate}
    items = readers.get(type(value), lambda value: ())(value)
    for key, inner in items:
        yield from places(inner, (*path, key))


def test_no_change_of_the_description_crashes(small, tmp_path):
    original = json.loads(contents(small)[MODEL])
    rng, path = np.random.default_rng(0), tmp_path / "a.qmdp"
    rubbish = [None, True, -1, 2, 1e308, 10**400, "x", [], [[]], {}, {"kind": "x"}]
    everywhere = list(places(original))
    assert len(everywhere) > 60
    for place in everywhere:
        for value in (rubbish[i] for i in rng.permutation(len(rubbish))[:4]):

            def change(model: dict[str, Any], place=place, value=value) -> None:
                setting(*place, to=copy.deepcopy(value))(model)

            try:
                load(forged(small, path, model=change))  # a changed name is a name
            except PackageError as error:
                assert str(error).isprintable()


def test_no_part_of_the_description_is_optional(small, tmp_path):
    original = json.loads(contents(small)[MODEL])
    for place in places(original):
        if place[0] == "training" and len(place) > 1 or isinstance(place[-1], int):
            continue

        def remove(model: dict[str, Any], place=place) -> None:
            target: Any = model
            for key in place[:-1]:
                target = target[key]
            del target[place[-1]]

        refused(forged(small, tmp_path / "a.qmdp", model=remove))


# Files that were made to take memory or time.


def peak_of_refusal(path: Path, match: str) -> int:
    tracemalloc.start()
    try:
        refused(path, match)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_zip_bomb_is_refused_before_it_is_inflated(good, tmp_path):
    bomb = contents(good) | {PARAMETERS: b"\0" * (8 * MAX_BYTES)}
    path = write(tmp_path / "a.qmdp", bomb)
    assert path.stat().st_size < 2**20
    assert peak_of_refusal(path, "contents are larger than 16 MiB") < MAX_BYTES


def test_a_zip_bomb_that_states_a_small_size_is_not_inflated(good, tmp_path):
    members = contents(good)
    size = 8 * MAX_BYTES + 0x123456
    path = write(tmp_path / "a.qmdp", members | {VECTORS: b"\0" * size})
    data = path.read_bytes()
    stated = struct.pack("<L", size)
    assert data.count(stated) == 2  # in the local header and in the directory
    path.write_bytes(data.replace(stated, struct.pack("<L", len(members[VECTORS]))))
    assert peak_of_refusal(path, "BadZipFile: Bad CRC-32") < MAX_BYTES


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_methods_that_inflate_without_a_limit_are_refused(good, tmp_path, method):
    path = tmp_path / "a.qmdp"
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in contents(good).items():
            archive.writestr(name, data)
    refused(path, "another method than deflate")


def test_extra_members_count_as_well(good, tmp_path):
    path = write(tmp_path / "a.qmdp", contents(good) | {"stablehlo/x": b"\0" * (2 * MAX_BYTES)})
    refused(path, "contents are larger")


def test_a_large_circuit_is_refused_before_it_is_run(good, tmp_path):
    def enlarge(model: dict[str, Any]) -> None:
        circuit = model["model"]["circuit"]
        circuit["n_qubits"], circuit["n_layers"] = 20, 200

    def fit(arrays: dict[str, np.ndarray]) -> None:
        arrays["couplings"] = np.ones((200, arrays["couplings"].shape[1]))
        arrays["scales"] = arrays["scales"][:1].copy()

    path = forged(good, tmp_path / "a.qmdp", model=enlarge, parameters=fit)
    assert peak_of_refusal(path, "its model is too large to check") < 2**28


def test_a_large_network_is_refused_before_it_is_run(tmp_path):
    """Ten spins and 200 layers around each of 30 atoms: small to write, long to evaluate."""
    species = ("H",) * 30
    network = atom_centred.revised(species, 0, n_qubits=10, n_layers=200, n_radial=2, scalars=False)
    positions = 3.0 * np.random.default_rng(0).standard_normal((5, 30, 3))
    two = package_of(circuits.model("two"), ("H", "H"))
    package = dataclasses.replace(two, species=species, model=network, test_positions=positions)
    save(tmp_path / "a.qmdp", package, lambda x: (0.0, np.zeros_like(x)))
    refused(tmp_path / "a.qmdp", "its model is too large to check")


def test_many_test_vectors_are_refused(small, tmp_path):
    def repeat(arrays: dict[str, np.ndarray]) -> None:
        for name, array in arrays.items():
            arrays[name] = np.repeat(array, 1001, axis=0)

    path = forged(small, tmp_path / "a.qmdp", vectors=repeat)
    refused(path, "more than 1000 test vectors")


def test_a_long_layer_is_refused(good, tmp_path):
    gate = {"gate": "heisenberg", "coupling": 0, "pairs": [[0, 1]]}
    change = setting(*CIRCUIT, "layer", to=[gate] * 10_000)
    path = forged(
        good,
        tmp_path / "a.qmdp",
        model=change,
        parameters=array("couplings", lambda a: a[:, :1]),
    )
    refused(path, r"10006 terms a layer|10005 terms a layer")


# Files that were made to run something.


class Canary:
    """Unpickled, it would make a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("place", [*MEMBERS, "file", "npy"])
def test_pickles_do_not_run(good, tmp_path, place):
    canary, path = tmp_path / "canary", tmp_path / "a.qmdp"
    code = pickle.dumps(Canary(canary))
    if place == "file":
        path.write_bytes(code)
    elif place == "npy":
        buffer = io.BytesIO()
        np.save(buffer, np.array([Canary(canary)], object), allow_pickle=True)
        forged(good, path, parameters=buffer.getvalue())
    elif place == MODEL:
        write(path, contents(good) | {MODEL: code})
    else:
        forged(good, path, **{"parameters" if place == PARAMETERS else "vectors": code})
    refused(path)
    assert not canary.exists()


@pytest.mark.parametrize(
    "name", ["../canary", "/canary", "a/../../canary", "C:\\canary", "x" * 999]
)
def test_names_of_members_are_not_paths(good, water, tmp_path, name):
    folder = tmp_path / "inner"
    folder.mkdir()
    path = write(folder / "a.qmdp", contents(good) | {name: b"import os"})
    assert_same(load(path), water)  # extra members are not looked at
    assert sorted(tmp_path.rglob("*")) == [folder, path]


# What cannot be made.


def test_domains_that_do_not_fit_are_refused():
    pairs, bounds = np.array([[0, 1]]), np.array([[1.0, 2.0]])
    Domain(pairs, bounds, bounds)
    for warn, stop in [
        (bounds, bounds[:0]),
        (bounds.ravel(), bounds),
        (bounds[:, ::-1], bounds),
        (bounds, bounds + 0.1),
        (bounds * np.nan, bounds),
        (bounds, [[1.0, np.inf]] * np.ones((1, 2))),
    ]:
        with pytest.raises(ValueError, match="must"):
            Domain(pairs, warn, stop)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"species": ("O", "H")}, "2 species"),
        ({"name": "a\tb"}, "printable"),
        ({"test_positions": np.zeros((1, 2, 3))}, "test positions of shape"),
        ({"test_positions": np.full((1, 3, 3), np.inf)}, "must be finite"),
        ({"reference_energy_eV": float("nan")}, "must be finite"),
    ],
)
def test_packages_whose_parts_do_not_fit_are_refused(water, changes, match):
    with pytest.raises(ValueError, match=match):
        dataclasses.replace(water, **changes)


# Names.


def test_shipped_packages_have_names(monkeypatch, good, tmp_path):
    monkeypatch.setattr(files, "SHIPPED", tmp_path)
    assert shipped() == []
    for name in ("b", "a"):
        (tmp_path / f"{name}.qmdp").write_bytes(good.read_bytes())
    (tmp_path / "README").write_text("")
    assert shipped() == ["a", "b"]
    assert find("a") == tmp_path / "a.qmdp"


def test_other_packages_are_found_relative_to_a_folder(good, tmp_path):
    assert find(good.name, good.parent) == good
    assert find(str(good), tmp_path) == good
    for name in ("none.qmdp", ".", "a\0b", ""):
        with pytest.raises(
            FileNotFoundError, match="There is no potential .* nor one of"
        ) as caught:
            find(name, tmp_path)
        assert all(known in str(caught.value) for known in shipped())


@pytest.mark.parametrize("name", shipped())
def test_shipped_packages_load(name):
    assert load(SHIPPED / f"{name}.qmdp").name == name
