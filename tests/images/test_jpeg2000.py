"""JPEG 2000 of every depth, held against arithmetic and another decoder."""

import io
import struct

import imagecodecs
import numpy as np
import pytest

from endoexit.errors import ImageError
from endoexit.images.decode import read_image
from pixel_values import assert_rgb, eight, smooth, values_of


@pytest.mark.parametrize("bits", [1, 2, 4, 7, 8, 9, 10, 12, 15, 16])
@pytest.mark.parametrize("samples", [1, 2, 3, 4])
@pytest.mark.parametrize("codec", ["j2k", "jp2"])
def test_jpeg2000_of_every_depth(bits: int, samples: int, codec: str) -> None:
    values = values_of(bits, samples).astype(np.uint8 if bits <= 8 else np.uint16)
    data = imagecodecs.jpeg2k_encode(
        values[..., 0] if samples == 1 else values,
        level=0, bitspersample=bits, codecformat=codec, reversible=True,
    )  # fmt: skip
    expected = eight(values, 2**bits - 1)
    if samples in {2, 4}:
        expected = expected[..., :-1] * expected[..., -1:] / 255
    assert_rgb(data, expected, tolerance=0.51)


@pytest.mark.parametrize("kind", [np.int8, np.int16, np.uint32])
def test_other_jpeg2000_are_refused_by_name(kind: type) -> None:
    data = imagecodecs.jpeg2k_encode(values_of(6, 1)[..., 0].astype(kind), level=0)
    with pytest.raises(ImageError, match="is a JPEG 2000 of a kind that is not supported"):
        read_image(data)


def test_jpeg2000_is_bounded_by_the_size_that_is_decoded() -> None:
    """The header of the file says another size than that of the data."""
    values = values_of(12, 1)[..., 0].astype(np.uint16)
    data = bytearray(
        imagecodecs.jpeg2k_encode(values, level=0, bitspersample=12, codecformat="jp2")
    )
    struct.pack_into(">2I", data, data.index(b"\xff\x4f\xff\x51") + 8, 60000, 60000)
    with pytest.raises(ImageError, match="more than 100 megapixels, so it was not decoded"):
        read_image(bytes(data))


@pytest.mark.parametrize("bits", [8, 12])
@pytest.mark.parametrize("share", [0.5, 0.9, 0.99])
@pytest.mark.parametrize("end", [b"", b"\xff\xd9"])
def test_jpeg2000_that_is_cut_is_damaged(bits: int, share: float, end: bytes) -> None:
    values = np.asarray(smooth()).astype(np.uint8 if bits == 8 else np.uint16) * 2 ** (bits - 8)
    data = imagecodecs.jpeg2k_encode(
        values, level=0, bitspersample=bits, codecformat="jp2", reversible=True
    )
    with pytest.raises(ImageError, match="is damaged or cut off"):
        read_image(data[: int(len(data) * share)] + end)


def test_jpeg2000_with_losses_agrees_with_openjpeg() -> None:
    stream = io.BytesIO()
    smooth().save(stream, "JPEG2000", irreversible=True, quality_mode="rates", quality_layers=[10])
    expected = imagecodecs.jpeg2k_decode(stream.getvalue())
    assert np.array_equal(read_image(stream.getvalue()), expected)
