"""The input schema: what is accepted, and that each fault is named by file, line and key."""

import json
import os
import re
from collections.abc import Iterator
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from qmd.cli.inputs.kinds import template
from qmd.config.base import Config
from qmd.config.load import changed_keys, load
from qmd.config.schema import json_schema
from qmd.config.strict_yaml import parse
from qmd.errors import InputError, QmdError
from qmd.forces.config import PackageConfig
from qmd.io.files import read_regular_file
from qmd.run.config import MAY_CHANGE_ON_RESUME, RunConfig, load_config

# Every key of the schema, one a line, each with a valid value.
FULL: dict[str, Any] = {
    "system.structure": "h2o",
    "system.velocities": "thermal",
    "system.temperature_K": 300,
    "system.exact_temperature": False,
    "system.remove_rotation": False,
    "system.masses_u": [15.999, 2.014, 2.014],
    "system.fixed": [0, 2],
    "potential.kind": "package",
    "potential.name": "sivqlm-h2o",
    "potential.backend": "native",
    "potential.sha256": "ab" * 32,
    "integrator.kind": "langevin_baoab",
    "integrator.timestep_fs": 0.5,
    "integrator.temperature_K": 300,
    "integrator.friction_per_ps": 1.0,
    "integrator.remove_drift_every": 100,
    "confinement.radius_A": 6.0,
    "confinement.stiffness_eV_per_A3": 1.0,
    "noise.shots": 1000,
    "noise.compensate": True,
    "steps": 200000,
    "seed": 1,
    "replica": 0,
    "replicas": 3,
    "threads": 4,
    "output.trajectory_every": 100,
    "output.log_every": 100,
    "output.checkpoint_every": 10000,
    "output.trajectories": "together",
    "guards.max_force_eV_per_A": 50,
    "guards.max_displacement_A_per_step": 0.1,
    "guards.on_leaving_domain": "stop",
    "guards.on_failure": "stop",
    "wall_time_h": 23.5,
}

SECTIONS = {
    "SystemConfig": "system",
    "PackageConfig": "potential",
    "VelocityVerletConfig": "integrator",
    "LangevinConfig": "integrator",
    "ConfinementConfig": "confinement",
    "ShotNoiseConfig": "noise",
    "OutputConfig": "output",
    "GuardsConfig": "guards",
}


def schema_keys() -> Iterator[tuple[str, dict[str, Any]]]:
    """Dotted path and schema of each key that holds a value, in a run on a package."""
    schema = json_schema(RunConfig)
    for key, node in schema["properties"].items():
        if key not in SECTIONS.values():
            yield key, node
    for name, section in SECTIONS.items():
        for key, node in schema["$defs"][name]["properties"].items():
            yield f"{section}.{key}", node


def numeric_keys() -> dict[str, dict[str, Any]]:
    numbers = {}
    for path, node in schema_keys():
        for option in node.get("anyOf", [node]):
            if option.get("type") in ("number", "integer"):
                numbers[path] = option
    return numbers


def as_yaml(values: dict[str, Any]) -> str:
    """Dotted keys as blocks of YAML, one key a line; text stands as it is."""
    sections: dict[str, list[str]] = {}
    for path, value in values.items():
        section, _, key = path.rpartition(".")
        text = value if isinstance(value, str) else json.dumps(value)
        sections.setdefault(section, []).append(f"{key}: {text}\n")
    blocks = ["".join(sections.pop("", []))]
    blocks += [f"{name}:\n  {'  '.join(lines)}" for name, lines in sections.items()]
    return "".join(blocks)


def line_of(path: str) -> int:
    """Line of a key in ``as_yaml(FULL)``."""
    return parse(as_yaml(FULL), "").lines[tuple(path.split("."))]


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Write an input; its path is 'input.yaml'."""
    monkeypatch.chdir(tmp_path)

    def _write(text: str) -> str:
        Path("input.yaml").write_text(text, encoding="utf-8")
        return "input.yaml"

    return _write


def refusal(path: str, *overrides: str) -> InputError:
    with pytest.raises(InputError) as error:
        load_config(path, overrides)
    assert "\n" not in error.value.message
    return error.value


def test_the_sample_has_every_key_of_the_schema():
    assert {path for path, _ in schema_keys()} == set(FULL)


def test_a_full_input_is_read_as_written(write):
    loaded = load_config(write(as_yaml(FULL)))
    for path, value in FULL.items():
        read: Any = loaded.config
        for key in path.split("."):
            read = getattr(read, key)
        assert read == value
    assert loaded.path == Path.cwd() / "input.yaml"


def test_defaults_are_those_of_the_documentation(write):
    config = load_config(
        write(
            "system: {structure: h2o, temperature_K: 300}\npotential: sivqlm-h2o\n"
            "integrator: {kind: velocity_verlet, timestep_fs: 0.5}\nsteps: 10\n"
        )
    ).config
    assert config.potential == PackageConfig(kind="package", name="sivqlm-h2o")
    assert (config.potential.backend, config.potential.sha256) == ("native", None)
    assert (config.seed, config.wall_time_h) == (1, None)
    assert config.output.model_dump() == {
        "trajectory_every": 100,
        "log_every": 100,
        "checkpoint_every": 10_000,
        "trajectories": "together",
    }
    assert config.guards.model_dump() == {
        "max_force_eV_per_A": 50.0,
        "max_displacement_A_per_step": 0.1,
        "on_leaving_domain": "stop",
        "on_failure": "stop",
    }
    assert (config.replica, config.replicas, config.threads) == (0, 1, None)


def test_a_config_cannot_be_changed(write):
    config = load_config(write(as_yaml(FULL))).config
    with pytest.raises(ValueError, match="frozen"):
        config.integrator.timestep_fs = 1.0


@pytest.mark.parametrize("path", FULL)
def test_a_misspelt_key_is_named_with_its_line_and_the_right_one(path, write):
    section, _, key = path.rpartition(".")
    middle = len(key) // 2
    wrong_keys = {key[:i] + key[i + 1 :] for i in range(len(key))}
    # `replicas` without its last letter is another key.
    for wrong in {*wrong_keys, key[:middle] + "q" + key[middle + 1 :], f"{key}q"} - FULL.keys():
        where = f"{section}.{wrong}" if section else wrong
        error = refusal(write(as_yaml({where if p == path else p: v for p, v in FULL.items()})))
        assert error.message == (
            f"input.yaml:{line_of(path)}: unknown key '{wrong}'"
            f"{f' in {section}' if section else ''}. Did you mean '{key}'?"
        )


def bad_values(node: dict[str, Any]) -> list[str]:
    """What no number accepts, and the nearest values outside the bounds of this one."""
    bad = [".nan", ".inf", "-.inf", "nan", "-1", "true", "'5'", "1e300", "-1e300", "1e999", "010"]
    bad += ["[1]", "{a: 1}", "9" * 5000, "9" * 90]
    if "maximum" in node:
        bad.append(str(node["maximum"] * 2))
    if "exclusiveMaximum" in node:
        bad.append(str(node["exclusiveMaximum"]))
    if "minimum" not in node or node["minimum"] > 0:
        bad.append("0")
    if node["type"] == "integer":
        bad += ["1.5", "1e19"]
    return bad


@pytest.mark.parametrize("path", numeric_keys())
def test_numbers_out_of_range_or_of_another_kind_are_refused(path, write):
    line = line_of(path)
    for bad in bad_values(numeric_keys()[path]):
        error = refusal(write(as_yaml({**FULL, path: bad})))
        assert re.match(rf"input\.yaml:{line}: (column|{re.escape(path)}: expected)", error.message)
        assert len(error.message) < 250


@pytest.mark.parametrize("path", numeric_keys())
def test_the_bounds_themselves_are_accepted_where_they_are_inclusive(path, write):
    node = numeric_keys()[path]
    bounds = [node[b] for b in ("minimum", "maximum") if b in node]
    for value in [*bounds, *(b - 1 for b in [node.get("exclusiveMaximum")] if b)]:
        load_config(write(as_yaml({**FULL, path: value})))


@pytest.mark.parametrize("path", [p for p, node in schema_keys() if "default" not in node])
def test_a_missing_key_is_named_with_what_is_expected(path, write):
    values = {p: v for p, v in FULL.items() if p != path}
    error = refusal(write(as_yaml(values)))
    assert re.match(rf"input\.yaml(:\d+)?: {re.escape(path)} is missing: expected ", error.message)


@pytest.mark.parametrize("path", FULL)
def test_null_is_refused_unless_the_key_is_optional(path, write):
    text = as_yaml({**FULL, path: "null"})
    optional = "wall_time_h", "potential.sha256", "threads", "system.masses_u", "system.fixed"
    if path in (*optional, "integrator.remove_drift_every"):
        load_config(write(text))
    else:
        assert path in refusal(write(text)).message


@pytest.mark.parametrize(
    "path, value, reason",
    [
        ("steps", "1.5", "expected a whole number >= 1 and <= 1000000000000, got 1.5"),
        ("steps", "true", "got true"),
        ("steps", "1_000", "ambiguous"),
        ("integrator.timestep_fs", "1:30", "> 0 and <= 20, got the text '1:30'"),
        ("integrator.kind", "leapfrog", "expected 'velocity_verlet' or 'langevin_baoab' or"),
        (
            "integrator.temperature_K",
            "hot",
            "temperature_K: expected a number > 0 and <= 100000 or",
        ),
        (
            "integrator.temperature_K",
            "-1",
            "or a mapping with the keys from_K, to_K, steps, got -1",
        ),
        ("integrator.temperature_K", "{from_K: 5, to_K: 9}", "temperature_K.steps is missing: exp"),
        (
            "integrator.temperature_K",
            "{from_K: 0, to_K: 9, steps: 1}",
            "from_K: expected a number >",
        ),
        ("integrator.temperature_K", "{to: 9}", "unknown key 'to' in integrator.temperature_K"),
        (
            "system.fixed",
            "[]",
            "system.fixed must name each fixed atom once, and one atom at least",
        ),
        ("system.fixed", "[1, 1]", "system.fixed must name each fixed atom once"),
        ("system.fixed", "[-1]", "system.fixed.0: expected a whole number >= 0 and < 1000000, got"),
        ("system.fixed", "2", "system.fixed: expected a list or null, got 2"),
        ("guards.on_leaving_domain", "pause", "expected one of 'stop', 'warn', got the text"),
        ("system.structure", "3", "expected text or a mapping with the keys molecule, "),
        ("system.structure", "[h2o]", "seed, placement, got a list of 1"),
        ("potential.sha256", "abc", "expected text of the form [0-9a-f]{64} or null"),
        ("system.exact_temperature", "NO", "expected true or false, got the text 'NO'"),
        ("system.velocities", "zero", "temperature_K has no effect with `velocities: zero`"),
    ],
)
def test_a_wrong_value_says_what_was_expected_and_what_came(path, value, reason, write):
    assert reason in refusal(write(as_yaml({**FULL, path: value}))).message


def test_a_thermal_start_needs_a_temperature_and_no_other_start_takes_one(write):
    system = "potential: p\nintegrator: {kind: velocity_verlet, timestep_fs: 1}\nsteps: 1\nsystem: "
    assert "temperature_K is needed" in refusal(write(system + "{structure: h2o}")).message
    for start in ("zero", "file"):
        load_config(write(system + f"{{structure: h2o, velocities: {start}}}"))
        for extra in ("temperature_K: 0", "exact_temperature: true", "remove_rotation: true"):
            text = system + f"{{structure: h2o, velocities: {start}, {extra}}}"
            assert "has no effect" in refusal(write(text)).message


def test_of_several_faults_the_first_by_line_is_reported_with_the_number_of_others(write):
    text = as_yaml({**FULL, "system.velocities": "hot", "seed": "-1", "steps": "0"})
    error = refusal(write(text))
    assert error.message.startswith("input.yaml:1: steps: expected a whole")
    assert error.message.endswith("(and 2 more)")


def test_a_key_in_the_wrong_section_is_sent_to_the_right_one(write):
    error = refusal(write("timestep_fs: 0.5\n" + as_yaml(FULL)))
    assert "Did you mean 'integrator.timestep_fs'?" in error.message
    error = refusal(write(as_yaml({**FULL, "integrator.kind": "velocity_verlet"})))
    assert "unknown key 'temperature_K' in integrator of this kind" in error.message
    assert error.hint == "keys known here: kind, timestep_fs, remove_drift_every"


BATHS: dict[str, dict[str, Any]] = {
    "velocity_rescaling": {"relaxation_time_fs": 100},
    "nose_hoover_chain": {"relaxation_time_fs": 100, "chain_length": 3},
    "cell_rescaling": {
        "relaxation_time_fs": 100, "pressure_bar": -3.5, "pressure_relaxation_time_fs": 1000,
        "compressibility_per_bar": 4.5e-5, "scaling": "isotropic",
    },
}  # fmt: skip


@pytest.mark.parametrize("kind", BATHS)
def test_the_keys_of_a_bath_have_bounds_and_defaults(kind, write):
    common = {"kind": kind, "timestep_fs": 0.5, "temperature_K": 300, "remove_drift_every": 10}
    rest = {p: v for p, v in FULL.items() if not p.startswith("integrator")}

    def text(keys: dict[str, Any]) -> str:
        return as_yaml({**rest, **{f"integrator.{key}": value for key, value in keys.items()}})

    read = load_config(write(text(common | BATHS[kind]))).config.integrator
    assert read.model_dump() == common | BATHS[kind]
    needed = {"pressure_bar": -3.5} if kind == "cell_rescaling" else {}
    assert load_config(write(text(common | needed))).config.integrator == read
    for key in BATHS[kind].keys() - {"scaling"}:
        for bad in ("-1e9", "'1'", "null"):
            assert (
                f"integrator.{key}: expected"
                in refusal(write(text(common | needed | {key: bad}))).message
            )
    if needed:
        assert "pressure_bar is missing" in refusal(write(text(common))).message
        assert (
            "one of 'isotropic'" in refusal(write(text(common | needed | {"scaling": "x"}))).message
        )


def test_fixed_atoms_have_no_rotation_to_remove(write):
    message = refusal(write(as_yaml({**FULL, "system.remove_rotation": True}))).message
    assert "system.fixed has no overall rotation to remove; remove `remove_rotation`" in message


def test_a_fault_in_a_list_of_sections_is_found(tmp_path):
    class ListConfig(Config):
        terms: list[PackageConfig]

    path = tmp_path / "list.yaml"
    path.write_text("terms:\n- {kind: package, name: a}\n- kind: package\n  nam: b\n")
    with pytest.raises(InputError, match=r"list.yaml:4: unknown key 'nam' in terms.1. Did you"):
        load(path, ListConfig)
    path.write_text("terms:\n- {kind: package, name: a}\n- kind: package\n  name: 3\n")
    with pytest.raises(InputError, match=r"list.yaml:4: terms.1.name: expected text, got 3"):
        load(path, ListConfig)


def test_integral_floats_are_counts_and_durations_are_hours(write):
    loaded = load_config(
        write(as_yaml({**FULL, "steps": "1e6", "seed": "5e2", "wall_time_h": "1:30:00"}))
    )
    assert (loaded.config.steps, loaded.config.seed) == (1_000_000, 500)
    assert type(loaded.config.steps) is int
    assert loaded.config.wall_time_h == 1.5


def test_the_hash_sees_values_and_nothing_else(write):
    digest = load_config(write(as_yaml(FULL))).sha256
    reordered = as_yaml(dict(reversed(FULL.items())))
    assert load_config(write("# comment\n" + reordered)).sha256 == digest
    assert load_config(write(as_yaml({**FULL, "steps": "2e5"}))).sha256 == digest
    for path in numeric_keys():
        assert load_config(write(as_yaml({**FULL, path: 2}))).sha256 != digest


def test_the_resolved_text_loads_back_to_the_same_config(write):
    loaded = load_config(write(as_yaml(FULL)))
    assert RunConfig.model_validate(json.loads(loaded.text)) == loaded.config
    assert load_config(write(loaded.text)).text == loaded.text


OTHER = {
    "system.exact_temperature": "true",
    "system.remove_rotation": "true",
    "system.structure": "'010'",
    "potential.name": "../b.qmdp",
    "potential.backend": "jax",
    "potential.sha256": "cd" * 32,
    "guards.on_leaving_domain": "warn",
    **dict.fromkeys(numeric_keys(), "2"),
}


@pytest.mark.parametrize("path, value", OTHER.items())
def test_setting_a_key_equals_writing_it_in_the_file(path, value, write):
    # JAX and finite shots do not go together, nor do a rotation and fixed atoms.
    full = {k: v for k, v in FULL.items() if value != "jax" or not k.startswith("noise.")}
    if path == "system.remove_rotation":
        del full["system.fixed"]
    edited = load_config(write(as_yaml({**full, path: value})))
    assert load_config(write(as_yaml(full)), [f"{path}={value}"]).text == edited.text


def test_a_setting_may_add_a_section_and_reach_into_a_potential_given_by_name(write):
    text = "system: {structure: h2o, temperature_K: 300}\npotential: sivqlm-h2o\nsteps: 10\n"
    settings = ["integrator.kind=velocity_verlet", "integrator.timestep_fs=0.25"]
    settings += ["potential.backend=jax", "output.log_every=1e1"]
    config = load_config(write(text), settings).config
    assert config.integrator.timestep_fs == 0.25
    assert (config.potential.name, config.potential.backend) == ("sivqlm-h2o", "jax")
    assert config.output.log_every == 10


@pytest.mark.parametrize(
    "setting, reason",
    [
        ("integrator.timestep_f=1", "unknown key 'timestep_f' in integrator. Did you mean 'time"),
        ("timestep_fs=1", "unknown key 'timestep_fs'. Did you mean 'integrator.timestep_fs'?"),
        ("sed=1", "unknown key 'sed'. Did you mean 'seed'?"),
        ("steps", "expected key=value"),
        ("=3", "expected key=value"),
        ("a..b=3", "expected key=value"),
        ("steps=010", "steps: '010' is ambiguous"),
        ("steps=.inf", "steps: '.inf' is not a finite number"),
        ("steps=ten", "steps: expected a whole number >= 1 and <= 1000000000000, got the text"),
        ("seed.x=3", "seed is 1, not a mapping"),
        ("guards=3", "guards: expected a mapping with the keys max_force_eV_per_A"),
        ("integrator={kind: velocity_verlet}", "is a YAML mapping; expected one plain"),
    ],
)
def test_a_wrong_setting_is_refused(setting, reason, write):
    error = refusal(write(as_yaml(FULL)), setting)
    assert error.message.startswith("--set")
    assert reason in error.message


def test_a_key_set_twice_is_refused(write):
    error = refusal(write(as_yaml(FULL)), "steps=1", "steps=2")
    assert error.message == "--set: steps is given twice"


def test_differences_are_listed_and_those_allowed_on_resume_are_left_out(write):
    path = write(as_yaml(FULL))
    old = json.loads(load_config(path).text)
    new = json.loads(
        load_config(
            path, ["integrator.timestep_fs=0.25", "steps=7", "output.log_every=1", "wall_time_h=~"]
        ).text
    )
    assert changed_keys(old, old) == []
    assert changed_keys(old, new) == [
        "integrator.timestep_fs: 0.5 -> 0.25",
        "output.log_every: 100 -> 1",
        "steps: 200000 -> 7",
        "wall_time_h: 23.5 -> null",
    ]
    assert changed_keys(old, new, MAY_CHANGE_ON_RESUME) == ["integrator.timestep_fs: 0.5 -> 0.25"]


def test_a_changed_kind_lists_the_keys_that_came_and_went():
    old = {"integrator": {"kind": "a", "friction_per_ps": 1.0}}
    new = {"integrator": {"kind": "b"}}
    assert changed_keys(old, new) == [
        "integrator.friction_per_ps: 1.0 -> (absent)",
        'integrator.kind: "a" -> "b"',
    ]


def test_only_regular_files_are_read(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "large").write_bytes(b"x" * 11)
    (tmp_path / "link").symlink_to(tmp_path / "large")
    for name, reason in {
        "pipe": "not a regular file",
        ".": "is a directory",
        "absent.yaml": "does not exist",
        "large": "11 bytes; at most 10",
        "nul\0": "cannot be read",
        "x" * 300: "cannot be read",
    }.items():
        with pytest.raises(InputError, match=reason):
            read_regular_file(tmp_path / name, 10)
    assert read_regular_file(tmp_path / "link", 11) == b"x" * 11


def test_a_file_that_is_not_utf8_is_named_with_its_line(tmp_path):
    path = tmp_path / "input.yaml"
    path.write_bytes(b"a: 1\nb: \xb0\n")
    with pytest.raises(InputError, match=r"input.yaml:2: byte 0xb0 is not UTF-8"):
        load_config(path)


def test_the_json_schema_is_valid_and_agrees_with_the_loader(write):
    Draft202012Validator.check_schema(json_schema(RunConfig))
    validator = Draft202012Validator(json_schema(RunConfig))
    assert validator.is_valid(json.loads(load_config(write(as_yaml(FULL))).text))
    for wrong in ("steps=0", "integrator.timestep_f=1", "seed=1.5", "guards.on_leaving_domain=x"):
        key, _, value = wrong.partition("=")
        data = json.loads(load_config("input.yaml").text)
        section = data
        *parents, last = key.split(".")
        for parent in parents:
            section = section[parent]
        section[last] = json.loads(value) if value != "x" else value
        assert not validator.is_valid(data)


def test_every_key_of_the_schema_is_described():
    undescribed = [path for path, node in schema_keys() if not node.get("description")]
    assert undescribed == []


def test_the_template_loads_and_shows_every_key_and_default(write):
    text = template("run")
    loaded = load_config(write(text))
    for path, _ in schema_keys():
        assert re.search(rf"^[# ]*{path.rpartition('.')[2]}: ", text, re.MULTILINE), path
    # The section of the potential that is shown as a comment is valid as well; tests of
    # `qmd validate` try the other kinds.
    text = re.sub(r"^# - .*\n(#    .*\n)*", "", text, flags=re.MULTILINE)
    shown = re.sub(
        r"^# (wall_time_h|potential:|confinement:|noise:|  )",
        r"\1",
        text,
        flags=re.MULTILINE,
    )
    shown = re.sub(r"^potential: s.*\n", "", shown, flags=re.MULTILINE)
    config = load_config(write(shown)).config
    assert config.wall_time_h == 23.5
    assert config.confinement is not None and config.confinement.radius_A == 6.0
    assert config.noise is not None and config.noise.shots == 200_000
    unset = {"wall_time_h": None, "confinement": None, "noise": None}
    assert config.model_copy(update=unset) == loaded.config
    assert text.startswith("# yaml-language-server: $schema=")


def test_errors_are_one_printable_line_with_a_documented_exit_code():
    codes = {error.__name__: error.exit_code for error in QmdError.__subclasses__()}
    assert codes == {
        "InputError": 2,
        "MismatchError": 3,
        "NumericalError": 4,
        "OutputError": 5,
        "CorruptError": 6,
        "StoppedEarly": 75,
    }
    error = InputError("a\nb\x1b[2J\u2028\u202e", hint="c\rd")
    assert (error.message, error.hint) == (r"a\nb\x1b[2J\u2028\u202e", r"c\rd")


def test_errors_survive_the_way_back_from_a_worker_process():
    error = InputError("cause", hint="advice")
    copy = ForkingPickler.loads(ForkingPickler.dumps(error))
    assert (type(copy), copy.message, copy.hint) == (InputError, "cause", "advice")
