"""Small molecules of C, N, O and F at geometries of GFN2-xTB, for `qmd label`.

    python runs/labels-molecules/make.py

Molecules of up to four heavy atoms are enumerated as graphs: atoms are added one by one, bonds are
raised and rings closed, as long as valences allow it. All of them are taken that no rule of
`is_sensible` forbids. Those with five and six heavy atoms are a seeded sample: each grows from one
of the smaller ones by a random atom and random bonds. RDKit embeds each molecule, tblite relaxes
it, and molecules whose bonds changed on the way are left out. Small molecules come first.
Structures are saved as they come: the same command resumes a run that was stopped.

Needs RDKit, tblite and ASE.
"""

import argparse
import random
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.data import covalent_radii
from ase.optimize import BFGS
from rdkit import Chem, RDLogger
from rdkit.Chem import AllChem

from qmd.data.padded import pad_numbers, pad_vectors

HERE = Path(__file__).parent
ELEMENTS = "C", "N", "O", "F"
ALL_UP_TO = 4
MOST_ATOMS = 20
"""Atoms of hexane."""
SAMPLES = {5: 220, 6: 360}
"""Molecules taken of those with so many heavy atoms."""
SEED = 19
BONDED = 1.25
"""Bonds end at this times the sum of covalent radii."""
FORCE = 0.005
"""Largest force, eV/angstrom, at which xTB geometries have converged."""
SAVE_EVERY = 20
FORBIDDEN = tuple(
    Chem.MolFromSmarts(text)
    for text in (
        "[O,F]~[O,F]",  # peroxides, hypofluorites
        "[N]~F",
        "[N,O]~[N,O]~[N,O]",  # chains of three, nitro groups and azides
        "[r3,r4,r5,r6,r7]=[r3,r4,r5,r6,r7]=[r3,r4,r5,r6,r7]",  # cumulenes and alkynes in rings
        "[r]#[r]",
        "[r3]=[r3]",
        "[r3]=[R0]",
        "*=*=*=*",
        "[x3;r3]~[x3;r3]",  # two atoms shared by triangles: bicyclobutanes and propellanes
        "[OX2H][CX4][OX2H,NX3;!$(N*=[O,N])]",  # hydrates, which lose water
        "[CX3]([OX2H])=[C,N]",  # enols and imidic acids
    )
)
"""Groups that are not stable, or not met, in the gas phase."""


def grown(mol):
    """All molecules with one more heavy atom, bound by one bond."""
    for atom in mol.GetAtoms():
        if atom.GetTotalNumHs():
            for symbol in ELEMENTS:
                more = Chem.RWMol(mol)
                new = more.AddAtom(Chem.Atom(symbol))
                more.AddBond(atom.GetIdx(), new, Chem.BondType.SINGLE)
                yield more


def tightened(mol):
    """All molecules with two hydrogen atoms less: one bond raised by one, or a ring closed."""
    raised = {
        Chem.BondType.SINGLE: Chem.BondType.DOUBLE,
        Chem.BondType.DOUBLE: Chem.BondType.TRIPLE,
    }
    free = [atom.GetIdx() for atom in mol.GetAtoms() if atom.GetTotalNumHs()]
    for k, i in enumerate(free):
        for j in free[k + 1 :]:
            more = Chem.RWMol(mol)
            bond = more.GetBondBetweenAtoms(i, j)
            if bond is None:
                more.AddBond(i, j, Chem.BondType.SINGLE)
            elif bond.GetBondType() in raised:
                bond.SetBondType(raised[bond.GetBondType()])
            else:
                continue
            yield more


def canonical(mol):
    """Kekule form with implicit hydrogen atoms, and canonical SMILES; None if it is not one."""
    try:
        text = Chem.MolToSmiles(Chem.MolFromSmiles(Chem.MolToSmiles(mol)))
        plain = Chem.MolFromSmiles(text)
        Chem.Kekulize(plain, clearAromaticFlags=True)
    except (ValueError, TypeError, RuntimeError):
        return None
    return plain, text


def is_sensible(mol):
    return not any(mol.HasSubstructMatch(pattern) for pattern in FORBIDDEN)


def enumerated():
    """Yield the number of heavy atoms, and all molecules with so many, by canonical SMILES."""
    level = {text: Chem.MolFromSmiles(text) for text in ELEMENTS}
    for n_heavy in range(1, ALL_UP_TO + 1):
        waiting = list(level.values())
        while waiting:
            found = canonical_of(tightened(waiting.pop()), level)
            level |= found
            waiting += found.values()
        yield n_heavy, level
        before, level = level, {}
        for mol in before.values():
            level |= canonical_of(grown(mol), level)


def canonical_of(mols, known):
    found = {}
    for each in map(canonical, mols):
        if each is not None and each[1] not in known:
            found[each[1]] = each[0]
    return found


def sampled(rng, smaller, number):
    """A seeded sample of molecules with one heavy atom more than those of `smaller`."""
    parents, found = [smaller[text] for text in sorted(smaller)], {}
    while len(found) < number:
        mol = rng.choice(parents)
        for change in (grown, *[tightened] * rng.randrange(3)):
            choices = list(change(mol))
            each = canonical(rng.choice(choices)) if choices else None
            if each is None:
                break
            mol = each[0]
        else:
            if is_sensible(mol):
                found.setdefault(each[1], mol)
    return found


def chosen():
    """SMILES of the molecules to make, small ones first, in a seeded order."""
    rng = random.Random(SEED)
    for _, level in enumerated():
        smiles = sorted(text for text, mol in level.items() if is_sensible(mol))
        rng.shuffle(smiles)
        yield from smiles
    for number in SAMPLES.values():
        level = sampled(rng, level, number)
        yield from level


def relaxed(text):
    """Atoms at the minimum of GFN2-xTB; None if there is none with the bonds of the SMILES."""
    from tblite.ase import TBLite

    mol = Chem.AddHs(Chem.MolFromSmiles(text))
    if AllChem.EmbedMolecule(mol, randomSeed=SEED) != 0:
        return None
    if AllChem.MMFFHasAllMoleculeParams(mol):
        AllChem.MMFFOptimizeMolecule(mol)
    symbols = [atom.GetSymbol() for atom in mol.GetAtoms()]
    atoms = Atoms(symbols, mol.GetConformer().GetPositions())
    atoms.calc = TBLite(method="GFN2-xTB", verbosity=0)
    if not BFGS(atoms, logfile=None).run(fmax=FORCE, steps=500):
        return None
    bonds = {tuple(sorted((b.GetBeginAtomIdx(), b.GetEndAtomIdx()))) for b in mol.GetBonds()}
    return atoms if bonds_of(atoms) == bonds else None


def bonds_of(atoms):
    radii = covalent_radii[atoms.numbers]
    near = atoms.get_all_distances() < BONDED * (radii[:, None] + radii)
    return {(int(i), int(j)) for i, j in np.argwhere(np.triu(near, 1))}


def load(path):
    """SMILES that were tried, and the atoms of those that are kept, of an earlier run."""
    if not path.exists():
        return [], []
    with np.load(path) as data:
        rows = zip(data["smiles"].tolist(), data["Z"], data["R"], strict=True)
        kept = [(text, Atoms(z[z > 0], x[z > 0])) for text, z, x in rows]
        return data["tried"].tolist(), kept


def save(path, tried, kept):
    numbers = pad_numbers([atoms.numbers for _, atoms in kept])
    numbers = np.pad(numbers, ((0, 0), (0, MOST_ATOMS - numbers.shape[1]))).astype(np.int8)
    positions = pad_vectors([atoms.positions for _, atoms in kept], MOST_ATOMS)
    smiles = np.array([text for text, _ in kept])
    part = path.with_suffix(".part.npz")
    np.savez_compressed(part, Z=numbers, R=positions, smiles=smiles, tried=np.array(tried))
    part.replace(path)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--limit", type=int, help="try only the first so many molecules")
    args = parser.parse_args()
    RDLogger.DisableLog("rdApp.*")
    path = HERE / "structures.npz"
    tried, kept = load(path)
    smiles = list(chosen())[: args.limit]
    if tried != smiles[: len(tried)]:
        raise SystemExit(f"{path} holds other molecules; move it away to start again")
    for text in smiles[len(tried) :]:
        atoms = relaxed(text)
        tried.append(text)
        if atoms is not None:
            kept.append((text, atoms))
        if len(tried) % SAVE_EVERY == 0 or len(tried) == len(smiles):
            save(path, tried, kept)
            print(f"{len(tried)} of {len(smiles)} tried, {len(kept)} kept", flush=True)


if __name__ == "__main__":
    main()
