"""Images as the bytes of files."""

import io
import struct
import subprocess
import sys
import zlib
from pathlib import Path

from PIL import Image


def encode(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def png(width: int, height: int, bits: int, colour: int, rows: bytes = b"") -> bytes:
    """Write a PNG by hand, for what Pillow does not write itself."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        check = zlib.crc32(kind + body)
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", check)

    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    parts = (chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def read_in_a_process(path: Path) -> tuple[str, int]:
    """Read a file in another process; return "read" or the name of its error, and what it took.

    What it took is the growth of the peak memory, in the unit of Linux, KiB.
    """
    script = (
        "import pathlib, resource, sys, tifffile, imagecodecs\n"
        "from endoexit.images.decode import decoder, read_image\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "try:\n    read_image(pathlib.Path(sys.argv[1])); print('read')\n"
        "except Exception as error:\n    print(type(error).__name__)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=True
    )
    outcome, grown = done.stdout.split()
    return outcome, int(grown)
