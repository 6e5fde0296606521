"""What one image is called: a file, and the number of its frame."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Self

MARK = "#"
_NUMBERED = re.compile(r"(.+)#(0|[1-9][0-9]{0,17})", re.DOTALL)


@dataclass(frozen=True, slots=True)
class ImageRef:
    """One image: a still, or one frame of a file that holds several.

    Its text is the path, with `#` and the number of the frame where that is not 0:
    `clip.mp4#120`. A path that ends like that by itself gets its `#0`, so that `parse` always
    returns what was written: the still `scan#3` is `scan#3#0`.

    Attributes:
        path: File that holds the image.
        frame: Number of the frame in the file, from 0; 0 for a still.
    """

    path: Path
    frame: int = 0

    def __str__(self) -> str:
        """Return its text, which `parse` reads."""
        return name_of(str(self.path), self.frame)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the image of a text."""
        path, frame = split_name(text)
        return cls(Path(path), frame)

    def under(self, root: Path) -> Self:
        """Return the same image with its path taken from `root`."""
        return type(self)(root / self.path, self.frame)


def name_of(path: str, frame: int) -> str:
    """Return the text of an image: `clip.mp4#120`, and for a still its path."""
    return f"{path}{MARK}{frame}" if frame or _NUMBERED.fullmatch(path) else path


def split_name(text: str) -> tuple[str, int]:
    """Return path and frame of a text that `name_of` made."""
    numbered = _NUMBERED.fullmatch(text)
    return (numbered[1], int(numbered[2])) if numbered else (text, 0)
