"""The table of potential families: what each of them promises, and that nothing is left out."""

import dataclasses
import inspect
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from qmd.potentials import LennardJones, families
from qmd.potentials.family import Family

ROOT = Path(__file__).parents[2]
FAMILIES = families.FAMILIES


def named(family: Family[Any]) -> str:
    return family.kind


def test_each_folder_with_a_family_is_in_the_table() -> None:
    folders = {path.parent.name for path in (ROOT / "potentials").glob("*/family.py")}
    assert folders == set(families.FOLDERS)


def test_kinds_and_leaves_are_unique() -> None:
    for names in (
        [family.kind for family in FAMILIES],
        [family.leaf for family in FAMILIES],
    ):
        assert len(set(names)) == len(names)


@pytest.mark.parametrize("family", FAMILIES, ids=named)
def test_what_is_deferred_is_there(family: Family[Any]) -> None:
    for field in dataclasses.fields(Family):
        function = getattr(family, field.name)
        if getattr(function, "__qualname__", "").startswith("deferred "):
            variables = inspect.getclosurevars(function).nonlocals
            module = f"{variables['package']}.{variables['module']}"
            assert callable(
                getattr(sys.modules.get(module) or _imported(module), variables["name"])
            )


def _imported(module: str) -> Any:
    from importlib import import_module

    return import_module(module)


@pytest.mark.parametrize("family", FAMILIES, ids=named)
def test_a_leaf_is_frozen_and_its_form_holds_all_its_fields(family: Family[Any]) -> None:
    assert family.leaf.__dataclass_params__.frozen
    fields = {field.name for field in dataclasses.fields(family.leaf)}
    assert ("parameters" in fields) == (family.parameters is not None)
    if family.kind != "quantum":  # its form is that of the architecture
        variables = inspect.getclosurevars(family.json.read).nonlocals
        stored = {field.attribute for field in variables["listed"]}
        assert stored == fields - {"parameters"}


def test_a_class_without_family_is_refused() -> None:
    class Other(LennardJones):
        pass

    with pytest.raises(TypeError, match="Other is no leaf of a family"):
        families.family_of(Other(2, (0, 1), 1.0, 1.0))
    with pytest.raises(ValueError, match="model 'other' is unknown"):
        families.family_named("other")


def test_the_table_imports_nothing_heavy() -> None:
    code = (
        "import sys; from qmd.potentials import families; assert len(families.FAMILIES) > 1;"
        "print(*sys.modules)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert not {"jax", "pennylane", "numba"} & set(result.stdout.split())
