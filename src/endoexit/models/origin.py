"""`Origin`: what is known of the weights that a training starts from. No torch: runs keep it."""

from typing import Annotated, Literal

from pydantic import Field

from endoexit.documents import Record

Interpolation = Literal["bilinear", "bicubic"]
_Positive = Annotated[float, Field(gt=0)]


class Origin(Record):
    """Where starting weights come from, and the images that they were trained with.

    Attributes:
        source: Source as the user named it: `pip:lite0`, or a file.
        sha256: SHA-256 of the file; None where a library fetched it.
        origin: Who trained the weights, and on what.
        licence: Licence of the weights.
        size: Side in pixels of the images; None where the source does not say.
        mean: Mean of the normalisation, on a scale of 0 to 1; None where it is not known.
        std: Standard deviation of the normalisation.
        interpolation: Interpolation that the images were resized with.
        read: Number of tensors that were read.
        left_out: Names of tensors in the file that the network has no place for.
        fresh: Names of tensors of the network that the file does not give.
    """

    source: str
    sha256: str | None = None
    origin: str = "not stated"
    licence: str = "not stated"
    size: int | None = None
    mean: tuple[float, float, float] | None = None
    std: tuple[_Positive, _Positive, _Positive] | None = None
    interpolation: Interpolation | None = None
    read: int = 0
    left_out: tuple[str, ...] = ()
    fresh: tuple[str, ...] = ()

    def lines(self) -> list[tuple[str, str]]:
        """Return name and value of each fact, for cards and reports."""
        facts = [
            ("starting weights", f"{self.source}, SHA-256 {self.sha256 or 'unknown'}"),
            ("their origin", self.origin),
            ("their licence", self.licence),
        ]
        images = []
        if self.size is not None:
            images.append(f"{self.size}×{self.size} pixels")
        if self.mean is not None and self.std is not None:
            images.append(f"mean {_numbers(self.mean)}, deviation {_numbers(self.std)}")
        if self.interpolation is not None:
            images.append(self.interpolation)
        if images:
            facts.append(("their images", ", ".join(images)))
        facts.append(("read of them", f"{self.read} tensors{self._left_out()}"))
        return facts

    def _left_out(self) -> str:
        return f"; left out: {', '.join(self.left_out)}" if self.left_out else ""


def _numbers(values: tuple[float, ...]) -> str:
    return " ".join(f"{value:g}" for value in values)
