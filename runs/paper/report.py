"""The page of the results, `results.md` beside this file, and its plots under docs/images."""

from pathlib import Path

import numpy as np
from rows import (
    DEPTH,
    DIMER,
    FRAMES,
    FULL,
    H2O,
    H2O_EXACT,
    LAYERS,
    LIH,
    PAIR,
    VARIANTS,
    NOISE_eV,
    frames,
    layers,
    noise,
)

from qmd.potentials import find, load

HERE = Path(__file__).resolve().parent
PAGE = HERE / "results.md"
IMAGES = HERE.parents[1] / "docs" / "images"
COLOURS = {"lih": "#0072B2", "lih-vqlm": "#D55E00"}  # colour-blind safe (Okabe and Ito)
NAMES = {"lih": "siVQLM", "lih-vqlm": "VQLM"}
ENERGY, FORCES = "mse_energy_eV2", "mse_forces_eV2_per_A2"
NOT_MEASURED = "not measured"

INTRO = """\
The tables show mean square errors of energies (eV^2) and of force components (eV^2/angstrom^2) on
frames that were not used in the training, next to the errors printed by Le et al. [1]. Our values
are medians over random starts, with the smallest and the largest value in brackets; all starts use
the same split. Each training runs several starts and saves the one that is best on the validation
frames. The paper trained on energies alone, with 3000 steps of Adam. The rows *energies, Adam*
apply this training to our circuits, which separates the effect of the training from that of the
model. *CPU s* is the median time of a training on one core.

`python runs/paper/run.py` writes this section; its inputs are `runs/paper/*/train.yaml` and
`train-paper.yaml`.

"""
LIH_TEXT = """\
### LiH

FCI/STO-3G, 0.9 to 4.5 angstrom, 134 bond lengths of our own (`runs/labels-lih`): 53 evenly spaced
ones, including both ends, for the fit, 10 for validation and 71 for the test (the paper: 53 and
81). Force errors are averages over all six components, four of which are zero; the error of the
force along the bond is three times as large. For the generic circuit the paper prints 1.20e-6 and
1.23e-3 after removing outliers; our values include all frames.

"""
H2O_TEXT = """\
### H2O, DFT

680 frames of the PennyLane demo *Symmetry-invariant quantum machine learning force fields*
(`tutorial_eqnn_force_field`, Apache-2.0): 473 for the fit, as in the paper, 50 for validation and
157 for the test. The level of theory is not stated. These labels have a noise of about 0.39 meV and
8 meV/angstrom, so errors below 1.6e-7 and 7e-5 would not be meaningful. *Rotated* is the energy
error after each test frame is rotated at random: a model with symmetry breaking (SB) is not
invariant, and requires frames in the orientation of its training frames.

"""
MP2_TEXT = """\
### H2O, MP2

3000 frames at 500 K, MP2/def2-TZVP, from mbGDML (MIT), practically without noise: 1000 for the fit,
100 for validation and 1900 for the test. Not in the paper.

"""
DIMER_TEXT = """\
### (H2O)2

The trajectory of the paper is not public. These labels come from a trajectory of our own of the
same size, the first 800 steps of `runs/reference/h2o-dimer`. Consecutive frames are one step apart,
so each test frame has neighbours in the training set: these errors show how closely a model can
reproduce one path, not how accurate it is elsewhere. The circuit of the paper does not reproduce
it; the shipped potential, trained further on the same 400 frames, does.

"""
NOISE_TEXT = """\
### Noisy energies

LiH, energies alone, least squares, with Gaussian noise on the labels for training and validation;
errors are relative to labels without noise. Each training has two starts; both models use the same
splits and the same noise. The paper's Fig. 5 gives no numbers; the text says that the forces of the
siVQLM are better by at least one order of magnitude.

"""
STUDY_TEXT = """\
### Frames and layers

The siVQLM of water on the MP2 labels: 11 layers and a growing number of training frames, then 1000
training frames and a growing number of layers.

"""


PAIR_TEXT = """\
### The interaction of two waters

Root mean square errors of E2 = E - E1 - E1' and of its forces on frames that were not used in the
training: `runs/paper/dimer-interaction/train.yaml` on 2000 labels of our own (`runs/labels-dimer`:
O-O 2.3 to 7 angstrom, any orientation, molecules distorted at up to 1000 K; the interaction spans
-0.2 to 0.8 eV) and on 1600 frames of the q-AQUA surface at 300 K (MIT). The shipped potential
(`runs/train-dimer/train.yaml`) has more layers, close contacts among its frames, and is the mean of
two models.

"""
VARIANT_TEXT = """\
The contribution of each part of the model, on our own labels. These models are smaller and were
trained for a shorter time (`variants.yaml`: 6 layers, 14 Gaussians, 3000 steps of Adam, 25
evaluations of least squares); everything else is equal.

"""


def write(results):
    """Write the page and its plots from `results`, as `run.py` keeps them."""
    sections = [
        INTRO,
        LIH_TEXT + table(LIH, results),
        H2O_TEXT + table(H2O, results, turned=True),
        MP2_TEXT + table(H2O_EXACT, results),
        NOISE_TEXT + noise_table(results) + noise_verdict(results),
        STUDY_TEXT + study_table(results),
        DIMER_TEXT + table(DIMER, results),
        PAIR_TEXT + pair_table("labels", PAIR, results, first=[shipped_line()]),
        VARIANT_TEXT + pair_table("model", VARIANTS, results),
        made(results) + PAPER,
    ]
    if noise_plot(results, IMAGES / "paper-noise.png"):
        sections[4] += "\n![Force error against noise](images/paper-noise.png)\n\n"
    if study_plot(results, IMAGES / "paper-water.png"):
        sections[5] += "![Errors against frames and layers](images/paper-water.png)\n\n"
    head = "<!-- Written by runs/paper/run.py from results.json; do not edit. -->\n\n"
    PAGE.write_text(head + "".join(sections))


PAPER = """\
[1] I. N. M. Le et al., New J. Phys. 27, 023015 (2025),
[arXiv:2311.11362](https://arxiv.org/abs/2311.11362). The gates of the generic circuit (VQLM; O.
Kiss et al., Mach. Learn.: Sci. Technol. 3, 035004 (2022)) are not public: ours is a reconstruction
with the same number of parameters.
"""


def made(results):
    """Versions and processors of all results."""
    runs = [run for row in results.values() for run in row.values()]
    where = sorted({f"{run['made_with']}; {run['made_on']}" for run in runs})
    return "".join(f"Made with {line}.\n\n" for line in where)


def table(rows, results, turned=False):
    """Ours beside the paper's, one line a row."""
    head = ["model, training", "parameters", "seeds", "MSE(E)", "paper", "MSE(F)", "paper"]
    head += ["rotated"] * turned + ["CPU s"]
    return markdown(head, [line(row, results, turned) for row in rows])


def line(row, results, turned):
    """The cells of one row."""
    runs = measured(row.name, results)
    paper = [f"{value:.2e}" for value in row.paper or ()] or ["-", "-"]
    if not runs:
        return [
            row.what,
            "",
            "",
            NOT_MEASURED,
            paper[0],
            NOT_MEASURED,
            paper[1],
            *[""] * turned,
            "",
        ]
    extra = [spread(runs, f"rotated_{ENERGY}")] * turned
    seconds = f"{np.median([run['cpu_seconds'] for run in runs]):.0f}"
    cells = [row.what, str(runs[0]["parameters"]), str(len(runs))]
    errors = [spread(runs, ENERGY), paper[0], spread(runs, FORCES), paper[1]]
    return [*cells, *errors, *extra, seconds]


def shipped_line():
    """The potential that ships, by its card."""
    card = load(find("sivqlm-h2o-dimer")).training
    errors = [
        f"{card['errors'][part]['all'][key]:.3g}"
        for part in ("test", "train")
        for key in ("energy_rmse_meV", "forces_rmse_meV_per_A")
    ]
    what = "RPBE-D3(0), own labels and close contacts: `sivqlm-h2o-dimer` as shipped"
    return [what, str(card["parameters"]), *errors, str(card["seconds_of_all_starts"])]


def pair_table(what, rows, results, first=()):
    """Root mean square errors of the interaction, meV and meV/angstrom."""
    keys = [f"{part}mse_{kind}" for part in ("", "train_") for kind in UNITS]
    head = [what, "parameters", "E2, meV", "forces, meV/A", "E2, fitted", "forces, fitted", "CPU s"]
    lines = list(first)
    for row in rows:
        runs = measured(row.name, results)
        if runs:
            errors = [f"{1000 * middle(runs, key) ** 0.5:.3g}" for key in keys]
            seconds = f"{middle(runs, 'cpu_seconds'):.0f}"
            lines.append([row.what, str(runs[0]["parameters"]), *errors, seconds])
        else:
            lines.append([row.what, "", NOT_MEASURED, NOT_MEASURED, "", "", ""])
    return markdown(head, lines)


UNITS = "energy_eV2", "forces_eV2_per_A2"


def noise_table(results):
    """Force and energy errors of both models at each level of noise."""
    head = ["noise, eV", "siVQLM MSE(F)", "VQLM MSE(F)", "siVQLM MSE(E)", "VQLM MSE(E)"]
    lines = []
    for std in NOISE_eV:
        both = [measured(noise(model, std).name, results) for model in NAMES]
        cells = [spread(runs, key) for key in (FORCES, ENERGY) for runs in both]
        lines.append([f"{std:g}", *cells])
    return markdown(head, lines)


def noise_verdict(results):
    """Return a sentence about the paper's claim, from the table."""
    ratios = []
    for std in NOISE_eV:
        ours, generic = (measured(noise(model, std).name, results) for model in NAMES)
        if ours and generic:
            ratios.append(middle(generic, FORCES) / middle(ours, FORCES))
    if not ratios:
        return ""
    better, ten = (sum(ratio > factor for ratio in ratios) for factor in (1, 10))
    return (
        f"The median force error of the siVQLM is smaller at {better} of {len(ratios)} levels, and "
        f"at {ten} of them by more than a factor of ten. The ratio of the VQLM's error to the "
        f"siVQLM's is, from the top, {', '.join(f'{ratio:.2g}' for ratio in ratios)}.\n\n"
    )


def study_table(results):
    """Errors against frames, and against layers."""
    lines = []
    for name, what, _ in study():
        runs = measured(name, results)
        lines.append([what, str(len(runs)), spread(runs, ENERGY), spread(runs, FORCES)])
    return markdown(["training frames, layers", "seeds", "MSE(E)", "MSE(F)"], lines)


def study():
    """(name of the results, label, (frames, layers)) of the two scans, which end at one row."""
    rows = [(frames(n).name, n, DEPTH) for n in FRAMES]
    rows += [(layers(n).name, FULL, n) for n in LAYERS]
    rows.append(("h2o-mp2", FULL, DEPTH))
    return [(name, f"{n}, {d}", (n, d)) for name, n, d in rows]


def noise_plot(results, path):
    """Force error of both models against noise; False if there is nothing to draw."""
    figure, axis = canvas(1)
    for model, colour in COLOURS.items():
        found = [measured(noise(model, std).name, results) for std in NOISE_eV]
        points = [(i, runs) for i, runs in enumerate(found) if runs]
        band(axis, points, FORCES, color=colour, label=NAMES[model])
    axis.set_xticks(range(len(NOISE_eV)), [f"{1000 * std:g}" for std in NOISE_eV])
    axis.set_xlabel("noise of the energies (meV)")
    axis.set_ylabel("MSE of forces (eV\u00b2/\u00c5\u00b2)")
    return finish(figure, axis, path)


def study_plot(results, path):
    """Errors of water against frames and layers; False if there is nothing to draw."""
    figure, axes = canvas(2)
    for column, (axis, at, label) in enumerate(
        zip(axes, (DEPTH, FULL), ("training frames", "layers"), strict=True)
    ):
        points = sorted(
            (size[column], measured(name, results))
            for name, _, size in study()
            if size[1 - column] == at and measured(name, results)
        )
        band(axis, points, ENERGY, color="#0072B2", label="energies (eV\u00b2)")
        band(axis, points, FORCES, color="#D55E00", label="forces (eV\u00b2/\u00c5\u00b2)")
        axis.set_xlabel(label)
        axis.set_ylabel("mean square error, unseen frames")
    return finish(figure, axes[0], path)


def canvas(columns):
    """A figure with logarithmic errors."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.5 * columns, 3.4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, columns, subplot_kw={"yscale": "log"})
    return figure, axes


def band(axis, points, key, **style):
    """Medians with bars from the smallest to the largest value; points are (x, runs)."""
    if not points:
        return
    values = [[run[key] for run in runs] for _, runs in points]
    medians = np.array([np.median(v) for v in values])
    bars = [[m - min(v) for m, v in zip(medians, values, strict=True)]]
    bars += [[max(v) - m for m, v in zip(medians, values, strict=True)]]
    axis.errorbar([x for x, _ in points], medians, bars, fmt="o-", capsize=3, **style)


def finish(figure, axis, path):
    """Save a figure that has something on it."""
    if not axis.has_data():
        return False
    axis.legend(frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=100, metadata={"Software": None})
    return True


def measured(name, results):
    """Results of a row, seed by seed."""
    return list(results.get(name, {}).values())


def middle(runs, key):
    """Median over seeds."""
    return float(np.median([run[key] for run in runs]))


def spread(runs, key):
    """``median (smallest to largest)``."""
    if not runs:
        return NOT_MEASURED
    values = [run[key] for run in runs]
    if len(values) == 1:
        return f"{values[0]:.2e}"
    return f"{middle(runs, key):.2e} ({min(values):.1e} to {max(values):.1e})"


def markdown(head, lines):
    """A table."""
    rows = [head, ["---"] * len(head), *lines]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in rows) + "\n"
