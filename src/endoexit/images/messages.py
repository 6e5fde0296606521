"""Messages between this process and one that decodes: JSON, then bytes. Nothing is pickled."""

import json
import struct
from typing import IO, Any

_LENGTHS = struct.Struct(">IQ")


def write_message(
    stream: IO[bytes], facts: dict[str, Any], content: bytes | memoryview = b""
) -> None:
    """Write one message.

    Raises:
        OSError: The other process has ended.
    """
    text = json.dumps(facts).encode()
    stream.write(_LENGTHS.pack(len(text), len(content)) + text)
    stream.write(content)
    stream.flush()


def read_message(stream: IO[bytes]) -> tuple[dict[str, Any], bytes] | None:
    """Return the next message; None where the stream ends, in the middle of a message too."""
    head = stream.read(_LENGTHS.size)
    if len(head) < _LENGTHS.size:
        return None
    text_length, length = _LENGTHS.unpack(head)
    text, content = stream.read(text_length), stream.read(length)
    if len(content) < length:
        return None
    return json.loads(text), content
