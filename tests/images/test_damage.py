"""Damaged files of all formats: an image or an `ImageError`, in bounded time, without a word.

In a process of its own, for a decoder written in C may end the process.
"""

import io
import subprocess
import sys
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image

ROUNDS = 600

CODE = f"""
import pathlib, sys
import numpy as np
from endoexit.errors import ImageError
from endoexit.images.decode import read_image
generator = np.random.default_rng(0)
refused = 0
for path in sorted(pathlib.Path(sys.argv[1]).iterdir()):
    data = path.read_bytes()
    for _ in range({ROUNDS} // int(sys.argv[2])):
        damaged = bytearray(data)
        reach = len(data) if generator.random() < 0.5 else min(len(data), 200)
        for place in generator.integers(0, reach, generator.integers(1, 6)):
            damaged[place] = generator.choice([0, 1, 255, generator.integers(256)])
        if generator.random() < 0.2:
            del damaged[generator.integers(len(data)) :]
        if len(damaged) > 200 and generator.random() < 0.2:  # directories of TIFFs
            damaged[-generator.integers(1, 200)] = generator.integers(256)
        try:
            image = read_image(bytes(damaged), at_least=16)
            assert image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3
        except ImageError as error:
            assert error.kind in ("empty", "not an image", "damaged", "not supported", "refused")
            refused += 1
print(refused)
"""


def files(kind: str) -> dict[str, bytes]:
    """Return small files of one format, in several kinds."""
    generator = np.random.default_rng(0)
    pixels = generator.integers(0, 256, (40, 48, 3), dtype=np.uint8)
    picture = Image.fromarray(pixels)

    def pillow(image: Image.Image, form: str = kind, **options: object) -> bytes:
        stream = io.BytesIO()
        image.save(stream, form, **options)
        return stream.getvalue()

    def tiff(values: np.ndarray, **options: object) -> bytes:
        stream = io.BytesIO()
        tifffile.imwrite(stream, values, metadata=None, **options)
        return stream.getvalue()

    if kind == "TIFF":
        named = {
            name: tiff(
                pixels, photometric="rgb", compression=name, tile=(16, 16) if tiled else None
            )
            for name in (None, "lzw", "deflate", "packbits", "zstd", "lzma")
            for tiled in (False, True)
        }
        return {str(number): data for number, data in enumerate(named.values())} | {
            "jpeg": tiff(pixels, photometric="ycbcr", compression="jpeg"),
            "wide": tiff(pixels.astype(np.uint16) * 257, compression="lzw", predictor=True),
            "planes": tiff(np.moveaxis(pixels, -1, 0), photometric="rgb", planarconfig="separate"),
            "big": tiff(pixels, bigtiff=True),
            "fax": pillow(picture.convert("1"), compression="group4"),
            "ycbcr": pillow(picture.convert("YCbCr"), compression="tiff_lzw"),
            "palette": pillow(picture.convert("P")),
        }
    if kind == "JPEG2000":
        wide = pixels.astype(np.uint16) * 16
        return {
            "eight": pillow(picture),
            "twelve": imagecodecs.jpeg2k_encode(wide, level=0, bitspersample=12, codecformat="jp2"),
        }
    if kind == "PPM":
        return {"rgb": pillow(picture), "plain": b"P3 9 9 300 " + b"300 7 1 " * 81}
    contents = {"rgb": pillow(picture)}
    if kind == "JPEG":
        contents |= {"progressive": pillow(picture, progressive=True),
                     "cmyk": pillow(picture.convert("CMYK")),
                     "grey": pillow(picture.convert("L"))}  # fmt: skip
    if kind == "PNG":
        contents |= {"alpha": pillow(picture.convert("RGBA")),
                     "palette": pillow(picture.convert("P")),
                     "grey": pillow(picture.convert("L"), transparency=7)}  # fmt: skip
    if kind == "BMP":
        contents |= {
            "palette": pillow(picture.convert("P")),
            "alpha": pillow(picture.convert("RGBA")),
        }
    return contents


@pytest.mark.parametrize("kind", ["TIFF", "JPEG", "PNG", "BMP", "JPEG2000", "WEBP", "GIF", "PPM"])
def test_damaged_files_end_in_an_image_or_an_image_error(kind: str, tmp_path: Path) -> None:
    made = files(kind)
    for name, data in made.items():
        (tmp_path / name).write_bytes(data)
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", CODE, str(tmp_path), str(len(made))],
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert int(done.stdout) > 50
