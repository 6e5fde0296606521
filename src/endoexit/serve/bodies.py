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
IMAGES = frozenset(f"image/{kind}" for kind in _KINDS.split())


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
    """Return the bytes of the images of a body. Names of files are not looked at.

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
    files: list[bytearray] = []
    ended = []

    def begin() -> None:
        if len(files) == limits.files:
            raise Problem("form.too_many", limit=("files", limits.files))
        files.append(bytearray())

    def data(content: bytes, start: int, end: int) -> None:
        files[-1] += content[start:end]

    try:
        parser = MultipartParser(
            boundary,
            {"on_part_begin": begin, "on_part_data": data, "on_end": lambda: ended.append(True)},
        )
        parser.write(body)
        parser.finalize()
    except FormParserError as error:
        raise Problem("form.invalid") from error
    if not ended:
        raise Problem("form.invalid")
    if not files:
        raise Problem("form.empty")
    return [bytes(file) for file in files]
