"""Parts of a file as one stream: the bytes of a video, wherever they are in it."""

import io
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path

Span = tuple[int, int]


class Spans(io.RawIOBase):
    """The parts of a file one after another, read only.

    Args:
        path: File.
        spans: Position and length of each part in it.
    """

    def __init__(self, path: Path, spans: Sequence[Span]) -> None:
        super().__init__()
        self._file = path.open("rb")
        self._spans = [span for span in spans if span[1] > 0]
        self._begins = [0, *accumulate(length for _, length in self._spans)]
        self._at = 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a position; return it."""
        origin = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._begins[-1]}[whence]
        self._at = max(0, origin + offset)
        return self._at

    def tell(self) -> int:
        """Return the position."""
        return self._at

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes, at most `size` of them; none at the end."""
        end = self._begins[-1]
        wanted = max(0, end - self._at) if size < 0 else max(0, min(size, end - self._at))
        parts = []
        for (start, length), begin in zip(self._spans, self._begins, strict=False):
            if wanted == 0:
                break
            inside = self._at - begin
            if not 0 <= inside < length:
                continue
            self._file.seek(start + inside)
            part = self._file.read(min(wanted, length - inside))
            if not part:  # the file was cut meanwhile
                break
            parts.append(part)
            self._at += len(part)
            wanted -= len(part)
        return b"".join(parts)

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        super().close()
