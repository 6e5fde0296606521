"""Bodies of requests, read within limits: one image, or several as a form."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from endoexit.serve.problems import Problem
from endoexit.serve.settings import Limits

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

FORM = "multipart/form-data"
_KINDS = """
    jpeg jpg pjpeg png apng x-png tiff bmp x-ms-bmp x-bmp webp gif jp2 jpx jpm j2k x-jp2
    x-portable-pixmap x-portable-graymap x-portable-bitmap x-portable-anymap
"""
IMAGES = frozenset({*(f"image/{kind}" for kind in _KINDS.split()), "application/dicom"})


class GoneError(Exception):
    """The client has closed the connection."""


def media_type(header: str | None) -> tuple[str, dict[bytes, bytes]]:
    """Return the type of a body, in lower case, and its options.

    Raises:
        Problem: The service does not read this type.
    """
    name, options = parse_options_header(header or "")
    kind = name.decode("latin-1").lower()
    if kind != FORM and kind not in IMAGES:
        raise Problem("type.unknown")
    return kind, options


async def read_body(receive: Receive, limits: Limits) -> bytes:
    """Read a body.

    Raises:
        Problem: It is too large, or does not come in time.
        GoneError: The client has closed the connection.
    """
    body = bytearray()
    try:
        async with asyncio.timeout(limits.body_s):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise GoneError
                body += message.get("body", b"")
                if len(body) > limits.body_bytes:
                    raise Problem("body.too_large", limit=("body_bytes", limits.body_bytes))
                if not message.get("more_body", False):
                    return bytes(body)
    except TimeoutError:
        raise Problem("body.late", limit=("body_s", limits.body_s)) from None


async def until_gone(receive: Receive) -> None:
    """Return when the client closes the connection; its body has been read."""
    while (await receive())["type"] != "http.disconnect":
        pass


def images_of(body: bytes, kind: str, options: dict[bytes, bytes], limits: Limits) -> list[bytes]:
    """Return the bytes of the images of a body. Names of files are not kept.

    Raises:
        Problem: The form does not fit, or an image is too large.
    """
    files = _files(body, options, limits) if kind == FORM else [body]
    if any(len(file) > limits.file_bytes for file in files):
        raise Problem("file.too_large", limit=("file_bytes", limits.file_bytes))
    return files


def _files(body: bytes, options: dict[bytes, bytes], limits: Limits) -> list[bytes]:
    boundary = options.get(b"boundary")
    if not boundary:
        raise Problem("form.invalid")
    parts = _Parts(limits.files)
    try:
        parser = MultipartParser(boundary, parts.callbacks)
        parser.write(body)
        parser.finalize()
    except FormParserError as error:
        raise Problem("form.invalid") from error
    if not parts.ended:
        raise Problem("form.invalid")
    if not parts.files:
        raise Problem("form.empty")
    return [bytes(file) for file in parts.files]


class _Parts:
    """The parts of a form, as the parser finds them.

    Args:
        most: Number of parts that it may have.
    """

    def __init__(self, most: int) -> None:
        self.files: list[bytearray] = []
        self.ended = False
        self._most = most
        self._name = self._value = b""
        self._is_file = False
        self.callbacks: Any = {
            "on_part_begin": self._begin,
            "on_header_field": self._header_name,
            "on_header_value": self._header_value,
            "on_header_end": self._header_end,
            "on_headers_finished": self._headers_end,
            "on_part_data": self._data,
            "on_end": self._end,
        }

    def _begin(self) -> None:
        if len(self.files) == self._most:
            raise Problem("form.too_many", limit=("files", self._most))
        self.files.append(bytearray())
        self._is_file = False

    def _header_name(self, content: bytes, start: int, end: int) -> None:
        self._name += content[start:end]

    def _header_value(self, content: bytes, start: int, end: int) -> None:
        self._value += content[start:end]

    def _header_end(self) -> None:
        if self._name.lower() == b"content-disposition":
            _, options = parse_options_header(self._value)
            self._is_file = options.get(b"name") == b"file"
        self._name = self._value = b""

    def _headers_end(self) -> None:
        if not self._is_file:
            raise Problem("form.field")

    def _data(self, content: bytes, start: int, end: int) -> None:
        self.files[-1] += content[start:end]

    def _end(self) -> None:
        self.ended = True
