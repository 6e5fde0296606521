"""`Sheet`: one decoded image at several sizes, as tiles of one square."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

import numpy as np
import numpy.typing as npt
from pydantic import BeforeValidator, Field, SerializeAsAny, model_validator

from endoexit.images.decode import read_at_sizes
from endoexit.images.preprocessing import Preprocessing

_Value = TypeVar("_Value", np.uint8, np.float32)
Place = tuple[int, int]
"""Row and column of the first pixel of a tile."""


def places_of(sides: Sequence[int]) -> tuple[tuple[Place, ...], int]:
    """Return where tiles lie on a sheet, and the side of the sheet.

    They lie in a grid, the largest first, so a sheet of two tiles has the sum of their sides.

    Args:
        sides: Sides of the tiles in pixels, the largest first.
    """
    columns = math.ceil(math.sqrt(len(sides)))
    lefts = [sum(sides[:column]) for column in range(columns)]
    tops = [sum(sides[: row * columns : columns]) for row in range(columns)]
    places = [divmod(number, columns) for number in range(len(sides))]
    return tuple((tops[row], lefts[column]) for row, column in places), sum(sides[:columns])


class Sheet(Preprocessing):
    """Several preprocessings of the same image, for networks that take it at several sizes.

    The image is read once and decoded once. A JPEG that the preprocessings would decode at
    several of its scales is decoded at each of these, so every tile has exactly the pixels that
    its preprocessing alone would give. The rest of the sheet is black. The fields besides `tiles`
    and `size` are those of the largest tile.

    Attributes:
        tiles: Preprocessing of each tile, the largest first.
    """

    tiles: Annotated[tuple[Preprocessing, ...], Field(min_length=2)]

    @classmethod
    def of(cls, tiles: Sequence[Preprocessing]) -> Preprocessing:
        """Return what makes these tiles, each once; one alone needs no sheet."""
        largest_first = sorted(dict.fromkeys(tiles), key=lambda tile: -tile.size)
        if len(largest_first) == 1:
            return largest_first[0]
        side = places_of([tile.size for tile in largest_first])[1]
        fields = largest_first[0].model_dump() | {"size": side}
        return cls(**fields, tiles=tuple(largest_first))

    @model_validator(mode="after")
    def _fits_its_tiles(self) -> "Sheet":
        sides = [tile.size for tile in self.tiles]
        if any(isinstance(tile, Sheet) for tile in self.tiles) or sides != sorted(sides)[::-1]:
            raise ValueError("tiles must be plain and the largest first")
        if self.size != places_of(sides)[1]:
            raise ValueError(f"tiles of {sides} pixels need a sheet of {places_of(sides)[1]}")
        return self

    @property
    def view(self) -> Preprocessing:
        """Preprocessing of the largest tile."""
        return self.tiles[0]

    @property
    def places(self) -> dict[Preprocessing, Place]:
        """Row and column of the first pixel of each tile."""
        return dict(zip(self.tiles, places_of([tile.size for tile in self.tiles])[0], strict=True))

    @property
    def words(self) -> str:
        """The input in words, for cards."""
        return "the same image as " + "; and as ".join(tile.words for tile in self.tiles)

    def apply(self, image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """Make the tiles of an RGB image, uint8 (height, width, 3); return the sheet.

        Raises:
            ImageError: The array has another shape or type, or is too elongated.
        """
        return self._laid_out([tile.apply(image) for tile in self.tiles])

    def _from_source(self, content: Path | bytes, frame: int) -> npt.NDArray[np.uint8]:
        decoded = read_at_sizes(content, [tile.resized_side for tile in self.tiles], frame=frame)
        pairs = zip(self.tiles, decoded, strict=True)
        return self._laid_out([tile.apply(image) for tile, image in pairs])

    def _laid_out(self, squares: list[npt.NDArray[np.uint8]]) -> npt.NDArray[np.uint8]:
        sheet = np.zeros((self.size, self.size, 3), dtype=np.uint8)
        for tile, square in zip(self.tiles, squares, strict=True):
            self._cut(sheet, tile)[:] = square
        return sheet

    def normalise(self, batch: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Normalise each tile of sheets, uint8 (B, S, S, 3), by its numbers; see `Preprocessing`.

        Raises:
            DataError: The batch has another shape or type.
        """
        self.check_batch(batch)
        sheets = np.zeros(batch.shape, dtype=np.float32)
        for tile in self.tiles:
            values = tile.normalise(np.ascontiguousarray(self._cut(batch, tile)))
            self._cut(sheets, tile)[:] = values.transpose(0, 2, 3, 1)
        return sheets.transpose(0, 3, 1, 2)

    def viewed(self, sheet: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """Return the largest tile of a sheet (S, S, 3)."""
        return self._cut(sheet, self.view)

    def _cut(self, sheets: npt.NDArray[_Value], tile: Preprocessing) -> npt.NDArray[_Value]:
        row, column = self.places[tile]
        return sheets[..., row : row + tile.size, column : column + tile.size, :]

    def geometry(self) -> str:
        """Return a SHA-256 over what decides the uint8 pixels of all tiles."""
        return self._digest({"tiles": [tile.geometry() for tile in self.tiles]})

    def fingerprint(self) -> str:
        """Return a SHA-256 over all fields of all tiles."""
        return self._digest({"tiles": [tile.fingerprint() for tile in self.tiles]})


def read_preprocessing(fields: Any) -> Any:
    """Return the fields of a document as a `Sheet` where they are one's, else as they are."""
    return Sheet(**fields) if isinstance(fields, dict) and "tiles" in fields else fields


AnyPreprocessing = Annotated[SerializeAsAny[Preprocessing], BeforeValidator(read_preprocessing)]
"""Way from an image to a network's input, as documents hold it."""
