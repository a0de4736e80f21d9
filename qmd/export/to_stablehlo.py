"""Export to StableHLO: two programs for JAX, for one geometry and for a batch of any size.

=====================  ===========================================================
`card.json`            species, units, signatures, test vectors, SHA-256
`single.jax_export`    (n_atoms, 3) -> energy (), forces (n_atoms, 3)
`batch.jax_export`     (b, n_atoms, 3) -> energies (b,), forces (b, n_atoms, 3)
=====================  ===========================================================
"""

from qmd.export.card import UNITS, card, zipped
from qmd.export.program import PLATFORMS, batch, single
from qmd.potentials import Package


def encode(package: Package) -> bytes:
    """Return the zip; deterministic."""
    n = len(package.species)
    signature = {
        "single.jax_export": f"float64[{n},3] -> (energy float64[], forces float64[{n},3])",
        "batch.jax_export": f"float64[b,{n},3] -> (energies float64[b], forces float64[b,{n},3])",
    }
    members = {"single.jax_export": single(package), "batch.jax_export": batch(package)}
    return zipped(members, "card.json", card(package, "stablehlo", UNITS, signature, PLATFORMS))
