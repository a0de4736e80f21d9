"""Schema of the header of a checkpoint; read when a run is resumed, not at every start."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, field_validator

_Step = Annotated[int, Field(ge=0, lt=2**62)]
_Replica = Annotated[int, Field(ge=0, lt=2**32)]


class Header(BaseModel):
    """Entries of a header, less `schema` and `arrays`."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    step: _Step
    seed: int = Field(ge=0, lt=2**64)
    replica: _Replica
    outputs: dict[str, dict[str, Any]]
    input_sha256: str
    config: dict[str, Any]
    model_sha256: str
    versions: dict[str, str]
    bath_variables: list[str]
    failures: list[Annotated[list[Any], Field(min_length=3, max_length=3)]]

    @field_validator("failures")
    @classmethod
    def _are_failures(cls, failures: list[list[Any]]) -> list[list[Any]]:
        for failure in failures:
            _FAILURE.validate_python(tuple(failure))
        return failures

    @field_validator("outputs")
    @classmethod
    def _are_outputs(cls, outputs: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        for output in outputs.values():
            _check_output(output, depth=1)
        return outputs


_FAILURE = TypeAdapter(tuple[_Step, _Replica, str], config=ConfigDict(strict=True))
MAX_OUTPUT_DEPTH = 3
"""Levels of an output that consists of several files, such as a trajectory of each replica."""


class _Output(BaseModel):
    """Entries of one file in a checkpoint; more may follow."""

    model_config = ConfigDict(extra="allow", strict=True, allow_inf_nan=False)

    file: str = Field(pattern=r"^[^/\x00]{1,255}$")
    bytes: int = Field(ge=0, lt=2**62)
    blocks: str
    frames: int = Field(0, ge=0, lt=2**62)
    digest: str = ""


def _check_output(output: Any, depth: int) -> None:
    """Raise ValueError unless `output` is what is kept of a file, or of several by their names."""
    if not isinstance(output, dict) or depth > MAX_OUTPUT_DEPTH:
        raise ValueError("an output is no mapping")
    if any(name in output for name in _Output.model_fields):
        _Output.model_validate(output)
        if ("frames" in output) != ("digest" in output):
            raise ValueError("an output has frames or a digest without the other")
        return
    for part in output.values():
        _check_output(part, depth + 1)
