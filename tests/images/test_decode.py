"""Decoding: what comes in, what comes out, and what each refusal says."""

import io
import struct
import subprocess
import sys
import threading
import time
import warnings
import zlib
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError

from endoexit.errors import DataError, ImageError
from endoexit.images.decode import decoder, read_image
from endoexit.images.preprocessing import Preprocessing
from endoexit.images.refusals import MAX_PIXELS, MIN_SIDE


def encode(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def smooth_scene(width: int = 1280, height: int = 1024) -> Image.Image:
    """Detail at every scale from 8 to 256 cells, like a mucosa seen close."""
    generator = np.random.default_rng(0)
    field = np.full((height, width), 120.0)
    for cells, strength in ((8, 30), (32, 15), (128, 10), (256, 8)):
        noise = Image.fromarray(generator.normal(size=(cells, cells)).astype(np.float32))
        field += strength * np.asarray(noise.resize((width, height), Image.Resampling.BICUBIC))
    planes = [np.clip(field * tint, 0, 255).astype(np.uint8) for tint in (1.2, 0.8, 0.7)]
    return Image.fromarray(np.stack(planes, axis=-1))


def png(width: int, height: int, bits: int, colour: int, rows: bytes = b"") -> bytes:
    """Write a PNG by hand, for what Pillow does not write itself."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        check = zlib.crc32(kind + body)
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", check)

    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    parts = (chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


@pytest.fixture
def corners() -> Image.Image:
    """24×16, each quarter another colour, so that every turn and mirror shows."""
    pixels = np.zeros((16, 24, 3), np.uint8)
    pixels[:8, :12] = (255, 0, 0)
    pixels[:8, 12:] = (0, 255, 0)
    pixels[8:, :12] = (0, 0, 255)
    pixels[8:, 12:] = (255, 255, 0)
    return Image.fromarray(pixels)


# What comes in


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "WEBP"])
def test_every_exif_orientation_comes_out_upright(
    corners: Image.Image, orientation: int, kind: str
) -> None:
    turn = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # the transposes that undo the upright ones
    stored = corners if orientation == 1 else corners.transpose(Image.Transpose(turn[orientation]))
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"JPEG": {"quality": 95, "subsampling": 0}, "WEBP": {"lossless": True}}
    image = read_image(encode(stored, kind, exif=exif, **options.get(kind, {})))
    difference = np.abs(image.astype(int) - np.asarray(corners).astype(int))
    assert image.shape == (16, 24, 3)
    assert difference.max() <= 4


def test_orientation_holds_for_jpegs_decoded_at_reduced_size(corners: Image.Image) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    stored = corners.resize((240, 160)).transpose(Image.Transpose.ROTATE_90)
    image = read_image(encode(stored, "JPEG", exif=exif), at_least=40)
    assert image.shape == (40, 60, 3)
    assert image[5, 5].argmax() == 0
    assert image[5, -5].argmax() == 1
    assert image[-5, 5].argmax() == 2


def test_greyscale_and_bilevel_become_rgb() -> None:
    grey = np.arange(256, dtype=np.uint8).reshape(16, 16)
    image = read_image(encode(Image.fromarray(grey)))
    assert np.array_equal(image, np.repeat(grey[..., None], 3, axis=-1))
    bilevel = read_image(encode(Image.fromarray(grey > 127)))
    assert np.array_equal(bilevel[..., 1], np.where(grey > 127, 255, 0))


def test_palette_becomes_its_colours(corners: Image.Image) -> None:
    palette = corners.quantize(4)
    assert palette.mode == "P"
    assert np.array_equal(read_image(encode(palette)), np.asarray(corners))
    assert np.array_equal(read_image(encode(palette, "GIF")), np.asarray(corners))


def test_transparency_is_laid_over_black(corners: Image.Image) -> None:
    layered = corners.copy()
    alpha = np.full((16, 24), 255, np.uint8)
    alpha[:8], alpha[8:, :12] = 0, 128
    layered.putalpha(Image.fromarray(alpha))
    image = read_image(encode(layered))
    assert not image[:8].any()
    assert image[12, 4].tolist() == [0, 0, 128]
    assert image[12, 20].tolist() == [255, 255, 0]


def test_palette_transparency_is_laid_over_black_without_a_warning(corners: Image.Image) -> None:
    palette = corners.quantize(4)
    red = palette.getpixel((0, 0))
    image = read_image(
        encode(palette, transparency=bytes(0 if i == red else 255 for i in range(4)))
    )
    assert not image[:8, :12].any()
    assert image[0, 20].tolist() == [0, 255, 0]


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bit_grey_is_scaled_and_not_clipped(kind: str) -> None:
    values = np.linspace(0, 65535, 256).round().astype(np.uint16).reshape(16, 16)
    image = read_image(encode(Image.fromarray(values), kind))
    expected = np.arange(256).reshape(16, 16)
    assert np.array_equal(image[..., 0], expected)
    assert np.array_equal(image[..., 2], expected)


def test_sixteen_bit_colour_is_scaled_and_not_clipped() -> None:
    ramp = np.linspace(0, 65535, 16).round().astype(">u2")
    row = np.stack([ramp, ramp[::-1], np.full(16, 257 * 100, ">u2")], axis=-1)
    rows = b"".join(b"\0" + row.tobytes() for _ in range(16))
    image = read_image(png(16, 16, 16, 2, rows))
    assert np.abs(image[3, :, 0].astype(int) - np.linspace(0, 255, 16)).max() <= 1
    assert np.array_equal(image[..., 1], image[:, ::-1, 0])
    assert (image[..., 2] == 100).all()


def test_cmyk_jpeg_becomes_rgb(corners: Image.Image) -> None:
    data = encode(corners.convert("CMYK"), "JPEG", quality=95, subsampling=0)
    assert Image.open(io.BytesIO(data)).mode == "CMYK"
    difference = read_image(data).astype(int) - np.asarray(corners)
    assert np.abs(difference).mean() < 4


@pytest.mark.parametrize("kind", ["GIF", "TIFF", "PNG", "WEBP"])
def test_first_of_several_frames_is_read(kind: str) -> None:
    frames = [Image.new("RGB", (16, 12), colour) for colour in ("red", "blue", "lime")]
    options = {"lossless": True} if kind == "WEBP" else {}
    data = encode(frames[0], kind, save_all=True, append_images=frames[1:], **options)
    image = read_image(data)
    assert image.shape == (12, 16, 3)
    assert (image == (255, 0, 0)).all()


def test_result_belongs_to_the_caller(corners: Image.Image) -> None:
    image = read_image(encode(corners))
    image[:] = 7
    assert image.flags.c_contiguous
    assert (image == 7).all()


# Reduced-size decoding


@pytest.mark.parametrize(
    ("at_least", "expected"),
    [(None, 1024), (600, 1024), (512, 512), (400, 512), (224, 256), (128, 128), (16, 128)],
)
def test_jpeg_is_decoded_at_the_smallest_scale_that_suffices(
    at_least: int | None, expected: int
) -> None:
    data = encode(smooth_scene(), "JPEG")
    assert read_image(data, at_least=at_least).shape == (expected, expected * 1280 // 1024, 3)


@pytest.mark.parametrize("size", [128, 224, 256])
@pytest.mark.parametrize("resize", ["stretch", "shorter-side"])
def test_reduced_decoding_stays_within_two_grey_levels(size: int, resize: str) -> None:
    data = encode(smooth_scene(), "JPEG", quality=90)
    preprocessing = Preprocessing.model_validate({"size": size, "resize": resize})
    full = preprocessing.apply(read_image(data)).astype(int)
    reduced = preprocessing.load(data).astype(int)
    assert 0 < np.abs(full - reduced).mean() < 2


def test_reduced_decoding_of_real_images_stays_within_two_grey_levels(real_data: Path) -> None:
    files = sorted((real_data / "otoscopy").rglob("*.jp*g"))[::40]
    assert files
    preprocessing = Preprocessing(size=128)
    for file in files:
        full = preprocessing.apply(read_image(file)).astype(int)
        assert np.abs(full - preprocessing.load(file)).mean() < 2


def test_reduced_decoding_is_faster() -> None:
    data, preprocessing = encode(smooth_scene(), "JPEG"), Preprocessing(size=128)

    def best(work: object) -> float:
        times = []
        for _ in range(7):
            start = time.process_time()
            work()  # type: ignore[operator]
            times.append(time.process_time() - start)
        return min(times)

    full = best(lambda: preprocessing.apply(read_image(data)))
    assert best(lambda: preprocessing.load(data)) < 0.7 * full


# What is refused


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"gone\.jpg does not exist: check the path"):
        read_image(tmp_path / "gone.jpg")
    with pytest.raises(ImageError, match="is not a file: check the path"):
        read_image(tmp_path)


def test_empty_file(tmp_path: Path) -> None:
    (tmp_path / "empty.jpg").touch()
    with pytest.raises(ImageError, match=r"empty\.jpg is empty \(0 bytes\): restore it"):
        read_image(tmp_path / "empty.jpg")
    with pytest.raises(ImageError, match=r"^the image is empty \(0 bytes\)"):
        read_image(b"")


def test_text_named_jpg(tmp_path: Path) -> None:
    (tmp_path / "notes.jpg").write_text("this is not an image\n")
    with pytest.raises(
        ImageError, match=r"notes\.jpg is not an image .*whatever its name"
    ) as caught:
        read_image(tmp_path / "notes.jpg")
    assert "convert it or remove it" in str(caught.value)


def test_formats_that_run_programs_are_not_opened() -> None:
    script = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 20 20\n%%EndComments\nshowpage\n%%EOF\n"
    assert Image.open(io.BytesIO(script)).format == "EPS"
    with pytest.raises(ImageError, match="is not an image that can be read"):
        read_image(script)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "BMP"])
@pytest.mark.parametrize("share", [0.3, 0.7])
def test_truncated_file(kind: str, share: float, tmp_path: Path) -> None:
    data = encode(smooth_scene(160, 128), kind)
    file = tmp_path / "cut.img"
    file.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(ImageError, match=r"cut\.img (is damaged or cut off|is not an image)"):
        read_image(file)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "GIF", "BMP", "JPEG2000", "PPM"])
def test_damaged_bytes_give_an_image_or_an_image_error(kind: str) -> None:
    data = encode(smooth_scene(64, 48), kind)
    generator = np.random.default_rng(0)
    refused = 0
    for _ in range(150):
        damaged = bytearray(data)
        reach = len(data) if generator.random() < 0.5 else min(len(data), 200)  # often the header
        for place in generator.integers(0, reach, 4):
            damaged[place] = generator.integers(256)
        try:
            assert read_image(bytes(damaged), at_least=16).dtype == np.uint8
        except ImageError:
            refused += 1
    assert refused > 5


def test_truncated_jpeg_names_the_remedy(tmp_path: Path) -> None:
    file = tmp_path / "cut.jpg"
    data = encode(smooth_scene(160, 128), "JPEG")
    file.write_bytes(data[: len(data) // 2])
    for at_least in (None, 32):
        with pytest.raises(
            ImageError, match=r"cut\.jpg is damaged or cut off \(.*truncated"
        ) as caught:
            read_image(file, at_least=at_least)
        assert str(caught.value).endswith("copy it again from its source or remove it.")


def test_too_small_image() -> None:
    with pytest.raises(ImageError, match=r"too small \(1×1 pixels, each side needs 8 or more\)"):
        read_image(encode(Image.new("RGB", (1, 1))))
    with pytest.raises(ImageError, match=r"too small \(300×7 pixels"):
        read_image(encode(Image.new("RGB", (300, MIN_SIDE - 1))))
    assert read_image(encode(Image.new("RGB", (300, MIN_SIDE)))).shape == (MIN_SIDE, 300, 3)


@pytest.mark.parametrize(("width", "height"), [(20000, 20000), (12000, 10000), (2**31 - 1, 8)])
def test_bomb_is_refused_by_its_header(width: int, height: int, tmp_path: Path) -> None:
    assert width * height > MAX_PIXELS
    file = tmp_path / "bomb.png"
    file.write_bytes(png(width, height, 8, 2))
    start = time.process_time()
    with pytest.raises(
        ImageError, match="more than 100 megapixels, so it was not decoded"
    ) as caught:
        read_image(file)
    assert time.process_time() - start < 1
    assert "bomb.png is too large" in str(caught.value)
    assert "scale it down or remove it" in str(caught.value)


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak memory in Linux' unit, KiB")
def test_bomb_takes_no_memory(tmp_path: Path) -> None:
    file = tmp_path / "bomb.png"
    file.write_bytes(png(20000, 20000, 8, 2, b"\0" * 100_000))
    script = (
        "import pathlib, resource, sys\n"
        "from endoexit.images.decode import decoder, read_image\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "try:\n    read_image(pathlib.Path(sys.argv[1]))\n"
        "except Exception as error:\n    print(type(error).__name__)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(file)], capture_output=True, text=True, check=True
    )
    name, grown = done.stdout.split()
    assert name == "ImageError"
    assert int(grown) < 20 * 1024  # KiB; the pixels would take 1.2 GB


def test_32_bit_values_are_refused() -> None:
    for kind in (np.int32, np.float32):
        data = encode(Image.fromarray(np.ones((16, 16), kind)), "TIFF")
        with pytest.raises(ImageError, match=r"32-bit (signed|float).*convert it to 8 or 16 bits"):
            read_image(data)


def test_oversized_file_is_not_read(tmp_path: Path) -> None:
    file = tmp_path / "huge.tif"
    with file.open("wb") as stream:
        stream.truncate(2**30)  # sparse: takes no room
    with pytest.raises(ImageError, match=r"huge\.tif is larger than 512 MiB"):
        read_image(file)


# Pillow's warnings


def test_pillow_warnings_stay_inside_and_others_pass() -> None:
    nearly = png(9900, 10000, 1, 0)  # Pillow warns over 89 megapixels; here up to 100 are allowed
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        with pytest.raises(ImageError, match="damaged or cut off"):
            read_image(nearly)
        warnings.warn("mine", stacklevel=1)
    assert [str(warning.message) for warning in seen] == ["mine"]


def test_warning_filters_are_as_before_after_threads() -> None:
    before = list(warnings.filters)
    data = encode(smooth_scene(640, 512), "JPEG")

    def work() -> None:
        for _ in range(20):
            read_image(data)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert list(warnings.filters) == before


# Preprocessing


def test_stretch_keeps_the_whole_image(corners: Image.Image) -> None:
    image = Preprocessing(size=32).apply(np.asarray(corners))
    assert image.shape == (32, 32, 3)
    assert image[2, 2].tolist() == [255, 0, 0]
    assert image[2, -2].tolist() == [0, 255, 0]
    assert image[-2, 2].tolist() == [0, 0, 255]
    assert image[-2, -2].tolist() == [255, 255, 0]


def test_shorter_side_keeps_the_aspect_ratio_and_the_centre() -> None:
    pixels = np.zeros((40, 120, 3), np.uint8)
    pixels[:, 40:80] = 255  # the central square
    image = Preprocessing(size=20, resize="shorter-side").apply(pixels)
    assert image.shape == (20, 20, 3)
    assert (image[:, 1:-1] == 255).all()


@pytest.mark.parametrize("resize", ["stretch", "shorter-side"])
def test_crop_ratio_keeps_that_share_of_the_side(resize: str) -> None:
    pixels = np.zeros((80, 80, 3), np.uint8)
    pixels[20:60, 20:60] = 255  # the central half
    half = Preprocessing.model_validate({"size": 32, "resize": resize, "crop_ratio": 0.5})
    assert (half.apply(pixels)[1:-1, 1:-1] == 255).all()
    whole = Preprocessing.model_validate({"size": 32, "resize": resize})
    assert whole.apply(pixels)[0, 0].tolist() == [0, 0, 0]


def test_resizing_is_antialiased() -> None:
    stripes = np.zeros((256, 256, 3), np.uint8)
    stripes[:, ::2] = 255
    image = Preprocessing(size=64).apply(stripes)
    assert np.abs(image[:, 2:-2].astype(int) - 127.5).max() < 8


def test_image_of_the_right_size_passes_unchanged() -> None:
    image = np.random.default_rng(0).integers(0, 256, (24, 24, 3), dtype=np.uint8)
    assert np.array_equal(Preprocessing(size=24).apply(image), image)


def test_load_takes_files_and_bytes(corners: Image.Image, tmp_path: Path) -> None:
    file = tmp_path / "corners.png"
    corners.save(file)
    preprocessing = Preprocessing(size=16)
    from_file = preprocessing.load(file)
    assert np.array_equal(from_file, preprocessing.load(file.read_bytes()))
    assert np.array_equal(from_file, preprocessing.apply(np.asarray(corners)))


def test_normalise_is_the_formula_and_channels_first() -> None:
    preprocessing = Preprocessing(size=8, mean=(0.5, 0.4, 0.3), std=(0.5, 0.25, 0.2))
    batch = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 3), dtype=np.uint8)
    result = preprocessing.normalise(batch)
    expected = (batch / 255 - np.array(preprocessing.mean)) / np.array(preprocessing.std)
    assert result.dtype == np.float32
    assert result.shape == (3, 3, 8, 8)
    assert result.transpose(0, 2, 3, 1).flags.c_contiguous, "channels last in memory"
    np.testing.assert_allclose(result, expected.transpose(0, 3, 1, 2), atol=1e-5)


def test_arrays_of_another_kind_are_refused() -> None:
    preprocessing = Preprocessing(size=16)
    with pytest.raises(ImageError, match=r"got float32 \(16, 16, 3\): convert it to 8-bit RGB"):
        preprocessing.apply(np.zeros((16, 16, 3), np.float32))  # type: ignore[arg-type]
    with pytest.raises(ImageError, match=r"got uint8 \(16, 16\)"):
        preprocessing.apply(np.zeros((16, 16), np.uint8))
    with pytest.raises(DataError, match=r"\(B, 16, 16, 3\), got uint8 \(2, 8, 8, 3\)"):
        preprocessing.normalise(np.zeros((2, 8, 8, 3), np.uint8))


def test_a_strip_that_would_grow_beyond_all_bounds_is_refused() -> None:
    strip = encode(Image.new("RGB", (20_000, MIN_SIDE)))
    with pytest.raises(ImageError, match=r"too elongated \(20000×8 pixels\).*crop it or remove it"):
        Preprocessing(size=224, resize="shorter-side").load(strip)
    assert Preprocessing(size=224).load(strip).shape == (224, 224, 3)


def test_canvas_stretches_the_whole_image_and_keeps_the_statistics() -> None:
    preprocessing = Preprocessing(size=64, resize="shorter-side", crop_ratio=0.875, mean=(0.4,) * 3)
    assert preprocessing.canvas(96) == Preprocessing(size=96, mean=(0.4, 0.4, 0.4))


def test_fingerprint_covers_all_fields_and_geometry_only_the_pixels() -> None:
    base = Preprocessing()
    variants = [
        Preprocessing(size=128),
        Preprocessing(resize="shorter-side"),
        Preprocessing(crop_ratio=0.875),
        Preprocessing(interpolation="bicubic"),
        Preprocessing(mean=(0.4, 0.5, 0.5)),
        Preprocessing(std=(0.4, 0.5, 0.5)),
    ]
    fields = {"size", "resize", "crop_ratio", "mean", "std", "interpolation"}
    assert set(Preprocessing.model_fields) == fields
    assert len({each.fingerprint() for each in [base, *variants]}) == 7
    assert [each.geometry() == base.geometry() for each in variants] == [False] * 4 + [True] * 2
    again = Preprocessing.model_validate_json(base.model_dump_json())
    assert again.fingerprint() == base.fingerprint()


def test_fingerprints_of_the_first_release_still_hold() -> None:
    # Of the default settings, as version 0.1 wrote them into caches, logits and policies.
    assert Preprocessing().fingerprint()[:16] == "382b54ceb22ea4b7"
    assert Preprocessing().geometry()[:16] == "732b6b42198165d3"


def test_the_interpolation_is_the_one_named() -> None:
    edge = np.zeros((64, 64, 3), np.uint8)
    edge[:, 32:] = 200
    soft, sharp = (
        Preprocessing(size=48, interpolation=name).apply(edge) for name in ("bilinear", "bicubic")
    )
    assert soft.max() == 200
    assert sharp.max() > 200  # a cubic overshoots at an edge
    assert Preprocessing(interpolation="bicubic").canvas(96).interpolation == "bicubic"


def test_fingerprint_covers_the_algorithm(monkeypatch: pytest.MonkeyPatch) -> None:
    before = Preprocessing().fingerprint(), Preprocessing().geometry()
    monkeypatch.setattr("endoexit.images.preprocessing.ALGORITHM_VERSION", 10**6)
    assert Preprocessing().fingerprint() != before[0]
    assert Preprocessing().geometry() != before[1]


@pytest.mark.parametrize(
    "fields",
    [{"size": 7}, {"crop_ratio": 1.5}, {"std": (0, 1, 1)}, {"resize": "squash"}, {"sise": 64},
     {"mean": (float("nan"), 0, 0)}],
)  # fmt: skip
def test_impossible_settings_are_refused(fields: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match=next(iter(fields))):
        Preprocessing.model_validate(fields)


def test_module_does_not_need_torch() -> None:
    script = "import endoexit.images.preprocessing, sys; print('torch' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"


def test_an_error_has_its_fault_without_the_name_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "Doe, Jane.png"
    path.write_bytes(b"")

    with pytest.raises(ImageError) as caught:
        read_image(path)

    assert str(caught.value) == f"{path} {caught.value.fault}"
    assert "Jane" not in caught.value.fault


def test_frames_of_a_file_are_read_by_their_number(tmp_path: Path) -> None:
    greys = (10, 120, 250)
    frames = [Image.new("RGB", (16, 16), (grey,) * 3) for grey in greys]
    path = tmp_path / "pages.tif"
    frames[0].save(path, save_all=True, append_images=frames[1:])

    assert [int(read_image(path, frame=frame)[0, 0, 0]) for frame in range(3)] == list(greys)
    with pytest.raises(ImageError, match=r"pages.tif#3 has no frame 3 \(3 frames.*correct"):
        read_image(path, frame=3)


# The name of the decoder


def test_every_library_that_decodes_is_in_the_name_of_the_decoder(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names = {decoder()}
    for library in ("pillow", "simplejpeg", "tifffile", "imagecodecs"):
        decoder.cache_clear()
        with monkeypatch.context() as patch:
            patch.setattr(
                "endoexit.images.decode.version",
                lambda name, changed=library: "0" if name == changed else version(name),
            )
            names.add(decoder())
    decoder.cache_clear()
    assert len(names) == 5
    with monkeypatch.context() as patch:
        patch.setattr("endoexit.images.decode.DECODER_VERSION", -1)
        assert decoder() not in names
    decoder.cache_clear()


def test_the_decoder_is_no_part_of_the_fingerprint(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ordinary files keep their pixels: policies of earlier releases stay valid."""
    before = Preprocessing().fingerprint(), Preprocessing().geometry()
    monkeypatch.setattr("endoexit.images.decode.DECODER_VERSION", -1)
    assert (Preprocessing().fingerprint(), Preprocessing().geometry()) == before
