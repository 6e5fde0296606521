"""Files that no clinic sends on purpose."""

import io
import struct
import zlib

from PIL import Image


def saved(form, frames=1, size=(40, 40)):
    images = [Image.new("RGB", size, (40 * n, 0, 0)) for n in range(frames)]
    content = io.BytesIO()
    more = {"save_all": True, "append_images": images[1:]} if frames > 1 else {}
    images[0].save(content, form, **more)
    return content.getvalue()


def bomb(side):
    """Return a PNG whose header announces side × side pixels, in a few bytes."""

    def chunk(kind, data):
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body
