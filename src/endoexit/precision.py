"""What a network computes in: backend, number format of its products, number format of the rest."""

import re
from dataclasses import dataclass
from typing import Annotated, Literal, Self, cast

from pydantic import BeforeValidator, PlainSerializer

from endoexit.errors import UsageError

BackendName = Literal["openvino", "onnx", "torch"]
FloatFormat = Literal["f32", "bf16"]
NumberFormat = Literal["f32", "bf16", "int8"]
Device = Literal["cpu", "cuda"]

_TEXT = re.compile(
    r"(?P<backend>openvino|onnx|torch)(?P<device>-cuda)?"
    r"-((?P<plain>f32|bf16)|int8\+(?P<rest>f32|bf16))"
)


@dataclass(frozen=True)
class Precision:
    """What a network computes in; its text, such as "openvino-int8+bf16", is kept in documents.

    Attributes:
        backend: Library that runs the stages.
        products: Number format of the matrix products and convolutions.
        floats: Number format of everything else. Equal to `products` unless these are int8.
        device: Device that computes; its name is in the text unless it is the CPU.

    Raises:
        UsageError: Products and floats do not go together.
    """

    backend: BackendName
    products: NumberFormat
    floats: FloatFormat
    device: Device = "cpu"

    def __post_init__(self) -> None:
        if self.products not in ("int8", self.floats):
            raise UsageError(
                f"products in {self.products} do not go with {self.floats}: only int8 products "
                "leave the rest of a network in another format. Name the same format twice."
            )

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the precision that a text names.

        Raises:
            UsageError: The text names none.
        """
        match = _TEXT.fullmatch(text)
        if match is None:
            raise UsageError(
                f"{text!r} names no precision: write backend and number format, such as "
                "torch-f32, openvino-bf16 or openvino-int8+bf16."
            )
        floats = cast(FloatFormat, match["plain"] or match["rest"])
        return cls(
            cast(BackendName, match["backend"]),
            "int8" if match["rest"] else floats,
            floats,
            "cuda" if match["device"] else "cpu",
        )

    def __str__(self) -> str:
        """Return the text that documents keep."""
        device = "" if self.device == "cpu" else f"-{self.device}"
        numbers = self.floats if self.products == self.floats else f"{self.products}+{self.floats}"
        return f"{self.backend}{device}-{numbers}"


def _parsed(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return Precision.parse(value)
    except UsageError as error:
        raise ValueError(str(error)) from error


PrecisionText = Annotated[
    Precision, BeforeValidator(_parsed), PlainSerializer(str, return_type=str)
]
"""A precision in a document: its text in the file, the value in Python."""
