"""Write the generated pages of the site: keys of the inputs, Python interface, model errors.

    python docs/reference.py

Writes reference/input.md, train.md, tune.md, label.md, ensemble.md and benchmark.md from the JSON
Schemas of the inputs, and reference/python.md from signatures and docstrings; models.md from the
cards of the packages.
`tests/repository/test_docs.py` compares the committed pages with this script.
"""

import ast
import enum
import inspect
import json
import re
from collections.abc import Iterable, Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, get_args

import numpy as np

from qmd.benchmark.config import BenchmarkConfig
from qmd.config.schema import json_schema
from qmd.ensemble.config import EnsembleConfig
from qmd.label.config import LabelConfig
from qmd.potentials import find, load, shipped
from qmd.run.config import RunConfig
from qmd.train.config import TrainConfig
from qmd.tune.config import TuneConfig

ROOT = Path(__file__).resolve().parents[1]

Row = tuple[str, ...]

GENERATED = "<!-- Written by docs/reference.py; edit the docstrings instead. -->\n\n"

INPUT_HEAD = """\
# Input

The keys of `input.yaml`; `qmd schema` prints them as a JSON Schema. `qmd init` prints a commented
example, and `qmd validate input.yaml` checks a file, its structure and its potential without
running it. Both also accept the other kinds of input: `qmd init train`, `qmd validate train.yaml`.

- The units are in the key names. Unknown keys and numbers that are not finite are errors.
- Whole numbers may be written `200000` or `2e5`, but not `200_000`.
- Paths are relative to the input file.
- `--set integrator.temperature_K=350` overrides a key for one command, checked like the file.
- `system.temperature_K` is needed for `velocities: thermal`, and refused with the others.
- Only `steps`, `wall_time_h`, `threads`, `guards.on_failure` and `output` (except
  `output.trajectories`) may change when a run is resumed.
- `output.trajectories: separate` and `guards.on_failure: drop` need `replicas`; so does `threads`,
  unless the potential has networks and the system a cell.

"""

TRAIN_HEAD = """\
# Training input

The keys of `train.yaml`. `qmd train train.yaml --check` checks a file and its labels without
training. [Train a potential](../train.md) has examples.

- The units are in the key names. Unknown keys and numbers that are not finite are errors.
- Paths are relative to the input file; the path of the labels may also be relative to the current
  folder.
- `--set starts.count=4` overrides a key for one command, checked like the file.
- An item of a list is named by its place, from 0: `--set stages.0.steps=500`.
- Only names, texts, `workers`, `executor` and the paths of the same labels may change when a
  training is resumed.
- `executor` has [several kinds](ensemble.md#executor-kind-serial).

"""

TUNE_HEAD = """\
# Tune input

The keys of `tune.yaml`. `qmd tune tune.yaml --check` checks the training and every value without
training. [Tune a training](../tune.md) has an example.

- Unknown keys and numbers that are not finite are errors.
- The keys under `parameters` are those of the [training input](train.md); those of data, split,
  names and executors are refused.
- Only `executor` and `evaluations` may change when a search is resumed.
- `executor` has [several kinds](ensemble.md#executor-kind-serial).

"""

LABEL_HEAD = """\
# Label input

The keys of `label.yaml`. `qmd label label.yaml` writes `labels.npz` and its card, `labels.json`;
[Analyse and compare](../analyze.md#references-of-your-own) has an example.

- The units are in the key names. Unknown keys and numbers that are not finite are errors.
- `executor` has [several kinds](ensemble.md#executor-kind-serial).
- Atoms are counted from 0.
- `charge` and `multiplicity` of `dft` and `fci` are those of the whole; with `molecules`, all are
  neutral and have closed shells. ASE calculators take them as `arguments`.
- What the structures state (`charge`, `multiplicity` or `uhf` in `extxyz`; charges in `mol` and
  `pdb`) is taken where the input states nothing, and must not contradict it.

"""

ENSEMBLE_HEAD = """\
# Ensemble input

The keys of `ensemble.yaml`. `qmd ensemble ensemble.yaml --check` checks the input of every run.
[Run many at once](../howto.md#run-many-at-once) has an example. `qmd label` and `qmd train` have
the same `executor`.

- Unknown keys are errors. The keys under `vary` are those of the [input of a run](input.md).
- There is one run for each combination of the items of `vary`; the last one changes fastest.
- When an ensemble is resumed, `executor` may change, and values may be added.

"""

BENCHMARK_HEAD = """\
# Benchmark input

The keys of `bench.yaml`. [Compare many potentials](../howto.md#compare-many-potentials) has an
work.

- Paths of labels, references and packages are relative to the input file.
- A potential has the same form as `potential` in the [input of a run](input.md#potential).
- `executor` has [several kinds](ensemble.md#executor-kind-serial).

"""

PYTHON_HEAD = """\
# Python

Arrays are float64 in internal units: eV, angstrom, u, and for the time angstrom sqrt(u/eV) =
10.18 fs; `qmd.units` has the factors (`fs`, `ps`, `kB`, `kcal_per_mol`). Positions, velocities
and forces have the shape (n_atoms, 3). `help(name)` shows shapes, units, errors and sources.
The [recipes](../howto.md#use-a-potential-from-python) use most of these names.

"""

PYTHON_SECTIONS = {
    "qmd": "The commands as functions; [Python and notebooks](../python.md) explains them.",
    "qmd.integrators": "The steps of dynamics, compiled by Numba.",
    "qmd.potentials": "Models as trees of circuits and classical terms, and packages.",
}

SUBMODULES = {  # public names; the files are in folders below
    "qmd.potentials.sivqlm": "Ready-made architectures.",
    "qmd.potentials.spc_fw": "SPC/Fw, a flexible water model.",
    "qmd.potentials.water_pair": "The interaction of two waters.",
    "qmd.potentials.vqlm": "The generic circuit on distances and angles.",
    "qmd.potentials.jax_model": "JAX; importing it makes the tree a pytree of its trained arrays.",
    "qmd.potentials.reference": "PennyLane, which is imported only with this module.",
    "qmd.potentials.network_reference": "PennyLane, for atom-centred networks.",
}


PATTERNS = {
    "^[0-9]{1,6}:[0-5][0-9]:[0-5][0-9]$": "h:mm:ss",
    "^[0-9a-f]{64}$": "64 hex digits",
    r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)+$": "module.Class",
    r"^[^\x00-\x1f\x7f]*$": "one line",
    "^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$": "letters, digits and `._-`",
    "^(eV|meV|Hartree|kcal/mol|kJ/mol)/(angstrom|bohr|nm)$": "energy/length",
    r"^(tcp|tls)://[^\s/]+:[0-9]{1,5}$": "tcp://host:port, tls://host:port",
    r"^[A-Za-z0-9._:-]{1,64}$": "name of an interface",
    "^[a-z0-9][a-z0-9.-]{0,39}$": "small letters, digits and `.-`",
    "^[A-Za-z0-9][A-Za-z0-9 ._()+/-]{0,59}$": "a label",
    "^[A-Z][a-z]?$": "a symbol",
}
"""Descriptions of the patterns of the schemas."""


def input_page() -> str:
    """Return tables of all keys, one for each section of the input."""
    schema = json_schema(RunConfig)
    definitions = schema["$defs"]
    parts = [_section("Top level", schema)]
    parts.append(_section("system", definitions["SystemConfig"]))
    parts.append("## potential\n\nA name, the path of a package, or one of these mappings.\n")
    parts += _kinds("potential", schema["properties"]["potential"], definitions)
    parts += _kinds("integrator", schema["properties"]["integrator"], definitions)
    parts.append(_section("confinement", definitions["ConfinementConfig"]))
    parts.append(_section("noise", definitions["ShotNoiseConfig"]))
    parts.append(_section("output", definitions["OutputConfig"]))
    parts.append(_section("guards", definitions["GuardsConfig"]))
    return GENERATED + INPUT_HEAD + "\n".join(parts)


def train_page() -> str:
    """Return tables of all keys, one for each section of the training input."""
    schema = json_schema(TrainConfig)
    definitions, keys = schema["$defs"], schema["properties"]
    parts = [_section("Top level", schema), _section("labels", definitions["LabelsConfig"])]
    parts += _kinds("model", keys["model"], definitions)
    parts.append(_section("model.start", definitions["StartConfig"]))
    head, _none = definitions["AllegroConfig"]["properties"]["head"]["anyOf"]
    parts += _kinds("model.head", head, definitions)
    parts.append(_section("split", definitions["SplitConfig"]))
    parts.append(_section("label_noise", definitions["NoiseConfig"]))
    parts.append(_section("loss", definitions["LossConfig"]))
    parts += _kinds("stages", keys["stages"]["items"], definitions)
    parts.append(_section("starts", definitions["StartsConfig"]))
    return GENERATED + TRAIN_HEAD + "\n".join(parts)


def tune_page() -> str:
    """Return tables of all keys of a search."""
    schema = json_schema(TuneConfig)
    definitions = schema["$defs"]
    parts = [_section("Top level", schema)]
    parts.append(_section("parameters", definitions["ParameterConfig"]))
    parts += _kinds("method", schema["properties"]["method"], definitions)
    return GENERATED + TUNE_HEAD + "\n".join(parts)


def label_page() -> str:
    """Return tables of all keys, one for each section of the label input."""
    schema = json_schema(LabelConfig)
    parts = [_section("Top level", schema)]
    parts += _kinds("method", schema["properties"]["method"], schema["$defs"])
    return GENERATED + LABEL_HEAD + "\n".join(parts)


def ensemble_page() -> str:
    """Return tables of all keys of an ensemble, and of the executors of all inputs."""
    schema = json_schema(EnsembleConfig)
    definitions = schema["$defs"]
    parts = [_section("Top level", schema)]
    parts.append(_section("vary, in place of a list", definitions["RangeConfig"]))
    parts += _kinds("executor", schema["properties"]["executor"], definitions)
    return GENERATED + ENSEMBLE_HEAD + "\n".join(parts)


def benchmark_page() -> str:
    """Return tables of all keys of a benchmark."""
    schema = json_schema(BenchmarkConfig)
    parts = [_section("Top level", schema)]
    parts += _kinds("measures", schema["properties"]["measures"]["items"], schema["$defs"])
    return GENERATED + BENCHMARK_HEAD + "\n".join(parts)


def _kinds(title: str, node: dict[str, Any], definitions: dict[str, Any]) -> Iterator[str]:
    """Yield a section for each kind of a union."""
    options = node.get("oneOf") or [o for o in node["anyOf"] if "$ref" in o]
    for option in options:
        definition = definitions[option["$ref"].rpartition("/")[2]]
        kind = definition["properties"]["kind"]["const"]
        yield _section(f"{title}, kind: {kind}", definition)


def _section(title: str, node: dict[str, Any], text: str | None = None) -> str:
    required = node.get("required", ())
    rows = [
        (f"`{key}`", _kind(value), _default(key, value, required), _one_line(value))
        for key, value in node["properties"].items()
    ]
    text = text or node["description"]
    return f"## {title}\n\n{text}\n\n" + _table(("key", "value", "default", "meaning"), rows)


def _one_line(node: dict[str, Any]) -> str:
    return " ".join(node["description"].split())


def _default(key: str, value: dict[str, Any], required: list[str]) -> str:
    if key in required:
        return "required"
    if isinstance(value["default"], dict):
        return "see below"
    if value["default"] in (None, ""):
        return "none"
    return f"`{json.dumps(value['default'])}`".replace('"', "")


def _kind(node: dict[str, Any]) -> str:
    """Describe the values that a key accepts."""
    match node:
        case {"$ref": _} | {"oneOf": _}:
            return "a section"
        case {"anyOf": options}:
            return " or ".join(dict.fromkeys(map(_kind, options)))
        case {"const": value}:
            return f"`{value}`"
        case {"enum": values}:
            return ", ".join(f"`{value}`" for value in values)
        case {"items": {"items": _}}:
            return "a list of lists of whole numbers"
        case {"items": {"type": "number" | "integer" as number}}:
            return f"a list of {'numbers' if number == 'number' else 'whole numbers'}"
        case {"items": {"anyOf": [*_, {"type": "null"}]}}:
            return "a list of values"
        case {"items": {"enum": values}}:
            return f"a list of {', '.join(f'`{value}`' for value in values)}"
        case {"items": {"anyOf": [{"type": "string"}, *_]}}:
            return "a list of names or sections"
        case {"items": {"type": "string"}}:
            return "a list of lines"
        case {"items": _}:
            return "a list of sections"
        case {"type": "number" | "integer" as number}:
            signs = {"exclusiveMinimum": ">", "minimum": ">="}
            bounds = [f"{sign} {node[key]:.5g}" for key, sign in signs.items() if key in node]
            fractions = {"exclusiveMaximum": "<", "maximum": "<="}  # other bounds are far away
            bounds += [f"{sign} 1" for key, sign in fractions.items() if node.get(key) == 1]
            name = "number" if number == "number" else "whole number"
            return f"{name} {', '.join(bounds)}".strip()
        case {"pattern": pattern}:
            return PATTERNS[pattern]
        case {"type": kind}:
            return {
                "boolean": "`true`, `false`",
                "null": "`null`",
                "string": "text",
                "object": "mapping",
            }[kind]
    raise ValueError(f"no words for {node}")


def python_page() -> str:
    """Return tables of all public names."""
    parts = []
    for name, text in PYTHON_SECTIONS.items():
        rows = _members(import_module(name))
        parts.append(f"## {name}\n\n{text}\n\n" + _table(("name", "meaning"), rows))
    for name, text in SUBMODULES.items():
        rows = _functions(Path(_submodule(name).__file__ or ""))
        parts.append(f"## {name}\n\n{text}\n\n" + _table(("name", "meaning"), rows))
    return GENERATED + PYTHON_HEAD + re.sub("\n\n\n+", "\n\n", "\n".join(parts))


def _submodule(name: str) -> ModuleType:
    package, _, module = name.rpartition(".")
    found: ModuleType = getattr(import_module(package), module)
    return found


def _members(module: ModuleType) -> Iterator[Row]:
    assert module.__file__
    constants = _constant_docs(Path(module.__file__).parent)
    for name in sorted(module.__all__, key=str.lower):
        value = getattr(module, name)
        value = getattr(value, "command", value)  # of a package that is a command, too
        if inspect.ismodule(value):
            continue
        if options := get_args(value):
            yield f"`{name}`", f"One of {', '.join(f'`{kind.__name__}`' for kind in options)}."
            continue
        if name in constants or not callable(value):
            yield f"`{name}`", _summary(constants[name])
            continue
        summary = _summary(inspect.getdoc(value))
        if isinstance(value, type) and issubclass(value, enum.Enum):
            yield f"`{name}`", f"{summary} Members: {', '.join(m.name for m in value)}."
        elif isinstance(value, type) and issubclass(value, Exception):
            yield f"`{name}`", summary
        else:
            yield f"`{name}{_signature(value)}`", summary
            yield from _methods(value) if isinstance(value, type) else ()


def _methods(cls: type) -> Iterator[Row]:
    for name, value in vars(cls).items():
        if name.startswith("_") or not getattr(value, "__doc__", None):
            continue
        if inspect.isfunction(value):
            yield f"`{cls.__name__}.{name}{_signature(value)}`", _summary(inspect.getdoc(value))
        elif isinstance(value, property):
            yield f"`{cls.__name__}.{name}`", _summary(inspect.getdoc(value))


def _shown(default: Any) -> Any:
    if isinstance(default, np.ndarray):
        return _Text("zeros")
    return _Text(default.__name__) if inspect.isfunction(default) else default


class _Text(str):
    """A default that is shown as it is."""

    __repr__ = str.__str__


def _signature(value: Any) -> str:
    """Return names and defaults only: types, shapes and units are in the docstring."""
    signature = inspect.signature(getattr(value, "py_func", value))
    parameters = [
        p.replace(
            annotation=p.empty,
            default=_shown(p.default),
        )
        for p in signature.parameters.values()
        if p.name != "self"
    ]
    text = str(signature.replace(parameters=parameters, return_annotation=signature.empty))
    return re.sub(r"\w+Path\('.'\)", "Path()", text)


def _functions(path: Path) -> Iterator[Row]:
    """Yield the public functions of a source file without an import: PennyLane takes seconds."""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            for argument in ast.walk(node.args):
                if isinstance(argument, ast.arg):
                    argument.annotation = None
            yield f"`{node.name}({ast.unparse(node.args)})`", _summary(ast.get_docstring(node))


def _constant_docs(folder: Path) -> dict[str, str]:
    """Return the docstring of each constant of the modules in `folder`."""
    docs = {}
    for file in sorted(folder.rglob("*.py")):
        body = ast.parse(file.read_text()).body
        for line, below in zip(body, body[1:], strict=False):
            match line, below:
                case (
                    ast.Assign([ast.Name(name)]) | ast.AnnAssign(ast.Name(name)),
                    ast.Expr(ast.Constant(str(text))),
                ):
                    docs[name] = text
    return docs


def _summary(docstring: str | None) -> str:
    """Return the first paragraph, on one line, without the marks of footnotes."""
    assert docstring, "every public name has a docstring"
    first = " ".join(docstring.strip().split("\n\n")[0].split())
    return re.sub(r" ?\[\d\]_", "", first)


def _table(head: Row, rows: Iterable[Row]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "".join(
        "| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines
    )


def models_page() -> str:
    """Return the errors of the shipped models, from their cards; the page is part of results.md."""
    head = ("model", "part", "frames", "energy, meV", "forces, meV/angstrom")
    rows = []
    for name in shipped():
        errors = load(find(name)).training["errors"]
        for part in ("train", "validation", "test"):
            for group in sorted(errors[part], reverse=True):  # those below an energy, then all
                rmse = errors[part][group]
                rows.append(
                    (
                        f"`{name}`",
                        f"{part}, {group.replace('_', ' ')}",
                        str(rmse["frames"]),
                        f"{rmse['energy_rmse_meV']:.3g}",
                        f"{rmse['forces_rmse_meV_per_A']:.3g}",
                    )
                )
    return GENERATED.replace("docstrings", "cards") + "Root mean squares:\n\n" + _table(head, rows)


PAGES = {
    "models.md": models_page,
    "reference/input.md": input_page,
    "reference/train.md": train_page,
    "reference/tune.md": tune_page,
    "reference/label.md": label_page,
    "reference/ensemble.md": ensemble_page,
    "reference/benchmark.md": benchmark_page,
    "reference/python.md": python_page,
}


def main() -> None:
    for name, page in PAGES.items():
        (ROOT / "docs" / name).write_text(page())
        print(f"docs/{name}")


if __name__ == "__main__":
    main()
