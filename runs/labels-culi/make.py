"""Cells of copper, lithium and their alloys for `qmd label`, snapshots of a classical model.

    python runs/labels-culi/make.py

Crystals, vacancies, adatoms on slabs, interfaces and melts of 8 to 24 atoms are built by ASE and
pymatgen and strained at random. Each is then moved by Langevin dynamics of a Morse model at 300 to
1200 K, and its last step is one frame. The model has Cu-Cu parameters of Girifalco and Weizer and
Li-Li parameters that give lithium its lattice constant and bulk modulus; it only samples
geometries, and no energy of it is kept. Frames of the five groups take turns, so that the first
frames are a balanced sample however many have been labelled. Frame 0 is a cell of two lithium
atoms, small enough to compare its stress with differences of the energy.

Needs ASE and pymatgen. The numbers that it draws are seeded.
"""

import argparse
import warnings
from functools import cache
from itertools import islice
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.build import bcc100, bcc110, bulk, fcc100, fcc110, fcc111
from ase.data import atomic_masses, covalent_radii
from ase.neighborlist import primitive_neighbor_list

from qmd.data.padded import pad_numbers, pad_vectors

HERE = Path(__file__).parent
SEED = 29
PER_GROUP = 96
MOST_ATOMS = 24
TEMPERATURES_K = 300, 600, 900, 1200
MELT_TEMPERATURES_K = 900, 1200
A_CU, A_LI, A_B2 = 3.63, 3.44, 3.03
"""Lattice constants, angstrom, of fcc Cu and bcc Li in PBE, and about that of CuLi as CsCl."""
VOLUMES = {29: A_CU**3 / 4, 3: A_LI**3 / 2}
"""Volume for each atom of the elements, angstrom^3."""
MORSE = {
    (29, 29): (0.3429, 1.3588, 2.866),
    (3, 3): (0.0611, 0.9, 3.833),
    (3, 29): (0.1447, 1.129, 3.350),
}
"""Depth (eV), inverse width (1/angstrom) and distance (angstrom) by pair. Cu-Cu: L. A. Girifalco,
V. G. Weizer, Phys. Rev. 114, 687 (1959). Li-Li: 3.51 angstrom and 12 GPa. Cu-Li: means of both."""
CUTOFF_A = 7.5
CLOSEST, MOST_DRAWS = 0.72, 100
"""Frames with atoms closer than this times the sum of covalent radii are drawn again, so often."""
STEP_FS, STEPS, FRICTION_PER_FS, REBUILD = 3.0, 250, 0.02, 10
VACUUM_A = 8.0
KB_EV = 8.617333262e-5
ACCELERATION = 9.648533e-3
"""1 eV/(angstrom u) in angstrom/fs^2."""


def pairs_of(atoms):
    """First and second atom, shift of the second (angstrom), and parameters of all pairs."""
    cell, x = atoms.cell.array, atoms.positions
    faces = np.linalg.norm(np.cross(cell[[1, 2, 0]], cell[[2, 0, 1]]), axis=1)
    heights = atoms.get_volume() / faces
    reach = np.ceil(CUTOFF_A / heights).astype(int) + 1  # atoms may have left the cell a little
    steps = np.meshgrid(*(np.arange(-n, n + 1) for n in reach))
    images = np.stack(steps, axis=-1).reshape(-1, 3) @ cell
    r2 = ((x[None, :, None] + images - x[:, None, None]) ** 2).sum(axis=-1)
    i, j, image = np.nonzero((r2 < CUTOFF_A**2) & (r2 > 1e-12))
    table = np.zeros((30, 30, 3))
    for (first, second), parameters in MORSE.items():
        table[first, second] = table[second, first] = parameters
    return i, j, images[image], table[atoms.numbers[i], atoms.numbers[j]]


def forces_of(positions, pairs):
    """Forces of the Morse model, eV/angstrom; each pair is counted from both sides."""
    i, j, shifts, parameters = pairs
    depth, inverse, distance = parameters.T
    along = positions[j] + shifts - positions[i]
    r = np.linalg.norm(along, axis=1)
    decay = np.exp(-inverse * np.maximum(r - distance, -1.5))
    size = 2 * depth * inverse * (decay - decay**2)
    forces = np.zeros_like(positions)
    np.add.at(forces, i, (size / r)[:, None] * along)
    return forces


def moved(rng, atoms, temperature_K, steps=STEPS):
    """Atoms after Langevin dynamics (BAOAB) of the Morse model from their positions."""
    masses = atomic_masses[atoms.numbers][:, None]
    width = np.sqrt(KB_EV * temperature_K * ACCELERATION / masses)
    keep = np.exp(-FRICTION_PER_FS * STEP_FS)
    atoms, velocities = atoms.copy(), width * rng.standard_normal((len(atoms), 3))
    forces = None
    for step in range(steps):
        if step % REBUILD == 0:
            atoms.wrap()
            pairs = pairs_of(atoms)
            forces = forces_of(atoms.positions, pairs)
        velocities += forces / masses * ACCELERATION * STEP_FS / 2
        atoms.positions += velocities * STEP_FS / 2
        noise = rng.standard_normal(velocities.shape)
        velocities = keep * velocities + np.sqrt(1 - keep**2) * width * noise
        atoms.positions += velocities * STEP_FS / 2
        forces = forces_of(atoms.positions, pairs)
        velocities += forces / masses * ACCELERATION * STEP_FS / 2
    return atoms


def strained(rng, atoms, size, axes=(0, 1, 2)):
    """Atoms in a cell with a random symmetric strain along `axes` of about `size`."""
    strain = size * rng.standard_normal((3, 3))
    strain = (strain + strain.T) / 2
    others = [axis for axis in range(3) if axis not in axes]
    strain[others] = strain[:, others] = 0.0
    atoms = atoms.copy()
    atoms.set_cell(atoms.cell.array @ (np.eye(3) + strain), scale_atoms=True)
    return atoms


def random_alloy(rng, atoms):
    """Elements at random, and the cell scaled to the volumes of its atoms."""
    n_li = rng.integers(1, len(atoms))
    numbers = np.array([3] * n_li + [29] * (len(atoms) - n_li))
    atoms.numbers = rng.permutation(numbers)
    scale = (sum(VOLUMES[z] for z in numbers) / atoms.get_volume()) ** (1 / 3)
    atoms.set_cell(atoms.cell * scale, scale_atoms=True)
    return atoms


@cache
def crystals():
    """Crystals of 8 to 16 atoms: elements, and ordered alloys in four structures."""
    cu, li = bulk("Cu", a=A_CU, cubic=True), bulk("Li", a=A_LI, cubic=True)
    b2 = bulk("CuLi", "cesiumchloride", a=A_B2)
    cu3li, culi3, l10 = cu.copy(), bulk("Li", "fcc", a=4.2, cubic=True), cu.copy()
    cu3li.numbers[0], culi3.numbers[0], l10.numbers[:2] = 3, 29, 3
    cu3li.set_cell(cu3li.cell * 1.04, scale_atoms=True)
    l10.set_cell(l10.cell * 1.07, scale_atoms=True)
    return {
        "Cu fcc": cu * (2, 1, 1), "Cu fcc 12": cu * (3, 1, 1),
        "Li bcc": li * (2, 2, 1), "Li bcc 16": li * (2, 2, 2),
        "Li fcc": bulk("Li", "fcc", a=4.33, cubic=True) * (2, 1, 1),
        "CuLi B2": b2 * (2, 2, 1), "CuLi B2 12": b2 * (3, 2, 1),
        "Cu3Li L12": cu3li * (2, 1, 1), "CuLi3 L12": culi3 * (2, 1, 1),
        "CuLi L10": l10 * (2, 1, 1), "Cu3Li L12 12": cu3li * (3, 1, 1),
    }  # fmt: skip


def bulk_start(rng, k):
    """Name and atoms of a crystal; every fourth is a random alloy."""
    known = list(crystals().items())
    if k % 4 == 3:
        lattice = known[0][1] if k % 8 == 3 else known[2][1]
        return "random alloy", strained(rng, random_alloy(rng, lattice.copy()), 0.03)
    name, atoms = known[(k - k // 4) % len(known)]
    return name, strained(rng, atoms, 0.03)


def vacancy_start(rng, k):
    """Name and atoms of a crystal without one or two of them."""
    from pymatgen.io.ase import AseAtomsAdaptor as Adaptor

    large = [(name, atoms) for name, atoms in crystals().items() if len(atoms) > 8]
    large.append(("CuLi3 L12 16", crystals()["CuLi3 L12"] * (1, 2, 1)))
    name, atoms = large[k % len(large)]
    structure = Adaptor.get_structure(atoms)
    removed = rng.choice(len(atoms), 1 + (k % 5 == 4), replace=False)
    structure.remove_sites(removed.tolist())
    return f"{name}, vacancy", strained(rng, plain(Adaptor.get_atoms(structure)), 0.02)


@cache
def slabs():
    """Slabs of 8 to 12 atoms with their vacuum along the third vector."""
    found = {
        "Cu(111)": fcc111("Cu", (2, 2, 2), a=A_CU), "Cu(100)": fcc100("Cu", (2, 2, 2), a=A_CU),
        "Cu(110)": fcc110("Cu", (1, 2, 4), a=A_CU), "Cu(111) 3": fcc111("Cu", (2, 2, 3), a=A_CU),
        "Li(110)": bcc110("Li", (2, 2, 2), a=A_LI), "Li(100)": bcc100("Li", (2, 2, 3), a=A_LI),
    }  # fmt: skip
    for slab in found.values():
        slab.center(VACUUM_A / 2, axis=2)
    return {key: plain(slab) for key, slab in found.items()} | alloy_slabs()


def alloy_slabs():
    """Slabs of ordered alloys, by the slab generator of pymatgen."""
    from pymatgen.core.surface import SlabGenerator
    from pymatgen.io.ase import AseAtomsAdaptor as Adaptor

    known, found = crystals(), {}
    unit = {"CuLi B2": bulk("CuLi", "cesiumchloride", a=A_B2), "Cu3Li L12": known["Cu3Li L12"]}
    unit["Cu3Li L12"] = unit["Cu3Li L12"][:4]
    unit["Cu3Li L12"].set_cell(known["Cu3Li L12"].cell.array * [[0.5], [1], [1]])
    for name, miller, thick, repeat in (
        ("CuLi B2", (1, 1, 0), 4.0, (2, 1, 1)), ("CuLi B2", (1, 0, 0), 5.0, (2, 2, 1)),
        ("Cu3Li L12", (1, 1, 1), 4.0, (1, 1, 1)), ("Cu3Li L12", (1, 0, 0), 5.0, (1, 1, 1)),
    ):  # fmt: skip
        generator = SlabGenerator(
            Adaptor.get_structure(unit[name]), miller, thick, VACUUM_A, center_slab=True
        )
        slab = generator.get_slabs()[0].get_orthogonal_c_slab()
        key = f"{name}({''.join(map(str, miller))})"
        found[key] = plain(Adaptor.get_atoms(slab)) * repeat
    return found


def adatom_start(rng, k):
    """Name and atoms of a slab with one or two atoms on it."""
    known = list(slabs().items())
    name, atoms = known[k % len(known)]
    atoms, n_more = strained(rng, atoms, 0.02, (0, 1)), 1 + k // len(known) % 2
    for _ in range(n_more):
        atoms = with_adatom(rng, atoms, (3, 29)[rng.integers(2)])
    return f"{name}, {n_more} adatom{'s' * (n_more > 1)}", atoms


def with_adatom(rng, atoms, number):
    """One atom more at a random place of the upper face, as high as its neighbours allow."""
    place = rng.random(2) @ atoms.cell.array[:2]
    new = Atoms([number], [place], cell=atoms.cell, pbc=True)
    height = atoms.positions[:, 2].max() + 0.5
    while True:
        new.positions[0, 2] = height
        near = (atoms + new).get_distances(-1, range(len(atoms)), mic=True)
        if (near > 0.95 * (covalent_radii[atoms.numbers] + covalent_radii[number])).all():
            return atoms + new
        height += 0.1


@cache
def interfaces():
    """Coherent interfaces of Cu and Li, by pymatgen, without vacuum; 9 to 24 atoms."""
    from pymatgen.analysis.interfaces import CoherentInterfaceBuilder, ZSLGenerator
    from pymatgen.core import Lattice, Structure
    from pymatgen.io.ase import AseAtomsAdaptor as Adaptor

    cu = Structure.from_spacegroup("Fm-3m", Lattice.cubic(A_CU), ["Cu"], [[0, 0, 0]])
    li = Structure.from_spacegroup("Im-3m", Lattice.cubic(A_LI), ["Li"], [[0, 0, 0]])
    zsl = ZSLGenerator(max_area=30, max_area_ratio_tol=0.12, max_length_tol=0.08)
    found = {}
    for miller in ((0, 0, 1), (1, 1, 0), (1, 1, 1)):
        builder = CoherentInterfaceBuilder(
            substrate_structure=cu, film_structure=li, film_miller=miller,
            substrate_miller=miller, zslgen=zsl,
        )  # fmt: skip
        for n_cu, n_li in ((2, 2), (2, 3), (3, 2), (3, 3), (2, 4)):
            each = next(
                builder.get_interfaces(
                    builder.terminations[0], gap=2.4, vacuum_over_film=2.4,
                    film_thickness=n_li, substrate_thickness=n_cu, in_layers=True,
                )
            )  # fmt: skip
            if 8 <= len(each) <= MOST_ATOMS:
                name = f"Cu/Li({''.join(map(str, miller))}) {n_cu}+{n_li}"
                found[name] = plain(Adaptor.get_atoms(each))
    return found


def interface_start(rng, k):
    """Name and atoms of an interface; in every third, one atom of each side changes place."""
    known = list(interfaces().items())
    name, atoms = known[k % len(known)]
    atoms = strained(rng, atoms, 0.02)
    if k % 3 == 2:
        cu, li = (rng.choice(np.flatnonzero(atoms.numbers == z)) for z in (29, 3))
        atoms.numbers[[cu, li]], name = (3, 29), f"{name}, mixed"
    return name, atoms


def melt_start(rng, k):
    """Name and atoms of a melt, from places at random."""
    n_atoms = (8, 9, 10, 12, 14)[k % 5]
    n_li = int(round(n_atoms * (0.0, 0.25, 0.5, 0.75, 1.0, 0.5)[k // 5 % 6]))
    numbers = rng.permutation([3] * n_li + [29] * (n_atoms - n_li))
    volume = sum(VOLUMES[z] for z in numbers) * rng.uniform(0.98, 1.15)
    cell = volume ** (1 / 3) * np.eye(3)
    atoms = Atoms(numbers, rng.random((n_atoms, 3)) @ cell, cell=cell, pbc=True)
    atoms = relaxed(strained(rng, atoms, 0.03))
    return "melt", moved(rng, atoms, 2500.0)


def relaxed(atoms, steps=300):
    """Atoms after steps of at most 0.1 angstrom along the forces, out of overlaps."""
    for step in range(steps):
        if step % REBUILD == 0:
            atoms.wrap()
            pairs = pairs_of(atoms)
        forces = forces_of(atoms.positions, pairs)
        longest = np.linalg.norm(forces, axis=1).max()
        if longest < 1.0:
            break
        atoms.positions += forces * min(0.02, 0.1 / longest)
    return atoms


def plain(atoms):
    """Numbers, positions and cell alone, periodic, with the vectors of a right-handed cell."""
    new = Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=True)
    if np.linalg.det(new.cell.array) < 0:
        new.set_cell(-new.cell.array)
    return new


def too_close(atoms):
    i, j, r = primitive_neighbor_list("ijd", atoms.pbc, atoms.cell, atoms.positions, 3.0)
    radii = covalent_radii[atoms.numbers]
    return bool((r < CLOSEST * (radii[i] + radii[j])).any())


STARTS = {
    "bulk": bulk_start, "vacancy": vacancy_start, "adatom": adatom_start,
    "interface": interface_start, "melt": melt_start,
}  # fmt: skip


def frames_of(group, number):
    """Frames of a group, temperatures in turn; each has random numbers of its own."""
    temperatures = MELT_TEMPERATURES_K if group == "melt" else TEMPERATURES_K
    order = np.random.default_rng((SEED, number)).permutation(PER_GROUP)
    for turn, place in enumerate(order.tolist()):
        rng = np.random.default_rng((SEED, number, place))
        name, start = STARTS[group](rng, place)
        temperature = temperatures[turn % len(temperatures)]
        draws = (moved(rng, start, temperature) for _ in range(MOST_DRAWS))
        atoms = next((drawn for drawn in draws if not too_close(drawn)), None)
        if atoms is None:
            raise SystemExit(f"{group}: {name} at {temperature} K: atoms too close in each draw")
        yield f"{group}: {name}", temperature, atoms


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--turns", type=int, default=PER_GROUP, help="frames of each group")
    args = parser.parse_args()
    warnings.simplefilter("ignore")  # pymatgen warns of what its own files state
    first = bulk("Li", a=A_LI, cubic=True)
    first.rattle(0.05, seed=SEED)
    rows = [("bulk: Li bcc 2", 300, first)]
    groups = [frames_of(group, number) for number, group in enumerate(STARTS)]
    for turn in islice(zip(*groups, strict=True), args.turns):
        rows += turn
    names, temperatures, frames = zip(*rows, strict=True)
    for atoms in frames[1:]:
        assert 8 <= len(atoms) <= MOST_ATOMS, atoms
        atoms.wrap()
    numbers = pad_numbers([atoms.numbers for atoms in frames])
    numbers = np.pad(numbers, ((0, 0), (0, MOST_ATOMS - numbers.shape[1])))
    positions = pad_vectors([atoms.positions for atoms in frames], MOST_ATOMS)
    np.savez_compressed(
        HERE / "structures.npz", Z=numbers.astype(np.int8), R=positions,
        cell=np.array([atoms.cell.array for atoms in frames]),
        kind=np.array(names), temperature_K=np.array(temperatures),
    )  # fmt: skip
    print(f"{len(frames)} frames, {np.mean([len(atoms) for atoms in frames]):.1f} atoms on average")


if __name__ == "__main__":
    main()
