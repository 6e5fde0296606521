"""Standard streams that take whatever is printed: closed, full, or not UTF-8."""

import codecs
import io
import os
import sys
from typing import Any, TextIO

from endoexit.errors import EndoexitError

# Signs that tables and sentences use, as a console without them shows them.
_PLAIN = {
    "×": "x", "–": "-", "—": "-", "−": "-", "…": "...", "≤": "<=", "≥": ">=", "±": "+/-",
    "’": "'", "“": '"', "”": '"', "→": "->", "·": ".",
}  # fmt: skip
_ERRORS = "endoexit.plain"


def standard_input() -> io.BufferedIOBase | None:
    """Return standard input as bytes; None if it is closed.

    It is not the reader of `sys.stdin`: a thread that still waits for input when the program ends
    holds the lock of its reader, and Python would abort at the lock of that one.
    """
    stream: io.BufferedIOBase | None = getattr(sys.stdin, "buffer", None)
    if stream is None:
        return None
    try:
        return open(stream.fileno(), "rb", closefd=False)
    except OSError:  # no file behind it
        return stream


class OutputError(EndoexitError):
    """Standard output takes no more."""


class _Output(io.FileIO):
    """Standard output that reports a full disk as an error for users.

    A closed pipe stays a `BrokenPipeError`: there is no reader to tell.
    """

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except BrokenPipeError:
            raise
        except OSError as error:
            send_to_null(self.fileno())
            raise OutputError(
                f"cannot write to standard output: {error.strerror or error}. Free space, or send "
                "the output elsewhere."
            ) from error


class _Notes(io.FileIO):
    """Standard error that loses what it cannot take: notes must not stop the work."""

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except OSError:
            send_to_null(self.fileno())
            return len(memoryview(data).cast("B"))


def open_standard_streams() -> None:
    """Make the standard streams usable, whatever the caller of the process left there.

    A closed stream becomes the null device. Characters that a console does not have are written in
    a plain form. An output that takes no more raises `OutputError`; messages on standard error are
    lost in that case.
    """
    _fill_closed()
    codecs.register_error(_ERRORS, _in_plain_characters)
    # None: the stream was closed when the process started.
    sys.stdin = sys.stdin or _null("r")
    sys.stdout = _opened(sys.stdout, _Output)
    sys.stderr = _opened(sys.stderr, _Notes)


def send_to_null(number: int) -> None:
    """Connect a file descriptor to the null device: what is still buffered for it is dropped."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, number)
    os.close(null)


def _fill_closed() -> None:
    """Open the closed ones of the descriptors 0, 1 and 2, before another file takes the number."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            # The lowest free number is taken, and those below are in use.
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)


def _opened(stream: TextIO | None, kind: type[io.FileIO]) -> TextIO:
    if stream is None:
        return _null("w")
    if not isinstance(stream, io.TextIOWrapper):
        return stream  # replaced by whoever runs this process
    binary = stream.buffer
    raw = getattr(binary, "raw", binary)  # without buffers (`python -u`) they are the same
    if not isinstance(raw, io.FileIO):  # the console of Windows
        stream.reconfigure(errors=_ERRORS)
        return stream
    stream.flush()
    return io.TextIOWrapper(
        io.BufferedWriter(kind(raw.fileno(), "wb", closefd=False)),
        encoding=stream.encoding,
        errors=_ERRORS,
        line_buffering=stream.line_buffering or stream.write_through,
    )


def _null(mode: str) -> TextIO:
    stream = open(os.devnull, mode, encoding="utf-8")  # noqa: PTH123, SIM115  (kept to the end)
    assert isinstance(stream, io.TextIOWrapper)  # noqa: S101
    return stream


def _in_plain_characters(error: UnicodeError) -> tuple[str, int]:
    """Replace what an encoding lacks: by plain signs, else by a numeric escape."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    missing = error.object[error.start : error.end]
    plain = (_PLAIN.get(c) or c.encode("ascii", "backslashreplace").decode() for c in missing)
    return "".join(plain), error.end
