"""Decoding: what comes in, what comes out, and what each refusal says."""

import io
import subprocess
import sys
import threading
import time
import warnings
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from endoexit.errors import ImageError
from endoexit.images.decode import decoder, read_image
from endoexit.images.preprocessing import Preprocessing
from image_bytes import encode, png


def smooth_scene(width: int = 1280, height: int = 1024) -> Image.Image:
    """Detail at every scale from 8 to 256 cells, like a mucosa seen close."""
    generator = np.random.default_rng(0)
    field = np.full((height, width), 120.0)
    for cells, strength in ((8, 30), (32, 15), (128, 10), (256, 8)):
        noise = Image.fromarray(generator.normal(size=(cells, cells)).astype(np.float32))
        field += strength * np.asarray(noise.resize((width, height), Image.Resampling.BICUBIC))
    planes = [np.clip(field * tint, 0, 255).astype(np.uint8) for tint in (1.2, 0.8, 0.7)]
    return Image.fromarray(np.stack(planes, axis=-1))


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


def test_32_bit_values_are_refused() -> None:
    for kind in (np.int32, np.float32):
        data = encode(Image.fromarray(np.ones((16, 16), kind)), "TIFF")
        with pytest.raises(ImageError, match=r"32-bit (signed|float).*convert it to 8 or 16 bits"):
            read_image(data)


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
