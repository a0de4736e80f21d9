"""The family of Allegro."""

from collections.abc import Iterator
from itertools import combinations

from ..family import Family, Work, deferred
from ..json_values import Field, boolean, fields, integer, integers, number
from .allegro import Allegro, AllegroParameters
from .tensors import size, surroundings

_FIELDS = (
    Field("kinds", "kinds", integers),
    Field("cutoff_A", "cutoff", number),
    Field("power", "power", number),
    Field("n_average", "n_average", number),
    Field("l_max", "l_max", integer),
    Field("parity", "parity", boolean),
    Field("n_layers", "n_layers", integer),
    Field("n_scalars", "n_scalars", integer),
    Field("n_tensors", "n_tensors", integer),
    Field("two_body", "two_body", integers),
    Field("latent", "latent", integers),
    Field("readout", "readout", integers),
)


def _describe(leaf: Allegro) -> str:
    return (
        f"Allegro of {leaf.n_atoms} atoms: {leaf.n_layers} layers, tensors up to order "
        f"{leaf.l_max}, {leaf.n_scalars} scalars, {leaf.n_tensors} channels, {leaf.cutoff:g} A"
    )


def _work(leaf: Allegro) -> Work:
    """Count the numbers that are written for each pair of atoms, and for each atom."""
    scalars = leaf.widths_of_two_body, *leaf.widths_of_latents, leaf.widths_of_readout
    around = size(surroundings(leaf.l_max))
    after = [size(layer.after) for layer in leaf.layers]
    before = [around, *after[:-1]]
    of_pair = sum(map(sum, scalars)) + leaf.n_tensors * (around + sum(after))
    of_atom = leaf.n_tensors * sum(a * b for a, b in zip(before, after, strict=True))
    return Work(0, leaf.n_atoms**2 * of_pair + leaf.n_atoms * of_atom)


def _one_kind_for_each_element(leaf: Allegro, species: tuple[str, ...]) -> bool:
    return len(set(zip(species, leaf.kinds, strict=True))) == len(set(species))


def _ends(leaf: Allegro) -> Iterator[tuple[int, int, float]]:
    return ((i, j, leaf.cutoff) for i, j in combinations(range(leaf.n_atoms), 2))


FAMILIES = (
    Family(
        kind="allegro",
        leaf=Allegro,
        json=fields(*_FIELDS),
        parameters=AllegroParameters,
        describe=_describe,
        jax_energy=deferred(__package__, "jax_energy.energy"),
        jax_in_cell=deferred(__package__, "jax_energy.energy_in_cell"),
        cutoff=lambda leaf: leaf.cutoff,
        on_kinds=Allegro.on,
        trained_on="jax",
        work=_work,
        keeps_exchanges=_one_kind_for_each_element,
        ends=_ends,
    ),
)
