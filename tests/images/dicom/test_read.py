"""DICOM objects give the pixels that were put in, or one error that says why not."""

import struct
import subprocess
import sys

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from dicom_makers import (
    GOLDEN,
    content,
    dataset,
    encapsulated,
    jpeg,
    picture,
)
from endoexit.errors import ImageError
from endoexit.images.decode import read_image
from endoexit.images.dicom import worker
from endoexit.images.preprocessing import Preprocessing

REFERENCE = "vl-endoscopic-rgb.dcm"
# The largest difference that each compression may make, in grey levels.
PAIRS = {"rle": 0, "jls": 0, "j2k": 0, "jpeg": 8}
SIX = "SC_rgb_rle_2frame.dcm"
COLOUR_BARS = {
    "SC_rgb_rle_16bit_2frame.dcm": 0,
    "SC_rgb_jpeg_gdcm.dcm": 0,
    "SC_rgb_gdcm_KY.dcm": 8,
    "SC_rgb_jls_lossy_line.dcm": 8,
    "SC_rgb_jls_lossy_sample.dcm": 8,
    "SC_rgb_jpeg_dcmtk.dcm": 8,
    "SC_ybr_full_422_uncompressed.dcm": 8,
}


def golden(name: str, frame: int = 0) -> np.ndarray:
    return read_image(GOLDEN / name, frame=frame).astype(int)


@pytest.mark.parametrize(("kind", "levels"), PAIRS.items())
def test_every_compression_of_one_image_gives_its_pixels(kind: str, levels: int) -> None:
    difference = golden(f"vl-endoscopic-{kind}.dcm") - golden(REFERENCE)
    assert (np.abs(difference).max() if levels == 0 else np.abs(difference).mean()) <= levels


@pytest.mark.parametrize(("name", "levels"), COLOUR_BARS.items())
def test_every_kind_of_colour_bars_gives_the_same(name: str, levels: int) -> None:
    difference = np.abs(golden(name) - golden(SIX))
    assert difference.max() <= levels


def test_frames_are_counted_from_0() -> None:
    assert not np.array_equal(golden(SIX, 0), golden(SIX, 1))
    with pytest.raises(ImageError, match=r"has no frame 2 \(2 frames"):
        read_image(GOLDEN / SIX, frame=2)


def test_words_in_a_picture_have_the_colours_that_they_name() -> None:
    """`red`, `green` and `blue` are written in these colours, one below the other."""
    pixels = golden("GDCMJ2K_TextGBR.dcm")
    grey = np.ptp(pixels, axis=2) < 100
    for channel, rows in enumerate((slice(40, 110), slice(140, 220), slice(240, 310))):
        letters = pixels[rows][~grey[rows]]
        assert len(letters) > 100
        assert set(letters.argmax(axis=1).tolist()) == {channel}


def test_a_jpeg_frame_has_the_pixels_of_its_file_at_every_scale() -> None:
    frames = [jpeg(picture(120, 160, seed)) for seed in range(3)]
    made = content(encapsulated(frames, (120, 160)))
    for number, frame in enumerate(frames):
        for side in (None, 60, 30):
            expected = read_image(frame, at_least=side)
            np.testing.assert_array_equal(read_image(made, frame=number, at_least=side), expected)
    square = Preprocessing(size=32)
    np.testing.assert_array_equal(square.load(made, frame=1), square.load(frames[1]))


@pytest.mark.parametrize("header", ["RGB", "YBR_FULL_422"])
def test_the_codestream_says_which_colours_it_has(header: str) -> None:
    """JFIF means YCbCr, whatever the header says."""
    frame = jpeg(picture())
    made = content(encapsulated([frame], (40, 56), PhotometricInterpretation=header))
    np.testing.assert_array_equal(read_image(made), read_image(frame))


def test_the_header_decides_where_the_codestream_says_nothing() -> None:
    """A grey picture whose components are RGB; taken for YCbCr it would be red and blue."""
    pixels = golden("SC_jpeg_no_color_transform.dcm")
    assert pixels.mean() > 240
    assert np.ptp(pixels, axis=2).mean() < 1


def test_bits_are_scaled_and_white_may_be_0() -> None:
    values = np.linspace(0, 4095, 40 * 56).astype("<u2").reshape(40, 56)
    grey = {"SamplesPerPixel": 1, "BitsAllocated": 16, "BitsStored": 12, "HighBit": 11}
    for kind, expected in (
        ("MONOCHROME2", np.rint(values * (255 / 4095))),
        ("MONOCHROME1", 255 - np.rint(values * (255 / 4095))),
    ):
        made = dataset(np.zeros((1, 40, 56, 3), np.uint8), **grey, PixelData=values.tobytes())
        made.PhotometricInterpretation = kind
        pixels = read_image(content(made)).astype(int)
        assert np.abs(pixels - expected[..., None]).max() <= 1


def test_a_palette_gives_its_colours() -> None:
    values = np.arange(40 * 56, dtype=np.uint32).reshape(40, 56) % 256
    made = dataset(np.zeros((1, 40, 56, 3), np.uint8), SamplesPerPixel=1)
    made.PhotometricInterpretation, made.PixelData = "PALETTE COLOR", values.astype("u1").tobytes()
    table = np.random.default_rng(0).integers(0, 256, (3, 256))
    for name, colours in zip(("Red", "Green", "Blue"), table, strict=True):
        setattr(made, f"{name}PaletteColorLookupTableDescriptor", [256, 0, 16])
        words = (colours.astype("<u2") * 257).tobytes()
        setattr(made, f"{name}PaletteColorLookupTableData", words)
    np.testing.assert_array_equal(read_image(content(made)), table.T[values])


@pytest.mark.parametrize(
    ("name", "words"),
    {
        "test-SR.dcm": "another class",
        "lies-65535x65535.dcm": "too large",
        "deflate-48MB-of-zeros.dcm": "not inflated",
        "MR_truncated.dcm": "damaged or cut off|another class",
        "SC_rgb_jpeg.dcm": "damaged or cut off",
        "SC_rgb_small_odd_jpeg.dcm": "too small",
        "video-endoscopic-h264.dcm": "transfer syntax",
    }.items(),
)
def test_what_cannot_be_read_is_one_error(name: str, words: str) -> None:
    with pytest.raises(ImageError, match=words):
        read_image(GOLDEN / name)


def test_an_object_without_pixels_says_so() -> None:
    made = dataset(picture()[None])
    del made.PixelData
    with pytest.raises(ImageError, match="without pixels: leave it out"):
        read_image(content(made))


def test_another_class_is_named_and_an_unknown_one_is_not_shown() -> None:
    for uid, words in (
        ("1.2.840.10008.5.1.4.1.1.2", "CT Image Storage"),
        ("1.2.3.98765", "one that the standard lacks"),
    ):
        with pytest.raises(ImageError, match=words) as raised:
            read_image(content(dataset(picture()[None], SOPClassUID=uid)))
        assert "98765" not in str(raised.value)


def test_an_encrypted_envelope_says_so() -> None:
    with pytest.raises(ImageError, match="an encrypted envelope"):
        read_image(bytes.fromhex("30820100") + bytes.fromhex("06092a864886f70d010703") + bytes(99))


@pytest.mark.parametrize("undefined", [True, False])
def test_deep_nesting_is_refused(undefined: bool) -> None:
    made = dataset(picture()[None])
    inner: Dataset | None = None
    for _ in range(40):
        item = Dataset()
        if inner is not None:
            item.ReferencedSeriesSequence = Sequence([inner])
            item["ReferencedSeriesSequence"].is_undefined_length = undefined
            inner.is_undefined_length_sequence_item = undefined
        inner = item
    made.ReferencedSeriesSequence = Sequence([inner])
    made["ReferencedSeriesSequence"].is_undefined_length = undefined
    with pytest.raises(ImageError, match="more than 32 deep"):
        read_image(content(made))


@pytest.mark.parametrize("frames", [2, 100_000, 10**11])
def test_more_frames_than_data_are_refused(frames: int) -> None:
    for made in (dataset(picture()[None]), encapsulated([jpeg(picture())], (40, 56))):
        made.NumberOfFrames = frames
        with pytest.raises(ImageError, match="frames"):
            read_image(content(made))


def test_an_icon_is_not_taken_for_the_image() -> None:
    made = dataset(picture()[None])
    icon = dataset(np.zeros((1, 16, 16, 3), np.uint8))
    del icon.file_meta
    made.IconImageSequence = Sequence([icon])
    np.testing.assert_array_equal(read_image(content(made)), picture())


def test_a_file_without_preamble_is_read() -> None:
    whole = content(dataset(picture()[None]))
    np.testing.assert_array_equal(read_image(whole[132:]), picture())
    length = struct.unpack_from("<I", whole, 140)[0]
    np.testing.assert_array_equal(read_image(whole[144 + length :]), picture())


def test_the_process_of_the_codecs_is_replaced_after_it_was_killed() -> None:
    expected = golden("vl-endoscopic-j2k.dcm")
    process = worker._shared._process
    assert process is not None
    process.kill()
    process.wait()
    np.testing.assert_array_equal(golden("vl-endoscopic-j2k.dcm"), expected)


def test_without_the_extra_the_error_says_what_to_install() -> None:
    code = (
        "import sys; sys.modules['pydicom'] = None\n"
        "from pathlib import Path\n"
        "from endoexit.images.decode import read_image\n"
        "try: read_image(Path(sys.argv[1]))\n"
        "except Exception as error: print(error)\n"
    )
    path = str(GOLDEN / REFERENCE)
    run = subprocess.run(
        [sys.executable, "-c", code, path], capture_output=True, text=True, check=True
    )
    assert "pip install 'endoexit[dicom]'" in run.stdout


def test_mutated_files_give_pixels_or_one_error() -> None:
    """One to eight bytes are changed, anywhere; the codecs' process may die, this one may not."""
    generator = np.random.default_rng(0)
    names = sorted(path.name for path in GOLDEN.glob("vl-*.dcm"))
    outcomes = set()
    for number in range(240):
        data = bytearray((GOLDEN / names[number % len(names)]).read_bytes())
        first = 128 if number % 2 else len(data) // 3
        for at in generator.integers(first, len(data), generator.integers(1, 9)):
            data[at] = generator.integers(256)
        try:
            assert read_image(bytes(data)).ndim == 3
            outcomes.add("read")
        except ImageError as error:
            outcomes.add(error.kind)
    assert {"read", "damaged"} <= outcomes
