"""Steps beyond rank two, each by a short training on ethanol: a trial, not a product.

    python runs/rmd17/beyond.py                  # all rows; goes on where it was stopped
    python runs/rmd17/beyond.py --rows triplets --seeds 1

Every row is trained alike: Adam on batches of 16 of the 950 frames, with a rate that falls as a
cosine. That is far from the minimum which Gauss-Newton steps reach (see study.py), so that rows may
be compared with each other and with nothing else. Results lie in beyond.json, from which report.py
makes the table of docs/rmd17.md.

Beside the network of rank two as it ships (`network`), there are

- `finer`: 18 Gaussians in place of 12, a control of the number of parameters;
- `two hops`: the values that each circuit measures go to the neighbours, as scalars beside their
  own, and the same circuits run again;
- `rank three`: densities of rank three, ``sum_j w(r) (r^_a r^_b r^_c - traces)``, in observables
  and, by the Cayley form, in gates on three qubits;
- `triplets`: registers of spin one, four of them in two singlets: rotations of their encodings,
  couplings of pairs and matrices Q of single registers, which a qubit cannot have;
- `perceptron`: the classical twin, with the invariants of vectors and matrices.
"""

import argparse
import json
import os
import time
from dataclasses import replace
from functools import partial
from itertools import combinations
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import jax
import jax.numpy as jnp
import numpy as np
import optax
import spin_one
from jax.flatten_util import ravel_pytree
from train import N_VALIDATION, labels

from qmd.io import files
from qmd.potentials.circuit import jax_energy as vqc
from qmd.potentials.models import atom_centred
from qmd.potentials.network import jax_energy, pair_gates
from qmd.potentials.parameters import smooth_normals
from qmd.train.config import PerceptronConfig

HERE = Path(__file__).resolve().parent
DATA = HERE.parents[2] / "shared" / "data" / "rmd17"
RESULTS = HERE / "beyond.json"
STEPS, BATCH, RATE = 1000, 16, 0.005
CHANNELS, LAYERS, RADIAL, HOP = 4, 4, 12, 4
TRIPLES = list(combinations(range(CHANNELS), 3))
PERCEPTRON = {"vectors": 6, "scalars": 7, "tensors": 3, "hidden": 18, "radial": 12}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rows", nargs="*", choices=ROWS, default=list(ROWS), metavar="ROW")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--data", type=Path, default=DATA)
    options = parser.parse_args()
    jax.config.update("jax_enable_x64", True)
    data = labels(options.data, "ethanol")
    found = json.loads(options.results.read_text()) if options.results.exists() else {}
    for seed in range(options.seeds):
        for row in options.rows:
            if f"{row}, {seed}" not in found:
                found[f"{row}, {seed}"] = trained(row, seed, data, options.steps)
                files.write_text(options.results, json.dumps(found, indent=1) + "\n")
                print(row, seed, found[f"{row}, {seed}"], flush=True)


def trained(row, seed, data, steps):
    """Train a row; return its errors, in meV and meV/angstrom, and its CPU time."""
    species, training, test = data
    begin, frames = time.process_time(), training.take(slice(N_VALIDATION, None))
    first, energy = ROWS[row](species, seed, frames)
    theta, unravel = ravel_pytree(first)

    def of(theta, x):
        return jax.value_and_grad(lambda y: energy(unravel(theta), y))(x)

    def loss(theta, x, energies, forces):
        found, slopes = jax.vmap(partial(of, theta))(x)
        return (jnp.sum((found - energies) ** 2) + jnp.sum((slopes + forces) ** 2)) / len(x)

    optimiser = optax.adam(optax.cosine_decay_schedule(RATE, steps))

    @jax.jit
    def step(theta, memory, *batch):
        updates, memory = optimiser.update(jax.grad(loss)(theta, *batch), memory)
        return optax.apply_updates(theta, updates), memory

    rng, memory = np.random.default_rng(seed), optimiser.init(theta)
    for _ in range(steps):
        at = rng.choice(len(frames.energies), BATCH, replace=False)
        theta, memory = step(
            theta, memory, frames.positions[at], frames.energies[at], frames.forces[at]
        )
    seconds = time.process_time() - begin
    predict = jax.jit(jax.vmap(partial(of, theta)))
    offset = np.mean(frames.energies - predicted(predict, frames)[0])
    found, forces = predicted(predict, test)
    return {
        "energy_mae_meV": 1000 * float(np.mean(np.abs(found + offset - test.energies))),
        "forces_mae_meV_per_A": 1000 * float(np.mean(np.abs(forces - test.forces))),
        "n_parameters": theta.size, "steps": steps, "batch": BATCH, "seconds": round(seconds),
    }  # fmt: skip


def predicted(predict, frames):
    """Return energies and forces, in chunks."""
    chunks = [predict(x) for x in np.array_split(frames.positions, len(frames.energies) // 50)]
    energies, slopes = (np.concatenate(part) for part in zip(*chunks, strict=True))
    return energies, -slopes


def network(species, seed, frames, n_radial=RADIAL):
    """Return first parameters, and the energy, of the network of rank two."""
    made = first_network(species, seed, frames, n_radial)
    return made.parameters, lambda p, x: jax_energy.energy(replace(made, parameters=p), x)


def first_network(species, seed, frames, n_radial=RADIAL):
    return atom_centred.revised(
        species, seed, n_qubits=CHANNELS, n_layers=LAYERS, n_radial=n_radial, rank=2,
        energy=float(np.mean(frames.energies)),
    )  # fmt: skip


def two_hops(species, seed, frames):
    """Return the same of a network whose circuits know what those of the neighbours measured."""
    made = first_network(species, seed, frames)
    k, n = made.n_kinds, made.circuit.n_couplings
    rng = np.random.default_rng((seed, 1))
    first = {
        "network": made.parameters,
        "sent": 0.5 * rng.standard_normal((k, n, HOP)),
        "radial": 0.1 * smooth_normals(rng, (k, k, HOP, RADIAL)),
        "received": 0.01 * rng.standard_normal((k, HOP, LAYERS + 1, n)),
    }
    kinds = np.array(made.kinds)

    def energy(p, x):
        model = replace(made, parameters=p["network"])
        found, gaussians, (of, others) = surroundings(model, x)
        weights, couplings = shares(model, found)
        measured, _ = jax.vmap(partial(centre, model.circuit))(
            couplings, found.vectors, found.tensors
        )
        sent = jnp.einsum("io,ioc->ic", measured, p["sent"][kinds])[others]
        taken = jnp.einsum("ijcg,ijg,ijc->ic", p["radial"][of], gaussians, sent)
        more = jnp.einsum("ic,icdk->idk", taken, p["received"][kinds])
        values, slopes = jax.vmap(partial(centre, model.circuit))(
            couplings + more[:, :-1], found.vectors, found.tensors
        )
        return (
            jnp.sum((weights + more[:, -1]) * values)
            + jnp.sum(found.tensors[:, -1] * slopes)
            + jnp.sum(p["network"].offsets[kinds])
        )

    return first, energy


def rank_three(species, seed, frames):
    """Return the same of a network with densities of rank three, in gates and observables."""
    made = first_network(species, seed, frames)
    k, rng, kinds = made.n_kinds, np.random.default_rng((seed, 2)), np.array(made.kinds)
    spread = atom_centred.TENSOR_SPREAD
    shape = (k, k, LAYERS + 1, len(TRIPLES), RADIAL)
    first = {"network": made.parameters, "threes": spread * smooth_normals(rng, shape)}

    def energy(p, x):
        model = replace(made, parameters=p["network"])
        found, gaussians, (of, others) = surroundings(model, x)
        weights, couplings = shares(model, found)
        apart = x[others] - x[:, None]
        directions = apart / jnp.linalg.norm(apart, axis=-1, keepdims=True)
        radial = jnp.einsum("ijdtg,ijg->ijdt", p["threes"][of], gaussians)
        threes = jnp.einsum("ijdt,ijabc->idtabc", radial, cubes(directions))
        values, slopes, of_threes = jax.vmap(partial(centre_of_rank_three, model.circuit))(
            couplings, found.vectors, found.tensors, threes
        )
        return (
            jnp.sum(weights * values)
            + jnp.sum(found.tensors[:, -1] * slopes)
            + jnp.sum(of_threes)
            + jnp.sum(p["network"].offsets[kinds])
        )

    return first, energy


def triplets(species, seed, frames):
    """Return the same of registers of spin one."""
    made = first_network(species, seed, frames)
    kinds = np.array(made.kinds)
    p = made.parameters
    rng = np.random.default_rng((seed, 3))
    # Matrices act on single registers: 4 in place of 6, and in the last row on their observables.
    shape = (made.n_kinds, made.n_kinds, LAYERS + 1, CHANNELS, RADIAL)
    tensors = atom_centred.TENSOR_SPREAD * smooth_normals(rng, shape)

    def energy(p, x):
        model = replace(made, parameters=p)
        found, _, _ = surroundings(model, x)
        weights, couplings = shares(model, found)
        energies = jax.vmap(spin_one.centre)(couplings, weights, found.vectors, found.tensors)
        return jnp.sum(energies) + jnp.sum(p.offsets[kinds])

    return p._replace(tensors=tensors), energy


def perceptron(species, seed, frames):
    """Return the same of the classical twin."""
    config = PerceptronConfig(species=list(species), kind="perceptron", **PERCEPTRON)
    made = config.first_model(Path(), frames, seed)
    return made.parameters, lambda p, x: jax_energy.perceptron_energy(
        replace(made, parameters=p), x
    )


ROWS = {
    "network": network,
    "finer": partial(network, n_radial=18),
    "two hops": two_hops,
    "rank three": rank_three,
    "triplets": triplets,
    "perceptron": perceptron,
}


def surroundings(model, x):
    """Return the densities, and the Gaussians and elements of all pairs."""
    kinds, n = np.array(model.kinds), model.n_atoms
    others = np.array([[j for j in range(n) if j != i] for i in range(n)])
    apart, of = x[others] - x[:, None], (kinds[:, None], kinds[others])
    r = jnp.linalg.norm(apart, axis=-1)
    centres, spacing = np.linspace(model.first, model.cutoff, model.n_radial, retstep=True)
    gaussians = jnp.exp(-(((r[..., None] - centres) / spacing) ** 2) / 2)
    gaussians = gaussians * vqc.envelope(r / model.cutoff)[..., None]
    return jax_energy.densities(model, apart, of), gaussians, (of, others)


def shares(model, found):
    """Return weights and couplings of all centres."""
    p, kinds = model.parameters, np.array(model.kinds)
    return p.weights[kinds] + found.scalars[:, -1], p.couplings[kinds] + found.scalars[:, :-1]


def centre(circuit, couplings, vectors, tensors):
    """Return what the circuit of a centre measures: pairs of spins, and their matrices."""
    values, slopes, _ = centre_of_rank_three(circuit, couplings, vectors, tensors, None)
    return values, slopes


def centre_of_rank_three(circuit, couplings, vectors, tensors, threes):
    """Return the same, and the energy of the densities of rank three."""
    n, pairs = len(circuit.spins), [gate.pairs[0] for gate in circuit.layer]
    order = pair_gates.order_of(pairs, n)
    u = pair_gates.cayley(pair_gates.symmetric(tensors[:-1]))
    gates = [pair_gates.matrices(u, couplings)]
    if threes is not None:
        gates.append(jax.vmap(jax.vmap(unitary))(threes[:-1]))

    def layer(psi, here):
        psi = pair_gates.turn(here[0], order, psi)
        return psi if len(here) == 1 else turned_by_threes(here[1], psi)

    psi = vqc.final_state(circuit, layer, gates, vectors)
    values = jnp.stack([vqc.expectation(circuit, o, psi) for o in circuit.observables])
    slopes = pair_gates.correlations(pairs, psi)
    return values, slopes, 0.0 if threes is None else measured_threes(threes[-1], psi)


def cubes(directions):
    """Return ``r^_a r^_b r^_c`` without its traces, (..., 3, 3, 3)."""
    r, one = directions, np.eye(3)
    traces = sum(
        jnp.einsum(f"ab,...c->...{order}", one, r) for order in ("abc", "acb", "cab")
    )  # the vector stands at each of the three places
    return jnp.einsum("...a,...b,...c->...abc", r, r, r) - traces / 5


SIGMA = np.array([[[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]]])
OPERATORS = np.einsum("aij,bkl,cmn->abcikmjln", SIGMA, SIGMA, SIGMA).reshape(3, 3, 3, 8, 8)


def hamiltonian(three):
    """Return ``sum_abc O_abc sigma_a sigma_b sigma_c`` on three qubits, (8, 8)."""
    return jnp.einsum("abc,abcij->ij", three, OPERATORS)


def unitary(three):
    """Return the Cayley form of ``exp(-iH)``, (8, 8)."""
    half = 0.5j * hamiltonian(three)
    return jnp.linalg.solve(np.eye(8) + half, np.eye(8) - half)


def of_triples(psi, triple):
    """Return amplitudes with three qubits first, (sectors, 8, rest), and their order."""
    n = psi.shape[1].bit_length() - 1
    order = np.moveaxis(np.arange(1 << n).reshape((2,) * n), triple, (0, 1, 2)).ravel()
    return psi[:, order].reshape(psi.shape[0], 8, -1), order


def turned_by_threes(gates, psi):
    """Apply the gates of rank three; the density is odd, so the second sector has the inverse."""
    for gate, triple in zip(gates, TRIPLES, strict=True):
        split, order = of_triples(psi, triple)
        both = jnp.stack([gate, gate.conj().T])
        psi = jnp.einsum("sij,sjr->sir", both, split).reshape(psi.shape)[:, np.argsort(order)]
    return psi


def measured_threes(threes, psi):
    """Return the energy of the observables of rank three, odd under inversion as the density."""
    energy = jnp.zeros(())
    for three, triple in zip(threes, TRIPLES, strict=True):
        split, _ = of_triples(psi, triple)
        h = hamiltonian(three)
        signed = jnp.stack([h, -h])
        energy += jnp.einsum("sir,sij,sjr->", split.conj(), signed, split).real
    return energy


if __name__ == "__main__":
    main()
