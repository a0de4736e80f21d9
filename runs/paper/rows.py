"""The rows of the tables: which input, which data, which changes, and what the paper prints."""

from dataclasses import dataclass, field

H2O_DFT = "h2o-dft/h2o_dft.npz"
H2O_MP2 = "h2o-mp2/h2o_mp2.npz"
NOISE_eV = (0.0, 0.001, 0.005, 0.01, 0.02, 0.05)
LAYERS = (3, 5, 7, 9)
FRAMES = (100, 200, 400)
FULL, DEPTH = 1000, 11
"""Training frames and layers where the two scans end."""


@dataclass(frozen=True)
class Row:
    """One training, repeated from several seeds.

    Parameters
    ----------
    name : str
        Key of its results.
    input : str
        Relative to this folder.
    what : str
        How the table calls it.
    data : str, optional
        Third-party labels, relative to the folder of such data; default: those of the input.
    changes : dict
        ``key.path: value`` as `qmd train --set` takes them.
    paper : pair of float, optional
        Mean square errors that the paper prints: eV^2 and eV^2/angstrom^2.
    seeds : int
        How many.
    """

    name: str
    input: str
    what: str
    data: str | None = None
    changes: dict[str, object] = field(default_factory=dict)
    paper: tuple[float, float] | None = None
    seeds: int = 5


MP2 = {"split.train": FULL, "split.validation": 100}
OURS, THEIRS = "energies and forces, least squares", "energies, Adam"

LIH = [
    Row("lih", "lih/train.yaml", f"siVQLM, {OURS}", paper=(1.89e-6, 3.14e-4)),
    Row("lih-paper", "lih/train-paper.yaml", f"siVQLM, {THEIRS}", paper=(1.89e-6, 3.14e-4)),
    Row("lih-vqlm", "lih-vqlm/train.yaml", f"VQLM, {OURS}", paper=(2.48e-2, 24.9)),
    Row("lih-vqlm-paper", "lih-vqlm/train-paper.yaml", f"VQLM, {THEIRS}", paper=(2.48e-2, 24.9)),
]
H2O = [
    Row("h2o-dft", "h2o/train.yaml", f"siVQLM, {OURS}", H2O_DFT, paper=(3.40e-6, 1.53e-3)),
    Row(
        "h2o-sb-dft", "h2o-sb/train.yaml", f"siVQLM with SB, {OURS}", H2O_DFT,
        paper=(4.54e-7, 2.39e-4), seeds=3,
    ),
    Row("h2o-vqlm-dft", "h2o-vqlm/train.yaml", f"VQLM, {OURS}", H2O_DFT, paper=(3.84e-6, 5.55e-3)),
    Row(
        "h2o-paper-dft", "h2o/train-paper.yaml", f"siVQLM, {THEIRS}", H2O_DFT,
        paper=(3.40e-6, 1.53e-3), seeds=3,
    ),
    Row(
        "h2o-sb-paper-dft", "h2o-sb/train-paper.yaml", f"siVQLM with SB, {THEIRS}", H2O_DFT,
        paper=(4.54e-7, 2.39e-4), seeds=3,
    ),
    Row(
        "h2o-vqlm-paper-dft", "h2o-vqlm/train-paper.yaml", f"VQLM, {THEIRS}", H2O_DFT,
        paper=(3.84e-6, 5.55e-3), seeds=3,
    ),
]  # fmt: skip
H2O_EXACT = [
    Row("h2o-mp2", "h2o/train.yaml", f"siVQLM, {OURS}", H2O_MP2, MP2),
    Row("h2o-vqlm-mp2", "h2o-vqlm/train.yaml", f"VQLM, {OURS}", H2O_MP2, MP2, seeds=3),
]
DIMER = [
    Row(
        "dimer", "dimer/train.yaml", f"siVQLM with SB, {OURS}", paper=(7.45e-9, 3.28e-3), seeds=1
    ),
    Row(
        "dimer-paper", "dimer/train-paper.yaml", f"siVQLM with SB, {THEIRS}",
        paper=(7.45e-9, 3.28e-3), seeds=1,
    ),
    Row(
        "dimer-tuned", "dimer-tuned/train.yaml", f"`sivqlm-h2o-dimer` trained further, {OURS}",
        paper=(7.45e-9, 3.28e-3), seeds=1,
    ),
    Row(
        "dimer-line", "dimer-line/train.yaml", "siVQLM with SB, one H moved along a line",
        paper=(3.19e-7, 4.58e-4), seeds=1,
    ),
    Row(
        "dimer-line-tuned", "dimer-line-tuned/train.yaml",
        f"`sivqlm-h2o-dimer` trained further along the line, {OURS}",
        paper=(3.19e-7, 4.58e-4), seeds=1,
    ),
]  # fmt: skip


QAQUA = "h2o-dimer-qaqua/h2o_dimer_300K.npz"
PAIR = [
    Row("pair", "dimer-interaction/train.yaml", "RPBE-D3(0), own labels", seeds=1),
    Row("pair-qaqua", "dimer-interaction/train.yaml", "q-AQUA, 300 K", QAQUA, seeds=1),
]
VARIANT = "dimer-interaction/variants.yaml"
VARIANTS = [
    Row(
        "pair-baseline", VARIANT, "classical pair terms alone",
        changes={"model.circuits": 0}, seeds=1,
    ),
    Row(
        "pair-equation-17", "dimer-interaction/variants-equation-17.yaml",
        "circuit of the paper (Eq. 17), 30 layers", seeds=1,
    ),
    Row(
        "pair-positions", VARIANT, "all couplings, ten observables, positions; pair terms",
        changes={"model.vectors": "positions"}, seeds=1,
    ),
    Row(
        "pair-densities", VARIANT, "the same on vector densities; no pair terms",
        changes={"model.baseline": "false"}, seeds=1,
    ),
    Row("pair-both", VARIANT, "vector densities and pair terms", seeds=1),
    Row(
        "pair-far", VARIANT, "the same, the circuit as far as the pair terms",
        changes={"model.circuit_from_A": 6.5, "model.circuit_to_A": 9}, seeds=1,
    ),
    Row(
        "pair-two", VARIANT, "two circuits, added up, and pair terms",
        changes={"model.circuits": 2}, seeds=1,
    ),
    Row(
        "pair-layers-3", VARIANT, "vector densities and pair terms, 3 layers",
        changes={"model.layers": 3}, seeds=1,
    ),
    Row(
        "pair-layers-12", VARIANT, "vector densities and pair terms, 12 layers",
        changes={"model.layers": 12}, seeds=1,
    ),
]  # fmt: skip


def noise(model: str, std: float) -> Row:
    """`model` (lih, lih-vqlm) on noisy energies, without forces."""
    changes = {
        "loss.forces": "false", "label_noise.energy_std_eV": std, "starts.count": 2
    }  # fmt: skip
    return Row(f"{model}-noise-{std:g}", f"{model}/train.yaml", model, changes=changes)


def layers(n: int) -> Row:
    """Water with `n` layers."""
    return Row(
        f"h2o-mp2-layers-{n}", "h2o/train.yaml", f"{n} layers", H2O_MP2,
        MP2 | {"model.layers": n}, seeds=2,
    )  # fmt: skip


def frames(n: int) -> Row:
    """Water on `n` training frames."""
    return Row(
        f"h2o-mp2-frames-{n}", "h2o/train.yaml", f"{n} frames", H2O_MP2,
        MP2 | {"split.train": n}, seeds=2,
    )  # fmt: skip


NOISE = [noise(model, std) for std in NOISE_eV for model in ("lih", "lih-vqlm")]
STUDIES = [*map(frames, FRAMES), *map(layers, LAYERS)]

OURS_FIRST = [row for row in (*LIH, *H2O, *H2O_EXACT) if row.input.endswith("/train.yaml")]
PAPERS_WAY = [row for row in (*LIH, *H2O) if row not in OURS_FIRST]
EVERYTHING = *OURS_FIRST, *NOISE, *STUDIES, *PAPERS_WAY, *DIMER, *PAIR, *VARIANTS
ROWS = {row.name: row for row in EVERYTHING}
"""In the order in which they are run: what matters most comes first."""
