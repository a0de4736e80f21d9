"""Commands `qmd potential ...`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from qmd.cli.common import Commands, Debug, Set, Trust, errors_in_one_line

if TYPE_CHECKING:
    from qmd.potentials import Package

potentials = typer.Typer(
    cls=Commands,
    help="List, describe and examine potentials.",
    epilog="Example: `qmd potential info sivqlm-h2o`.",
    no_args_is_help=True,
)


Potential = Annotated[str, typer.Argument(help="Name or path of a .qmdp.", show_default=False)]
Structure = Annotated[
    str | None,
    typer.Option(
        help="Atoms, for a potential that serves any: built-in name or file.", show_default=False
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def named_package(name: str, structure: str | None) -> "Package":
    """Return the package with a name, for the atoms of `structure` if that is given."""
    from qmd.forces.catalogue import load_package
    from qmd.io.structure import load_system

    system = None if structure is None else load_system(structure, Path())
    return load_package(name, Path(), system=system)


@potentials.command("list", epilog="Example: `qmd potential list`.")
def list_potentials() -> None:
    """List the potentials that have a name, and the kinds that an input can describe."""
    with errors_in_one_line():
        from qmd.cli.cards import table

        print(table())


@potentials.command("info", epilog="Example: `qmd potential info sivqlm-h2o`.")
def potential_info(potential: Potential, structure: Structure = None, debug: Debug = False) -> None:
    """Show the card of a potential: circuit, training, errors, domain, citation."""
    with errors_in_one_line(debug):
        from qmd.cli.cards import card

        print(card(named_package(potential, structure)))


@potentials.command(
    epilog="Examples: `qmd potential check sivqlm-h2o`; `qmd potential check sivqlm-h2o --quick`. "
    "Exit codes: 0 all passed, 3 no such potential, 4 something failed."
)
def check(
    potential: Potential,
    geometries: Annotated[
        int, typer.Option(min=0, max=100_000, help="Number of random distortions to test.")
    ] = 16,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the distortions.")] = 0,
    structure: Structure = None,
    quick: Annotated[
        bool,
        typer.Option("--quick", help="Leave out the scans for jumps, eager JAX and PennyLane."),
    ] = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Audit symmetries, forces, interpreters, domain and smoothness; takes a minute."""
    with errors_in_one_line(debug):
        from qmd.audit import audit
        from qmd.commands.progress import note
        from qmd.errors import MismatchError, NumericalError
        from qmd.forces.jax_cache import use_compilation_cache

        use_compilation_cache()
        package = named_package(potential, structure)
        if not len(package.test_positions):
            raise MismatchError(f"{potential} has no geometry to test", "name one with --structure")
        found = audit.audit(package, n_geometries=geometries, seed=seed, quick=quick, log=note)
        print(audit.as_json(package, found) if json else audit.table(found))
        failed = audit.failed(found)
        if failed:
            raise NumericalError(
                f"{package.name}: {len(failed)} of {len(found)} checks failed, first: "
                f"{failed[0].what}",
                hint="do not run it; fix the model, or train it again",
            )


@potentials.command(
    epilog="Examples: `qmd potential evaluate sivqlm-h2o runs/labels-h2o/test.npz`, in a checkout; "
    "`qmd potential evaluate sivqlm-h2o labels.npz --json`. Data sets: .npz, "
    ".extxyz, .db; energies in eV, with the same zero as the labels of the training."
)
def evaluate(
    potential: Potential,
    dataset: Annotated[Path, typer.Argument(help="Labelled geometries.", show_default=False)],
    fit_offset: Annotated[
        bool,
        typer.Option("--fit-offset", help="Subtract the mean difference of the energies."),
    ] = False,
    energy_key: Annotated[
        str | None, typer.Option(help="Name of the energies in the file.", show_default=False)
    ] = None,
    forces_key: Annotated[
        str | None, typer.Option(help="Name of the forces in the file.", show_default=False)
    ] = None,
    energy_unit: Annotated[
        str | None,
        typer.Option(help="Unit of energy, such as Hartree; default: eV.", show_default=False),
    ] = None,
    length_unit: Annotated[
        str | None,
        typer.Option(help="Unit of length, such as bohr; default: angstrom.", show_default=False),
    ] = None,
    forces_unit: Annotated[
        str | None,
        typer.Option(
            help="Unit of the forces, such as Hartree/bohr; default: of the other two.",
            show_default=False,
        ),
    ] = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Evaluate the errors of energies and forces on a data set."""
    with errors_in_one_line(debug):
        from qmd.audit import evaluation, of_compositions
        from qmd.commands.progress import note
        from qmd.forces.catalogue import load_package
        from qmd.forces.jax_cache import use_compilation_cache

        use_compilation_cache()
        package = load_package(potential, Path())
        keys = {
            "energy_key": energy_key, "forces_key": forces_key, "energy_unit": energy_unit,
            "length_unit": length_unit, "forces_unit": forces_unit,
        }  # fmt: skip
        if package.reference_energies_eV:
            many = of_compositions.load_labels(package, dataset, **keys)
            result = of_compositions.evaluate(package, many, fit_offset=fit_offset)
        else:
            labels = evaluation.load_labels(package, dataset, **keys)
            for line in labels.notes:
                note(line)
            package = evaluation.for_labels(package, labels)
            result = evaluation.evaluate(package, labels, fit_offset=fit_offset)
        print(evaluation.as_json(result) if json else evaluation.table(result))


@potentials.command(
    epilog="Examples: `qmd potential draw sivqlm-h2o -o water.png`; "
    "`qmd potential draw sivqlm-h2o --text --gates`."
)
def draw(
    potential: Potential,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="File of the picture; default: NAME.png.", show_default=False
        ),
    ] = None,
    layers: Annotated[int, typer.Option(min=1, help="Number of layers to show.")] = 1,
    gates: Annotated[
        bool, typer.Option("--gates", help="Show elementary gates, not the gates of the model.")
    ] = False,
    text: Annotated[bool, typer.Option("--text", help="Print the drawing as text.")] = False,
    circuit: Annotated[
        str | None,
        typer.Option(help="Name of the circuit, if the model has several.", show_default=False),
    ] = None,
    debug: Debug = False,
) -> None:
    """Draw the first layers of the circuit, by PennyLane."""
    with errors_in_one_line(debug):
        from qmd.circuits import drawing
        from qmd.circuits.instances import find_circuit
        from qmd.forces.catalogue import load_package

        part = find_circuit(load_package(potential, Path()), circuit)
        shown = min(layers, part.n_layers)
        if text:
            print(drawing.text(part, shown, gates=gates))
        else:
            path = output or Path(f"{part.name}.png")
            drawing.picture(part, path, shown, gates=gates)
            print(path)


@potentials.command(epilog="Example: `qmd potential resources sivqlm-h2o`.")
def resources(potential: Potential, json: Json = False, debug: Debug = False) -> None:
    """Count qubits, gates, depth, parameters, and circuit evaluations of energies and forces."""
    with errors_in_one_line(debug):
        from qmd.circuits import resources
        from qmd.circuits.instances import circuits_or_error
        from qmd.forces.catalogue import load_package

        parts = circuits_or_error(load_package(potential, Path()))
        found = [resources.resources(part) for part in parts]
        print(resources.as_json(found) if json else resources.table(found))


@potentials.command(
    epilog="Example: `qmd potential bound sivqlm-lih runs/train-lih/train.yaml -o lih.qmdp`, in a "
    "checkout. Parameters and test vectors keep their bytes."
)
def bound(
    potential: Potential,
    input: Annotated[
        Path, typer.Argument(help="Input of the training, with its data.", show_default=False)
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Package to write.", show_default=False)
    ],
    set: Set = None,
    trust: Trust = False,
    debug: Debug = False,
) -> None:
    """Take the bounds of a package anew from the frames of its training."""
    with errors_in_one_line(debug, trust):
        import json

        from qmd.commands.progress import note
        from qmd.config.load import load
        from qmd.train.config import TrainConfig
        from qmd.train.rebound import bound_anew

        loaded = load(input, TrainConfig, set or ())
        for line in loaded.notes:
            note(line)
        package = bound_anew(potential, loaded, output)
        print(json.dumps(package.training["domain"], indent=2))
        print(f"{output}  sha256 {package.sha256}")
