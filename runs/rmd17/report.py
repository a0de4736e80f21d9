"""`docs/rmd17.md` and its plots, from the results of the study."""

import json
import math
import textwrap
from pathlib import Path

import numpy as np
from rows import (
    ADAM_BATCH,
    ADAM_RATES,
    ADAM_STEPS,
    CONTROLS,
    FINE,
    MOLECULES,
    PERCEPTRON_SPREADS,
    ROWS,
    SIZES,
)

HERE = Path(__file__).resolve().parent
DOCS = HERE.parents[1] / "docs"
PAGE, IMAGES = DOCS / "rmd17.md", DOCS / "images"
DYNAMICS = HERE / "dynamics.json"
BEYOND_RESULTS = DYNAMICS.with_name("beyond.json")
METHANOL = HERE.parent / "labels-methanol" / "labels.npz"
ENERGY, FORCES = "energy_mae_meV", "forces_mae_meV_per_A"
BEYOND_RATIOS = {FORCES: "error", "n_parameters": "size", "seconds": "time"}
APART = "energy_mae_apart_from_a_constant_meV"
UNITS = {ENERGY: "meV", FORCES: "meV/A"}
CURVES = {**{molecule: molecule for molecule in MOLECULES}, "benzene-fine": "benzene"}
"""Rows of a learning curve, by the begin of their names, and the molecule."""
COLOURS = dict(zip(CURVES, ("#0072B2", "#D55E00", "#009E73", "#CC79A7"), strict=True))
NOT_MEASURED = "not measured"

INTRO = """\
# Molecules of rMD17 with one circuit per atom

This page reports atom-centred networks (see [Theory](theory.md)) on three molecules of rMD17 [1]:
split 01, at most 950 training frames, 1000 test frames, labels from PBE/def2-SVP. Errors are mean
absolute errors on the test frames; with several seeds, mean +- standard deviation. Published
equivariant quantum networks predict the forces of these molecules moderately well and the energies
poorly, and do not improve with more data [2]. Classical networks are far better than all of these:
MACE has errors of 0.4 meV and 2.1 meV/A on ethanol [3].

`python runs/rmd17/study.py` runs all trainings of this page; if it is stopped, run it again to
resume. Unless stated otherwise, a training consists of 200 Gauss-Newton steps with batches of 128
frames, or of all frames if there are fewer ([Training](train.md)). The weight of the energy
relative to the forces is 1/A. The result is the model after the last step, with the zero of
energies that is optimal for the training frames; the test frames influence nothing.

"""
CURVE = """\
## Errors fall with data

`revised`: 4 qubits, 4 layers, 12 Gaussians to 5 A, {n} parameters for three elements. *Fine*:
{fine} Gaussians.

"""
BENDS = """\
The curves level off: beyond a few hundred frames the error is close to the training error, which
more frames do not reduce.

"""
KINDS = """\
## Revised against initial

950 frames. `initial` assigns one qubit to each of the four nearest neighbours of an atom, which are
identified by their indices, and encodes the distance in the rotation angle. `revised` encodes
vector densities of elements.

"""
CONTROL = """\
## What the circuit contributes

Ethanol, 950 frames. *Vectors alone*: couplings and weights do not depend on the neighbours.
*Uncoupled*: no gates between the qubits, so all layers only rotate single qubits; the weights of
the observables still depend on the neighbours. *Frozen*: a random circuit; only the weights of its
observables and the energies of the elements are trained. *Perceptron*: a classical network on the
same radial functions, with dot products of vectors instead of the circuit.

"""
TRAINING = """\
## What the training contributes

Ethanol. *Adam*: {steps} steps with batches of {batch} frames, cosine decay from the given learning
rate, forces along all directions. *Wide*: the same training with initial radial functions that are
ten times as large. The perceptron, which has its own initialisation, with initial radial functions
{spreads} times as large.

"""
SIZE = """\
## Qubits and layers

Ethanol, 950 frames, one seed unless stated otherwise.

"""
WORDS = """\
Without gates between the qubits the force error is {uncoupled:.2f} times that of `revised`; with
couplings that do not depend on the neighbours it is {vectors:.2f} times as large. A random circuit
with a trained read-out learns almost nothing. A classical perceptron with as many parameters, on
the same radial functions and with the same training, has {perceptron:.2f} times the error. The good
results of these networks come from the radial functions, the second-order training and a small
initialisation. A circuit is one way to combine the radial functions, but not a better one. Depth
helps up to four layers, and little beyond. The training error is not far below the test error, so
the model and its training are the limit. What is missing is angular information beyond vectors:
with densities of rank two, four times the steps and the mean of two starts (see below) the error is
{shipped:.2f} times as large. Classical networks with tensors of higher rank are better still.

"""
TRANSFER = """\
## One set of parameters for several molecules

950 frames of each molecule in the training set; 400 steps for two molecules, 600 for three. The
energy of a molecule that was not trained on has an unknown constant, which is removed. Training on
several molecules reduces the accuracy for each of them, and nothing transfers to an unseen molecule
with other bonds.

"""
UNSEEN = """\
`qnn-organic` nevertheless takes other molecules of C, H and O, with a warning
([Training](train.md)). On {n} frames of methanol at 500 K, labelled by PBE/def2-SVP
(`runs/labels-methanol`), the mean absolute error of its forces is {forces:.0f} meV/A, while the
forces themselves have a mean absolute value of {size:.0f} meV/A; that of its energies is
{energy:.0f} meV after a constant of {offset:.1f} eV is removed, which is the error of its absolute
energies. Three molecules do not teach it a fourth: train on the molecule that is to be studied.

"""
BEYOND = """\
## Beyond vectors

Ethanol, 950 frames, short trainings that were all the same ({steps} steps of Adam with batches of
{batch}): their errors compare these rows and nothing else. *Network*: densities of
[rank two](theory.md#densities-of-rank-two), as in the shipped potentials. *Finer*: 18 Gaussians in
place of 12. *Two hops*: the values that a circuit measures go to the circuits of the neighbours as
scalars, and all run again. *Rank three*: densities of rank three in gates on three qubits and in
observables. *Triplets*: registers of spin one instead of qubits, on which matrices act singly.
*Perceptron*: the classical control with the invariants of vectors and matrices.
(`python runs/rmd17/beyond.py`)

"""
BEYOND_WORDS = """\
Relative to the network, the force error is {two_hops_error:.2f} with two hops, in
{two_hops_time:.1f} times the time; {rank_three_error:.2f} with rank three, {rank_three_size:.2f}
times the parameters and {rank_three_time:.1f} times the time; {triplets_error:.2f} with triplets,
{triplets_size:.2f} times the parameters and {triplets_time:.1f} times the time; and
{finer_error:.2f} with finer radial functions, {finer_size:.2f} times the parameters and
{finer_time:.2f} times the time. These are ratios of one seed each; the force errors of
{seeds} seeds of the network differ by {scatter:.0f} %. None of the three steps is as good a use of
time as finer radial functions, so none is part of qmd.

"""
SHIPPED = """\
## The shipped potentials

`runs/train-{{ethanol,malonaldehyde,benzene,aspirin}}` (densities of rank two; 800 steps, benzene
400 with {fine} Gaussians; the mean of two starts, of three for malonaldehyde) and
`runs/train-organic` (densities of rank one; 1000 steps on the first three, one start). The cards
state how long the trainings took.

"""
MOTION = """\
## Dynamics

`python runs/rmd17/dynamics.py` runs the shipped potentials at constant energy with 0.5 fs, starting
from the minimum, for ten seeds; half of the initial kinetic energy goes into the bonds. The drift
is the slope of the total energy, in kT per ns and degree of freedom, mean +- standard deviation.
Over 20 ps it reflects the heating of the stretches, because the total energy of velocity Verlet
contains a term in dt^2 that follows it. The next column excludes this term: it is the drift of the
shadow energy, the largest of all seeds. The last column lists the strongest lines above 100 1/cm;
below, 20 ps do not resolve lines.

"""
REFERENCES = """\
[1] A. S. Christensen, O. A. von Lilienfeld, Mach. Learn.: Sci. Technol. 1, 045018 (2020); CC0. [2]
Couzinie et al., [arXiv:2505.03213](https://arxiv.org/abs/2505.03213) (its abstract). [3] I. Batatia
et al., NeurIPS 2022, [arXiv:2206.07697](https://arxiv.org/abs/2206.07697).
"""


def write(results):
    """Write the page and its plots."""
    n = next((r["0"]["n_parameters"] for k, r in results.items() if k == "ethanol-950"), "")
    curve_plot(results, IMAGES / "rmd17-curves.png")
    sections = [
        INTRO,
        CURVE.format(n=n, fine=FINE) + curve_table(results) + exponents(results),
        "![Errors against training frames](images/rmd17-curves.png)\n\n",
        KINDS + kinds_table(results),
        CONTROL + control_table(results),
        TRAINING.format(
            steps=f"{ADAM_STEPS:,}",
            batch=ADAM_BATCH,
            spreads=" or ".join(map(str, PERCEPTRON_SPREADS)),
        )  # fmt: skip
        + training_table(results),
        SIZE + size_table(results) + words(results),
        TRANSFER + transfer_table(results),
        unseen(),
        beyond(),
        SHIPPED.format(fine=FINE) + shipped_table(),
        MOTION + motion_table() if DYNAMICS.exists() else "",
        REFERENCES,
    ]
    head = "<!-- Written by runs/rmd17/study.py from results.json; do not edit. -->\n\n"
    PAGE.write_text(head + "".join(sections))


def values(results, name, molecule, key):
    """Return the values of all seeds."""
    return [run["errors"]["test"][molecule][key] for run in results.get(name, {}).values()]


def cell(found):
    """Mean, and standard deviation of several seeds."""
    if not found:
        return NOT_MEASURED
    mean = np.mean(found)
    digits = 1 if mean >= 1 else 2
    if len(found) == 1:
        return f"{mean:.{digits}f}"
    return f"{mean:.{digits}f} +- {np.std(found, ddof=1):.{digits}f}"


def curve_table(results):
    head = ["frames"]
    for curve in CURVES:
        head += [f"{curve}, meV", "meV/A"]
    lines = [
        [str(size)]
        + [
            cell(values(results, f"{curve}-{size}", molecule, key))
            for curve, molecule in CURVES.items()
            for key in (ENERGY, FORCES)
        ]
        for size in SIZES
    ]
    return markdown(head, lines)


def points(results, curve, key, smallest=0):
    """(frames, mean error) of a learning curve."""
    found = [(n, values(results, f"{curve}-{n}", CURVES[curve], key)) for n in SIZES]
    return [(n, float(np.mean(v))) for n, v in found if v and n >= smallest]


def power_law(curve):
    """Exponent a of ``error = c n^-a`` by least squares in logarithms, its error, and c."""
    x, y = np.log(np.array(curve)).T
    design = np.stack([np.ones_like(x), -x], axis=1)
    coefficients, residuals, *_ = np.linalg.lstsq(design, y, rcond=None)
    variance = float(residuals[0]) / (len(x) - 2)
    error = math.sqrt(variance * np.linalg.inv(design.T @ design)[1, 1])
    return float(coefficients[1]), error, math.exp(coefficients[0])


def exponents(results):
    """Fits over all sizes and over the upper half."""
    lines = []
    for curve in CURVES:
        for key, what in ((ENERGY, "energies"), (FORCES, "forces")):
            row = [curve, what]
            for smallest in (0, 200):
                found = points(results, curve, key, smallest)
                law = power_law(found) if len(found) > 2 else None
                row.append(f"{law[0]:.2f} +- {law[1]:.2f}" if law else NOT_MEASURED)
            lines.append(row)
    text = "Exponents a of error ~ frames^-a, with their standard errors:\n\n"
    table = markdown(["molecule", "of", "50 to 950", "200 to 950"], lines)
    return text + table + BENDS


def curve_plot(results, path):
    """Both errors against frames, in logarithms, with the fits."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4.4), layout="constrained")
    FigureCanvasAgg(figure)
    for axis, key in zip(figure.subplots(1, 2), (ENERGY, FORCES), strict=True):
        for curve, colour in COLOURS.items():
            found = points(results, curve, key)
            if len(found) < 3:
                continue
            exponent, error, scale = power_law(found)
            label = f"{curve}: {exponent:.2f} +- {error:.2f}"
            sizes, errors = np.array(found).T
            axis.loglog(sizes, errors, "o", color=colour, label=label)
            axis.loglog(sizes, scale * sizes**-exponent, "--", color=colour, lw=1)
        axis.set_xlabel("training frames")
        axis.set_ylabel(f"mean absolute error, {UNITS[key]}")
        axis.set_title("energies" if key == ENERGY else "forces")
        if axis.has_data():
            axis.legend(
                frameon=False, title="exponent", fontsize="small", ncols=2,
                loc="upper center", bbox_to_anchor=(0.5, -0.17),
            )  # fmt: skip
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path, dpi=100, metadata={"Software": None})


def kinds_table(results):
    lines = []
    for molecule in MOLECULES:
        for kind, name in (("revised", f"{molecule}-950"), ("initial", f"{molecule}-initial")):
            found = results.get(name, {})
            n = found["0"]["n_parameters"] if "0" in found else ""
            errors = [cell(values(results, name, molecule, key)) for key in (ENERGY, FORCES)]
            lines.append([molecule, kind, str(n), str(len(found)), *errors])
    return markdown(["molecule", "network", "parameters", "seeds", "meV", "meV/A"], lines)


def control_table(results):
    names = {
        "revised": "ethanol-950",
        "vectors alone": "ethanol-vectors",
        "uncoupled": "ethanol-uncoupled",
        "frozen": "ethanol-frozen",
        "perceptron": "ethanol-perceptron",
    }
    assert len(names) == 1 + len(CONTROLS)
    lines = [[label, *trained(results, name)] for label, name in names.items()]
    return markdown(
        ["model", "trained parameters", "seeds", "meV", "meV/A", "train meV/A", "wall s"],
        lines,
    )


def training_table(results):
    names = [
        ("Gauss-Newton", "ethanol-950"),
        *((f"Adam, {rate}", f"ethanol-adam-{rate}") for rate in ADAM_RATES),
        ("Gauss-Newton, wide", "ethanol-950-wide"),
        ("Gauss-Newton, 100 frames", "ethanol-100"),
        ("Gauss-Newton, 100 frames, wide", "ethanol-100-wide"),
        ("perceptron", "ethanol-perceptron"),
        *((f"perceptron, {s} times", f"ethanol-perceptron-{s}") for s in PERCEPTRON_SPREADS),
    ]
    lines = [[label, *trained(results, name)[1:]] for label, name in names]
    return markdown(["training", "seeds", "meV", "meV/A", "train meV/A", "wall s"], lines)


def trained(results, name):
    """Numbers, seeds, errors and time of a row of ethanol."""
    runs = list(results.get(name, {}).values())
    if not runs:
        return ["", "", NOT_MEASURED, NOT_MEASURED, "", ""]
    fitted = [run["errors"]["train"]["ethanol"][FORCES] for run in runs]
    return [
        str(runs[0].get("n_free", runs[0]["n_parameters"])), str(len(runs)),
        cell(values(results, name, "ethanol", ENERGY)),
        cell(values(results, name, "ethanol", FORCES)),
        cell(fitted), f"{np.median([run['seconds'] for run in runs]):.0f}",
    ]  # fmt: skip


def size_table(results):
    sizes = [(4, 4, "ethanol-950")]
    sizes += [
        (row.model["qubits"], row.model["layers"], name)
        for name, row in ROWS.items()
        if name.endswith("-layers")
    ]
    lines = [[str(q), str(d), *trained(results, name)] for q, d, name in sorted(sizes)]
    return markdown(
        ["qubits", "layers", "parameters", "seeds", "meV", "meV/A", "train meV/A", "wall s"],
        lines,
    )


def words(results):
    """Ratios of force errors of ethanol, in words."""
    base = np.mean(values(results, "ethanol-950", "ethanol", FORCES))
    names = ("uncoupled", "vectors", "perceptron")
    ratios = {
        name: np.mean(values(results, f"ethanol-{name}", "ethanol", FORCES)) / base
        for name in names
    }
    return WORDS.format(**ratios, shipped=shipped_errors("ethanol")[""][FORCES] / base)


def transfer_table(results):
    lines = []
    rows = [(f"{m} alone", f"{m}-950") for m in MOLECULES]
    rows += [("all three", "all"), *((f"all but {m}", f"without-{m}") for m in MOLECULES)]
    for label, name in rows:
        row = [label]
        for molecule in MOLECULES:
            unseen = molecule in ROWS[name].also_tested
            if not unseen and molecule not in ROWS[name].molecules:
                row += ["", ""]
                continue
            keys = (APART if unseen else ENERGY, FORCES)
            both = [cell(values(results, name, molecule, key)) for key in keys]
            row += [f"*{text}*" for text in both] if unseen else both
        lines.append(row)
    head = ["trained on"]
    for molecule in MOLECULES:
        head += [f"{molecule}, meV", "meV/A"]
    return markdown(head, lines) + "*Italic*: not trained on.\n\n"


def unseen():
    """Return the errors of qnn-organic on methanol in words."""
    from qmd.audit import evaluation
    from qmd.potentials import SHIPPED, load

    package = load(SHIPPED / "qnn-organic.qmdp")
    labels = evaluation.load_labels(package, METHANOL)
    found = evaluation.evaluate(evaluation.for_labels(package, labels), labels, fit_offset=True)
    return UNSEEN.format(
        n=found.n,
        forces=found.mae_forces_meV_per_A,
        size=1000 * np.abs(labels.forces).mean(),
        energy=found.mae_energy_meV,
        offset=abs(found.energy_offset_eV),
    )


def beyond():
    """Return the section of the steps beyond rank two."""
    found = json.loads(BEYOND_RESULTS.read_text())
    lines = []
    for row in dict.fromkeys(key.rpartition(", ")[0] for key in found):
        seeds = [one for key, one in found.items() if key.rpartition(", ")[0] == row]
        errors = (cell([one[key] for one in seeds]) for key in (ENERGY, FORCES))
        seconds = f"{np.mean([one['seconds'] for one in seeds]):.0f}"
        lines.append([row, str(seeds[0]["n_parameters"]), str(len(seeds)), *errors, seconds])
    one = found["network, 0"]
    head = ["model", "parameters", "seeds", "meV", "meV/A", "CPU s"]
    text = BEYOND.format(steps=f"{one['steps']:,}", batch=one["batch"])
    return text + markdown(head, lines) + beyond_in_words(found)


def beyond_in_words(found):
    """Return the ratios to the network, of the first seed, in words."""
    of = {
        row: {key: found[f"{row}, 0"][key] / found["network, 0"][key] for key in BEYOND_RATIOS}
        for row in ("finer", "two hops", "rank three", "triplets")
    }
    forces = [one[FORCES] for key, one in found.items() if key.startswith("network, ")]
    text = BEYOND_WORDS.format(
        seeds=len(forces), scatter=100 * (max(forces) / min(forces) - 1),
        **{f"{row.replace(' ', '_')}_{BEYOND_RATIOS[key]}": ratio
           for row, ratios in of.items() for key, ratio in ratios.items()}
    )  # fmt: skip
    return textwrap.fill(text, 100) + "\n\n"


def shipped_errors(name):
    """Test errors of a package, by molecule: "" is its own."""
    from qmd.potentials import SHIPPED, load

    card = load(SHIPPED / f"qnn-{name}.qmdp").training
    found = {"": card["errors"], **card.get("errors_of_the_others", {})}
    return {formula: errors["test"]["all"] for formula, errors in found.items()}


def shipped_table():
    from qmd.potentials import SHIPPED, load

    lines = []
    for name in ("ethanol", "malonaldehyde", "benzene", "aspirin", "organic"):
        numbers = load(SHIPPED / f"qnn-{name}.qmdp").training["parameters"]
        for formula, test in shipped_errors(name).items():
            lines.append([
                "" if formula else f"`qnn-{name}`", formula, str(numbers),
                cell([test[ENERGY]]), cell([test[FORCES]]),
            ])  # fmt: skip
    return markdown(["potential", "", "parameters", "meV", "meV/A"], lines)


def motion_table():
    found = json.loads(DYNAMICS.read_text())
    lines = [
        [
            f"`{name}`", str(run["runs"]), f"{run['ps']:g}", f"{run['temperature_K']:.0f}",
            str(run["failures"]), f"{run['drift_mean']:.1e} +- {run['drift_spread']:.1e}",
            f"{run['shadow_drift_largest']:.1e}",
            ", ".join(f"{peak:.0f}" for peak in run["peaks_per_cm"]),
        ]
        for name, run in found.items()
    ]  # fmt: skip
    head = ["potential", "runs", "ps each", "K", "failures", "drift", "shadow", "lines, 1/cm"]
    image = "![Densities of vibrational states](images/rmd17-spectra.png)\n\n"
    return markdown(head, lines) + image


def markdown(head, lines):
    """A table."""
    rows = [head, ["---"] * len(head), *lines]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in rows) + "\n"
