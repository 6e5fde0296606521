"""The precision of a network as a value and as text."""

import dataclasses

import pytest
from pydantic import BaseModel, ValidationError

from endoexit.errors import UsageError
from endoexit.precision import Precision, PrecisionText

TEXTS = {
    "torch-f32": Precision("torch", "f32", "f32"),
    "torch-bf16": Precision("torch", "bf16", "bf16"),
    "torch-cuda-bf16": Precision("torch", "bf16", "bf16", "cuda"),
    "onnx-int8+f32": Precision("onnx", "int8", "f32"),
    "openvino-int8+bf16": Precision("openvino", "int8", "bf16"),
}


@pytest.mark.parametrize(("text", "value"), TEXTS.items(), ids=list(TEXTS))
def test_a_precision_is_its_text(text, value):
    assert str(value) == text
    assert Precision.parse(text) == value


@pytest.mark.parametrize(
    "text", ["", "f32", "torch", "torch-int8", "torch-f32+bf16", "jax-f32", "torch-f32 ", "a-b-f32"]
)
def test_a_text_that_names_no_precision_is_refused(text):
    with pytest.raises(UsageError, match="names no precision: write backend and number format"):
        Precision.parse(text)


def test_formats_that_do_not_go_together_are_refused():
    with pytest.raises(UsageError, match=r"f32 do not go with bf16.*Name the same format twice"):
        Precision("torch", "f32", "bf16")


def test_a_precision_is_frozen_and_a_key():
    precision = Precision("torch", "f32", "f32")
    with pytest.raises(dataclasses.FrozenInstanceError):
        precision.floats = "bf16"
    assert {precision: 1}[Precision.parse("torch-f32")] == 1


class Document(BaseModel):
    computes: tuple[PrecisionText, ...]


def test_a_document_keeps_the_text():
    document = Document(computes=("openvino-int8+bf16", Precision("torch", "f32", "f32")))
    assert document.computes[0].floats == "bf16"
    assert document.model_dump(mode="json") == {"computes": ["openvino-int8+bf16", "torch-f32"]}
    assert Document.model_validate(document.model_dump(mode="json")) == document
    with pytest.raises(ValidationError, match="names no precision"):
        Document(computes=("torch",))
