"""Eight targets of fuzzing: what is damaged, by which strategy, and who reads it.

A reader may return, or raise a `QmdError` of one line with a documented exit code; nothing else.
"""

import hashlib
import json
import math
import os
import shutil
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import ase.db
import ase.io
import damage
import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from ase.calculators.singlepoint import SinglePointCalculator
from hypothesis import strategies as st

from qmd.analysis import analyze, potential_of_run
from qmd.cli.inputs import kinds, validate
from qmd.data import checks, datasets, geometries
from qmd.errors import QmdError
from qmd.forces import dft, fci, reference
from qmd.forces.catalogue import load_package
from qmd.interop.ipi_client import Client
from qmd.io import trajectory, universe
from qmd.io.structure import load_system
from qmd.io.verify import verify
from qmd.run import session
from qmd.run.config import load_config

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "potentials" / "shipped"
WATER = ("O", "H", "H")
POSITIONS = np.array([[0.0, 0.0, 0.0], [0.766, 0.5985, 0.0], [-0.766, 0.5985, 0.0]])


@dataclass(frozen=True)
class Target:
    """One kind of file, or peer."""

    cases: Callable[[Path], st.SearchStrategy[Any]]
    """Takes a folder with what `prepare` made; returns a strategy of cases."""
    read: Callable[[Path, Any], None]
    """Takes that folder and a case, and reads it as qmd does."""
    prepare: Callable[[Path], None] = lambda folder: None
    """Writes whole files into an empty folder."""
    warm: Callable[[Path], None] = lambda folder: None
    """Reads what is whole: imports and compiles, before the time of cases is measured."""


class StandIn(Calculator):
    """A calculator in place of foreign ones and of long calculations: it counts, and is zero."""

    implemented_properties = ["energy", "forces"]  # noqa: RUF012
    calls = 0

    def calculate(
        self, atoms: Any = None, properties: Any = ("energy",), system_changes: Any = all_changes
    ) -> None:
        super().calculate(atoms, properties, system_changes)
        StandIn.calls += 1
        self.results = {"energy": 0.0, "forces": np.zeros((len(self.atoms), 3))}


@contextmanager
def stand_ins() -> Iterator[None]:
    """Replace what is foreign, or takes minutes, by stand-ins; do not wait for the disk."""

    def nothing(self: Any, numbers: Any, positions: Any, *_: Any) -> Any:
        return 0.0, np.zeros_like(positions), None

    with ExitStack() as stack:
        stack.enter_context(patch.object(dft.DFT, "energy_and_forces", nothing))
        stack.enter_context(
            patch.object(fci.FCI, "energy_and_forces", lambda *args: nothing(*args)[:2])
        )
        stack.enter_context(patch.object(reference, "_calculator", lambda config: StandIn()))
        stack.enter_context(patch.object(os, "fsync", lambda fd: None))
        yield


# Inputs

CLASSICAL: list[dict[str, Any]] = [
    {"kind": "morse", "bonds": [[0, 1], [0, 2]], "depth_eV": 5.0, "steepness_per_A": 2.2,
     "length_A": 0.97},
    {"kind": "harmonic_bond", "bonds": [[0, 1]], "stiffness_eV_per_A2": 50, "length_A": 0.97},
    {"kind": "harmonic_angle", "angles": [[1, 0, 2]], "stiffness_eV_per_rad2": 3.0,
     "angle_deg": 104.6},
    {"kind": "lennard_jones", "atoms": [0, 1], "epsilon_eV": 0.0067, "sigma_A": 3.166},
    {"kind": "point_charges", "charges_e": [-0.8, 0.4, 0.4], "molecules": [[0], [1], [2]]},
]  # fmt: skip
IN_CELLS: list[dict[str, Any]] = [
    {"kind": "lennard_jones", "epsilon_eV": 0.0104, "sigma_A": 3.4, "cutoff_A": 8.5,
     "skin_A": 1.0, "truncation": "switch", "switch_from_A": 7.5, "tail_correction": True},
    {"kind": "point_charges", "charges_e": [0.5, -0.5] * 4, "cutoff_A": 6.0, "accuracy": 1e-8},
]  # fmt: skip
BOX = {"molecule": "Ar", "count": 8, "density_g_per_cm3": 1.4, "seed": 2, "placement": "lattice"}
REFERENCES: list[dict[str, Any]] = [
    {"kind": "dft", "functional": "rpbe,pbe", "basis": "def2-svp", "dispersion": None},
    {"kind": "fci", "basis": "sto-3g", "charge": 0, "multiplicity": 1},
    {"kind": "ase", "calculator": "ase.calculators.emt.EMT", "arguments": {"a": 1}},
]
POTENTIALS: list[Any] = [
    "sivqlm-h2o", "spc-fw", "h2o.qmdp", {"kind": "package", "name": "sivqlm-h2o", "sha256": None},
    *CLASSICAL, *REFERENCES, {"kind": "sum", "terms": [*CLASSICAL[:2]], "weights": [0.5, 0.5]},
    {"kind": "committee", "members": ["sivqlm-h2o", "spc-fw"]},
]  # fmt: skip
INTEGRATORS: list[Any] = [
    {"kind": "velocity_verlet", "timestep_fs": 0.5, "remove_drift_every": None},
    {"kind": "langevin_baoab", "timestep_fs": 0.5, "temperature_K": 300, "friction_per_ps": 1.0},
    {"kind": "velocity_rescaling", "timestep_fs": 0.5, "relaxation_time_fs": 100,
     "temperature_K": {"from_K": 300, "to_K": 500, "steps": 50}},
    {"kind": "nose_hoover_chain", "timestep_fs": 0.5, "temperature_K": 300, "chain_length": 3,
     "relaxation_time_fs": 100},
]  # fmt: skip
BAROSTAT: dict[str, Any] = {
    "kind": "cell_rescaling", "timestep_fs": 2, "temperature_K": 94, "relaxation_time_fs": 100,
    "pressure_bar": 1.0, "pressure_relaxation_time_fs": 1000, "compressibility_per_bar": 4.5e-5,
    "scaling": "anisotropic",
}  # fmt: skip
EXECUTORS: list[Any] = [
    {"kind": "serial"}, {"kind": "processes", "workers": 2, "threads": 1},
    {"kind": "dask", "workers": None, "scheduler": "tcp://127.0.0.1:8786"},
    {"kind": "slurm", "interface": "lo", "jobs": 4, "cores": 8, "memory_GB": 16, "wall_time_h": 2,
     "directives": ["--qos=long"]},
]  # fmt: skip
STAGES: list[Any] = [
    {"kind": "least_squares", "evaluations": 6, "frames": 20},
    {"kind": "adam", "steps": 20, "report_every": 5, "learning_rate": 0.001},
    {"kind": "gauss_newton"}, {"kind": "lbfgs", "steps": 3},
]  # fmt: skip
MODELS: list[Any] = [
    {"kind": "vqlm-h2o"}, {"kind": "vqlm-lih"}, {"kind": "sivqlm-lih"}, {"kind": "sivqlm-dimer"},
    {"kind": "density-dimer", "monomer": "sivqlm-h2o"},
    {"kind": "polynomial", "species": ["O", "H", "H"], "degree": 4},
    {"kind": "qnn-revised", "species": ["O", "H", "H"]},
    {"kind": "qnn-initial", "species": ["O", "H", "H"], "qubits": 2},
    {"kind": "perceptron", "species": ["O", "H", "H"]},
    {"kind": "allegro", "species": ["O", "H", "H"], "layers": 1,
     "head": {"kind": "qdi", "features": 2, "qubits": 2}},
    {"kind": "package", "name": "h2o.qmdp"},
]  # fmt: skip
SEARCHES: list[Any] = [
    {"kind": "samo_cobra", "criterion": "SMS"}, {"kind": "nsga2", "population": 4},
    {"kind": "tpe"},
]  # fmt: skip
MEASURES: list[Any] = [
    {"kind": "nve", "structure": "h2o", "temperature_K": 300, "timesteps_fs": [0.25],
     "length_ps": 1, "seeds": 1},
    {"kind": "stability", "structure": "h2o", "temperatures_K": [300], "length_ps": 1, "seeds": 1},
    {"kind": "symmetry", "structure": "h2o", "geometries": 2},
    {"kind": "speed", "structure": "h2o", "rounds": 1, "starts": 1},
    {"kind": "resources", "structure": "h2o"}, {"kind": "errors", "dataset": "labels.npz"},
    {"kind": "errors", "test_frames_of": "train.yaml"}, {"kind": "path", "reference": "run"},
]  # fmt: skip


def documents() -> Iterator[tuple[str, Any]]:
    """Yield whole inputs: each kind of command, with each kind of part."""
    run = {
        "system": {"structure": "h2o", "temperature_K": 300, "masses_u": {"H": 2.014}},
        "integrator": INTEGRATORS[1],
        "steps": 100,
        "seed": 1,
        "confinement": {"radius_A": 6.0, "stiffness_eV_per_A3": 1.0},
        "guards": {"max_force_eV_per_A": 50, "on_leaving_domain": "warn"},
        "output": {"trajectory_every": 1, "log_every": 1, "checkpoint_every": 1},
        "wall_time_h": 1,
    }
    for potential in POTENTIALS:
        yield "run", run | {"potential": potential}
    for integrator in INTEGRATORS:
        yield "run", run | {"potential": "sivqlm-h2o", "integrator": integrator, "replicas": 3}
    yield "run", run | {"potential": "sivqlm-h2o", "noise": {"shots": 10**9}}
    for potential in IN_CELLS:
        system = {"structure": BOX, "temperature_K": 94, "fixed": [0]}
        in_cell = {"system": system, "potential": potential, "confinement": None}
        yield "run", run | in_cell
        yield "run", run | in_cell | {"integrator": BAROSTAT, "system": system | {"fixed": None}}
    for method in REFERENCES:
        yield "reference", run | {"potential": method}
        yield "label", {"structures": "water.xyz", "method": method, "save_every": 3}
    for executor in EXECUTORS:
        yield "ensemble", {"input": "run.yaml", "vary": [{"seed": [1, 2]}], "executor": executor}
    for stage in STAGES:
        yield "train", {
            "name": "water", "dataset": "labels.npz", "model": {"kind": "sivqlm-h2o"},
            "split": {"train": 4, "validation": 2, "seed": 3}, "stages": [stage],
            "starts": {"count": 2, "finalists": 1}, "workers": 1, "licence": "CC0-1.0",
        }  # fmt: skip
    for model in MODELS:
        yield "train", {
            "name": "water", "dataset": "labels.npz", "model": model, "stages": [STAGES[0]],
            "split": {"train": 4, "validation": 2, "seed": 3}, "licence": "CC0-1.0",
        }  # fmt: skip
    for search in SEARCHES:
        yield "tune", {
            "input": "train.yaml", "parameters": {"stages.0.frames": {"integer": [2, 20]}},
            "objectives": ["forces_rmse_meV_per_A", "parameters"], "method": search,
            "evaluations": 3,
        }  # fmt: skip
    for measure in MEASURES:
        yield "benchmark", {
            "title": "Two waters", "potentials": {"a": "sivqlm-h2o", "b": CLASSICAL[0]},
            "measures": [measure], "executor": EXECUTORS[0],
        }  # fmt: skip


def _prepare_inputs(folder: Path) -> None:
    _write_water(folder)
    shutil.copy(SHIPPED / "sivqlm-h2o.qmdp", folder / "h2o.qmdp")
    for kind, document in reversed(list(documents())):
        (folder / f"{kind}.yaml").write_bytes(damage.as_json(document))


def _warm_inputs(folder: Path) -> None:
    for kind, document in documents():
        with suppress(QmdError):
            _read_input(folder, ((kind, document), []))


def _inputs(folder: Path) -> st.SearchStrategy[Any]:
    whole = st.sampled_from(list(documents()))
    changed = whole.flatmap(lambda one: st.tuples(st.just(one[0]), damage.of_tree(one[1])))
    texts = st.sampled_from(kinds.INPUTS).flatmap(
        lambda kind: st.tuples(st.just(kind), damage.of_text(kinds.template(kind).encode()))
    )
    others = st.tuples(st.sampled_from([None, *kinds.INPUTS]), damage.JSON)
    keys = ["steps", "potential", "system.structure", "a.b", "", "integrator.kind", "seed"]
    overrides = st.lists(
        st.builds("{}={}".format, st.sampled_from(keys), st.text(max_size=12)), max_size=1
    )
    return st.tuples(st.one_of(changed, changed, texts, others), overrides)


def _read_input(folder: Path, case: Any) -> None:
    (kind, content), overrides = case
    path = folder / "case.yaml"
    path.write_bytes(content if isinstance(content, bytes) else damage.as_json(content))
    text = validate.verdict(path, kind, overrides)
    assert "\n" not in text, text


# Structures and data


def _write_water(folder: Path) -> None:
    with np.load(ROOT / "runs" / "labels-h2o" / "test.npz") as labels:
        known = {key: labels[key][:12] for key in ("R", "E", "F")}
    frames = []
    for positions, energy, forces in zip(*known.values(), strict=True):
        atoms = Atoms(WATER, positions)
        atoms.calc = SinglePointCalculator(atoms, energy=float(energy), forces=forces)
        frames.append(atoms)
    arrays = {"Z": np.array([8, 1, 1])} | known
    np.savez(folder / "labels.npz", **arrays)
    np.savez_compressed(folder / "packed.npz", **arrays)
    ase.io.write(folder / "labels.extxyz", frames[:4], format="extxyz")
    for suffix in ("db", "json"):
        with ase.db.connect(folder / f"labels.{suffix}") as database:
            for atoms in frames[:3]:
                database.write(atoms, data={"D": np.zeros(3)})
    one = frames[0].copy()
    one.calc = None
    for name, kind in STRUCTURES.items():
        ase.io.write(folder / name, one, format=kind)


CRYSTAL = b"Ar\n1.0\n5.26 0 0\n0 5.26 0\n0 0 5.26\nAr\n2\nDirect\n0 0 0\n0.5 0.5 0\n"
CIF = (
    b"data_x\n_cell_length_a 5.26\n_cell_length_b 5.26\n_cell_length_c 6.5\n_cell_angle_alpha 90\n"
    b"_cell_angle_beta 90\n_cell_angle_gamma 120\n_symmetry_space_group_name_H-M 'P 1'\nloop_\n"
    b"_atom_site_label\n_atom_site_type_symbol\n_atom_site_fract_x\n_atom_site_fract_y\n"
    b"_atom_site_fract_z\nAr1 Ar 0 0 0\nAr2 Ar 0.5 0.5 0.5\n"
)
STRUCTURES = {
    "water.xyz": "xyz", "full.xyz": "extxyz", "water.pdb": "proteindatabank", "water.mol": "mol",
    "water.gen": "gen", "coord": "turbomole",
}  # fmt: skip
READERS = ("geometries", "isolated", "in a cell")
NAMES = (*STRUCTURES, "a.cif", "a.cube", "a.traj", "a.json", "a.db", "POSCAR", "a.xyz.gz", "a.nc",
         "a.sdf", "a", "a.txt")  # fmt: skip
PDB = b"".join(
    b"ATOM      1  %-3s HOH A   1    %8.3f%8.3f%8.3f  1.00  0.00          %2s\n"
    % (symbol.encode(), *position, symbol.encode())
    for symbol, position in zip(WATER, POSITIONS, strict=True)
)
COMMENT = (
    b'3\nLattice="9 0 0 0 9 0 0 0 9" Properties=species:S:1:pos:R:3:forces:R:3 energy=-1.5 '
    b'charge=0 pbc="F F F"\nO 0 0 0 0 0 0\nH 0.766 0.5985 0 0 0 0\nH -0.766 0.5985 0 0 0 0\n'
)


def _structures(folder: Path) -> st.SearchStrategy[Any]:
    whole = {name: (folder / name).read_bytes() for name in STRUCTURES}
    cell = b"CRYST1    9.000    9.000   12.000  90.00  90.00 120.00 P 1           1\n"
    whole |= {
        "full.xyz": COMMENT, "water.pdb": PDB + b"END\n", "cell.pdb": cell + PDB + b"END\n",
        "cell.xyz": COMMENT.replace(b"F F F", b"T T F"), "POSCAR": CRYSTAL, "crystal.cif": CIF,
    }  # fmt: skip
    files = st.sampled_from(sorted(whole)).flatmap(
        lambda name: st.tuples(st.just(name), damage.of_text(whole[name]))
    )
    strangers = st.tuples(
        st.sampled_from(NAMES),
        st.sampled_from(sorted(whole.values())).flatmap(damage.of_text) | st.binary(max_size=200),
    )
    return st.tuples(st.one_of(files, files, files, strangers), st.sampled_from(READERS))


def _read_structure(folder: Path, case: Any) -> None:
    (name, content), reader = case
    path = folder / "case" / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    try:
        if reader == "geometries":
            geometries.read(path)
        else:
            load_system(str(path), folder, charged=True, periodic=reader == "in a cell")
    finally:
        path.unlink()


def _warm_structures(folder: Path) -> None:
    for name in STRUCTURES:
        for reader in READERS:
            _read_structure(folder, ((name, (folder / name).read_bytes()), reader))


def _npy(rng_shape: Any, kind: str, data: bytes) -> bytes:
    header = f"{{'descr': {kind!r}, 'fortran_order': False, 'shape': {rng_shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + (len(header) % 65536).to_bytes(2, "little") + header + data


def _datasets(folder: Path) -> st.SearchStrategy[Any]:
    packed = {name: (folder / name).read_bytes() for name in ("labels.npz", "packed.npz")}
    texts = {name: (folder / name).read_bytes() for name in ("labels.extxyz", "labels.json")}
    arrays = st.builds(
        _npy,
        st.lists(st.integers(-1, 2**70) | st.integers(0, 4), max_size=10).map(tuple)
        | st.text(max_size=10),
        st.sampled_from(["<f8", "<i8", ">f4", "O", "<U9", "V8", "?", "<c16", "S3", "<M8[s]"]),
        st.binary(max_size=64),
    )
    keys = st.sampled_from(["Z", "R", "E", "F", "z", "r", "coords", "../x", "e_unit"])
    declared = st.dictionaries(keys.map("{}.npy".format), arrays, min_size=1).map(damage.pack)
    rows = json.loads(texts["labels.json"])
    return st.one_of(
        st.sampled_from(sorted(packed)).flatmap(
            lambda n: st.tuples(st.just(n), damage.of_bytes(packed[n]))
        ),
        st.tuples(st.just("labels.npz"), damage.of_archive(packed["labels.npz"])),
        st.tuples(st.just("labels.npz"), declared),
        st.tuples(st.just("labels.extxyz"), damage.of_text(texts["labels.extxyz"])),
        st.tuples(st.just("labels.json"), damage.of_tree(rows).map(damage.as_json)),
        st.tuples(st.just("labels.json"), damage.of_text(texts["labels.json"])),
        st.tuples(st.just("labels.db"), damage.of_bytes((folder / "labels.db").read_bytes())),
    )


def _read_dataset(folder: Path, case: Any) -> None:
    name, content = case
    path = folder / f"case{Path(name).suffix}"
    path.write_bytes(content)
    checks.check(datasets.read(path), WATER, forces=True)


def _warm_datasets(folder: Path) -> None:
    for name in ("labels.npz", "labels.extxyz", "labels.json", "labels.db"):
        _read_dataset(folder, (name, (folder / name).read_bytes()))


# Packages


def _prepare_packages(folder: Path) -> None:
    for name in PACKAGES:
        shutil.copy(SHIPPED / f"{name}.qmdp", folder)


def _warm_packages(folder: Path) -> None:
    for name in PACKAGES:
        load_package(f"{name}.qmdp", folder)


PACKAGES = ("sivqlm-lih", "sivqlm-h2o", "qnn-organic")


def _packages(folder: Path) -> st.SearchStrategy[Any]:
    import zipfile

    found = []
    for name in PACKAGES:
        content = (folder / f"{name}.qmdp").read_bytes()
        with zipfile.ZipFile(folder / f"{name}.qmdp") as archive:
            members = {member: archive.read(member) for member in archive.namelist()}
        model = json.loads(members["model.json"])

        def sealed(
            changed: Any, members: dict[str, bytes] = members, tensors: bytes | None = None,
            member: str = "",
        ) -> bytes:  # fmt: skip
            if tensors is not None:
                members = members | {member: tensors}
                changed = changed | {
                    "sha256": changed["sha256"] | {member: hashlib.sha256(tensors).hexdigest()}
                }
            return damage.pack(members | {"model.json": damage.as_json(changed)})

        found.append(damage.of_bytes(content))
        found.append(damage.of_archive(content))
        found.append(damage.of_tree(model).map(sealed))
        found.append(damage.of_tree(model).map(sealed))
        for member in sorted(set(members) - {"model.json"}):
            found.append(
                damage.of_bytes(members[member]).map(
                    lambda tensors, model=model, sealed=sealed, member=member: sealed(
                        model, tensors=tensors, member=member
                    )
                )
            )
    return st.one_of(found)


def _read_package(folder: Path, case: bytes) -> None:
    path = folder / "case.qmdp"
    path.write_bytes(case)
    load_package(str(path), folder)


# Runs

RUN = {
    "system": {"structure": "h2o", "temperature_K": 300},
    "potential": "sivqlm-h2o",
    "integrator": INTEGRATORS[1],
    "steps": 20,
    "output": {"trajectory_every": 1, "log_every": 1, "checkpoint_every": 20},
}


def _prepare_run(folder: Path) -> None:
    """A run that ended at step 20, and whose input now asks for 22."""
    path = folder / "input.yaml"
    path.write_text(json.dumps(RUN))
    session.run(load_config(path))
    (folder / "output" / "checkpoint.prev").unlink(missing_ok=True)
    path.write_text(json.dumps(RUN | {"steps": 22}))


def parts(data: bytes) -> tuple[dict[str, Any], bytes]:
    """Return header and arrays of a checkpoint."""
    end = 48 + int.from_bytes(data[40:48], "little")
    return json.loads(data[48:end]), data[end:]


def sealed_checkpoint(header: Any, arrays: bytes) -> bytes:
    """Return a checkpoint of these contents, with their SHA-256."""
    text = json.dumps(header).encode()
    payload = len(text).to_bytes(8, "little") + text + arrays
    return b"QMDCKPT1" + hashlib.sha256(payload).digest() + payload


def _checkpoints(folder: Path) -> st.SearchStrategy[Any]:
    whole = (folder / "output" / "checkpoint").read_bytes()
    header, arrays = parts(whole)
    trees = damage.of_tree(header).map(lambda tree: sealed_checkpoint(tree, arrays))
    return st.one_of(
        trees,
        trees,
        damage.of_bytes(arrays).map(lambda data: sealed_checkpoint(header, data)),
        damage.of_bytes(whole),
    )


def _read_checkpoint(folder: Path, case: bytes) -> None:
    run = Path(shutil.copytree(folder, folder.parent / "case"))
    try:
        (run / "output" / "checkpoint").write_bytes(case)
        session.run(load_config(run / "input.yaml"))
    finally:
        shutil.rmtree(run)


def _warm_checkpoints(folder: Path) -> None:
    _read_checkpoint(folder, (folder / "output" / "checkpoint").read_bytes())


def _words(content: bytes, before: int) -> st.SearchStrategy[bytes]:
    """Replace one or two of the words of four bytes before a place."""
    word = st.sampled_from([0, 1, 3, 2**16, 2**24, 2**31 - 1, 2**31, 2**32 - 1]) | st.integers(
        0, 2**32 - 1
    )
    change = st.tuples(st.integers(1, before // 4 - 1), word)

    def changed(changes: list[tuple[int, int]]) -> bytes:
        data = bytearray(content)
        for at, value in changes:
            struct.pack_into(">I", data, 4 * at, value)
        return bytes(data)

    return st.lists(change, min_size=1, max_size=2).map(changed)


def _trajectories(folder: Path) -> st.SearchStrategy[Any]:
    whole = (folder / "output" / "trajectory.nc").read_bytes()
    begin = trajectory.verify(folder / "output" / "trajectory.nc").begin
    return st.one_of(
        damage.of_bytes(whole),
        damage.of_bytes(whole[:begin]).map(lambda head: head + whole[begin:]),
        _words(whole, begin),
    )


def _read_trajectory(folder: Path, case: bytes) -> None:
    path = folder / "output" / "trajectory.nc"
    whole = path.read_bytes()
    path.write_bytes(case)
    try:
        for _ in universe.load(folder).trajectory[:3]:
            pass
        trajectory.read_frames(path)
        verify(folder / "output")
    finally:
        path.write_bytes(whole)


def _warm_trajectories(folder: Path) -> None:
    _read_trajectory(folder, (folder / "output" / "trajectory.nc").read_bytes())


RUN_FILES = {
    "run.json": (damage.of_bytes, damage.of_numbers),
    "log.csv": (damage.of_text,),
    "topology.pdb": (damage.of_text,),
}


def _folders(folder: Path) -> st.SearchStrategy[Any]:
    found = []
    for name, ways in RUN_FILES.items():
        whole = (folder / "output" / name).read_bytes()
        for way in ways:
            found.append(st.tuples(st.just(name), way(whole)))
        if name == "run.json":
            trees = damage.of_tree(json.loads(whole)).map(damage.as_json)
            found += [st.tuples(st.just(name), trees)] * 2
    return st.one_of(found)


def _read_folder(folder: Path, case: Any) -> None:
    name, content = case
    path = folder / "output" / name
    whole = path.read_bytes()
    path.write_bytes(content)
    try:
        found = analyze.analyze(folder, timestep=False)
        json.dumps(analyze.as_data(found), allow_nan=True)
        potential_of_run.potential_of_run(found.run)
    finally:
        path.write_bytes(whole)


def _warm_folders(folder: Path) -> None:
    for name in RUN_FILES:
        _read_folder(folder, (name, (folder / "output" / name).read_bytes()))


# The socket

DOUBLES = st.floats(width=64).map(lambda x: struct.pack("<d", x))
INTEGERS = st.sampled_from([0, 1, 3, 2**31 - 1, -1, -(2**31)]) | st.integers(-(2**31), 2**31 - 1)


def _geometry(n: int, positions: bytes, cell: float) -> bytes:
    cells = struct.pack("<18d", *(np.eye(3) * cell).ravel(), *(np.eye(3)).ravel())
    return b"POSDATA     " + cells + struct.pack("<i", n) + positions


def _messages(folder: Path) -> st.SearchStrategy[Any]:
    right = (POSITIONS / 0.529177).astype("<f8").tobytes()
    headers = st.sampled_from(
        [b"STATUS", b"GETFORCE", b"EXIT", b"INIT", b"POSDATA", b"FORCEREADY", b"\x1b[2J", b""]
    ).map(lambda name: name.ljust(12))
    geometries_ = st.builds(
        _geometry, st.just(3) | INTEGERS,
        st.just(right) | st.lists(DOUBLES, min_size=9, max_size=9).map(b"".join),
        st.sampled_from([30.0, 0.0, math.nan, 1e308, -5.0, 1e-300]),
    )  # fmt: skip
    inits = st.builds(
        lambda bead, n, text: b"INIT        " + struct.pack("<ii", bead, n) + text,
        INTEGERS, st.integers(0, 9) | INTEGERS, st.binary(max_size=9),
    )  # fmt: skip
    whole = [b"STATUS".ljust(12), _geometry(3, right, 30.0), b"STATUS".ljust(12),
             b"GETFORCE".ljust(12)]  # fmt: skip
    session_ = st.integers(1, 3).map(lambda n: b"".join(whole * n))
    return st.one_of(
        st.lists(st.one_of(headers, geometries_, inits), max_size=8).map(b"".join),
        session_.flatmap(damage.of_bytes),
        st.tuples(session_, geometries_).map(b"".join),
        st.binary(max_size=300),
    )


def _read_messages(folder: Path, case: bytes) -> None:
    """Talk to a server that has said all it has to say, and closed its end."""
    ours, theirs = socket.socketpair()
    with theirs:
        theirs.sendall(case)
        theirs.shutdown(socket.SHUT_WR)
        with patch.object(socket, "create_connection", lambda *_, **__: ours):
            client = Client(idle_s=5.0)
        atoms = Atoms(WATER, POSITIONS, calculator=StandIn())
        with client:
            client.run(atoms)


TARGETS = {
    "inputs": Target(_inputs, _read_input, _prepare_inputs, _warm_inputs),
    "structures": Target(_structures, _read_structure, _write_water, _warm_structures),
    "datasets": Target(_datasets, _read_dataset, _write_water, _warm_datasets),
    "packages": Target(_packages, _read_package, _prepare_packages, _warm_packages),
    "checkpoints": Target(_checkpoints, _read_checkpoint, _prepare_run, _warm_checkpoints),
    "trajectories": Target(_trajectories, _read_trajectory, _prepare_run, _warm_trajectories),
    "run folders": Target(_folders, _read_folder, _prepare_run, _warm_folders),
    "socket": Target(_messages, _read_messages),
}
