"""The document of a bundle: `bundle.json`, sealed with its own hash."""

import json
from typing import Annotated, Any

from pydantic import Field, TypeAdapter, ValidationInfo, field_validator, model_validator

from endoexit.artifacts.source import SourceConfig
from endoexit.documents import Record
from endoexit.files import sha256_bytes
from endoexit.models.state import StateSpec, state_of_shapes
from endoexit.precision import BackendName, NumberFormat, PrecisionText

FORMAT_VERSION = 2

StateShapes = tuple[tuple[tuple[int, ...], ...], ...]


class ExitFacts(Record):
    """Cost of one exit, and its accuracy before and after the export.

    Attributes:
        macs: True multiply-adds of an image, everything before the exit included.
        parameters: True parameters, everything before the exit included.
        accuracy: Accuracy on the calibrate role, as the bundle computes; None without such images.
        accuracy_before: Accuracy of the run in PyTorch at f32 on the same images.
    """

    macs: int
    parameters: int
    accuracy: float | None = None
    accuracy_before: float | None = None


class BundleConfig(SourceConfig):
    """Document of a bundle: `bundle.json` of its folder.

    Attributes:
        backend: Library that runs its stages.
        precision: Number format of the products; see `computes` for the format of the rest.
        exits: Cost and accuracy of each exit, in order.
        state: What each stage hands on. Format 1 kept the shapes only, as `state_shapes`.
        computes: Precisions that the bundle can compute in, the default first.
        float_layers: Layers with weights that int8 left in floating point, such as
            "1.trunk.0.conv", with the number of the stage in front.
        policies: File of the exit policy for each precision, such as "openvino-bf16".
        files: SHA-256 of every other file, by its name relative to the folder.
        run_weights_sha256: SHA-256 of the run's weights file.
        document_sha256: Hash of this document without this field.
    """

    remedy = "Export the run again."
    newest = FORMAT_VERSION

    format_version: Annotated[int, Field(strict=True, ge=1)] = FORMAT_VERSION
    backend: BackendName
    precision: NumberFormat
    exits: Annotated[tuple[ExitFacts, ...], Field(min_length=1)]
    state: StateSpec
    computes: Annotated[tuple[PrecisionText, ...], Field(min_length=1)]
    float_layers: tuple[str, ...] = ()
    policies: dict[str, str] = Field(default_factory=dict)
    files: dict[str, str] = Field(default_factory=dict)
    run_weights_sha256: str
    document_sha256: str = ""

    @model_validator(mode="before")
    @classmethod
    def _of_format_1(cls, document: Any) -> Any:
        if not isinstance(document, dict) or "state_shapes" not in document:
            return document
        rest = {key: value for key, value in document.items() if key != "state_shapes"}
        shapes = TypeAdapter(StateShapes).validate_python(document["state_shapes"])
        return rest | {"state": state_of_shapes(shapes)}

    @field_validator("state")
    @classmethod
    def _one_for_each_exit(cls, state: StateSpec, info: ValidationInfo) -> StateSpec:
        exits = info.data.get("exits", ())  # absent where they do not fit themselves
        if exits and len(state.stages) != len(exits):
            raise ValueError(f"states of {len(state.stages)} stages for {len(exits)} exits")
        return state

    def sealed(self) -> "BundleConfig":
        """Return a copy that carries its own hash."""
        return self.replaced(document_sha256=digest_of(self.values()))


def digest_of(document: dict[str, Any]) -> str:
    """Return the hash of a document without the field that holds it."""
    rest = {key: value for key, value in document.items() if key != "document_sha256"}
    return sha256_bytes(json.dumps(rest, sort_keys=True, ensure_ascii=False).encode())
