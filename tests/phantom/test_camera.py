"""The phantom's camera: moving, brightening and framing a scene."""

from dataclasses import replace

import numpy as np
import pytest

from endoexit.phantom.camera import Device, Frame, capture
from endoexit.phantom.surface import MARGIN

SIZE = 100
PLAIN = Device(radius=1.0, cut=(1.0, 1.0), balance=(1.0, 1.0, 1.0), noise=0.0, inset=False)
STILL = Frame(shift=(0.0, 0.0), zoom=1.0, brightness=1.0, blur=0.0)


def picture(device: Device = PLAIN, frame: Frame = STILL, seed: int = 0) -> np.ndarray:
    """Photograph a grey scene with a bright square in its middle."""
    side = round(SIZE * MARGIN)
    scene = np.full((side, side, 3), 0.3, np.float32)
    middle = slice(side // 2 - 6, side // 2 + 6)
    scene[middle, middle] = 0.9
    return capture(scene, device, frame, SIZE, np.random.default_rng(seed))


def centre_of_square(pixels: np.ndarray) -> tuple[float, float]:
    rows, columns = np.nonzero(pixels[..., 0] > 150)
    return float(columns.mean()), float(rows.mean())


def test_round_field_is_black_outside() -> None:
    pixels = picture()
    axis = np.linspace(-1, 1, SIZE)
    distance = np.hypot(*np.meshgrid(axis, axis))
    assert pixels.shape == (SIZE, SIZE, 3)
    assert pixels.dtype == np.uint8
    assert not pixels[distance > 1.02].any()
    assert pixels[distance < 0.98].min() > 20


def test_straight_sides_cut_the_field() -> None:
    pixels = picture(replace(PLAIN, cut=(0.8, 0.9)))
    assert not pixels[SIZE // 2, : SIZE // 10 - 1].any()
    assert not pixels[: SIZE // 20 - 1, SIZE // 2].any()
    assert pixels[SIZE // 2, SIZE // 10 + 2].all()


def test_shift_and_zoom_move_the_view() -> None:
    across, down = centre_of_square(picture())
    assert (across, down) == pytest.approx((49.5, 49.5), abs=1)
    moved = centre_of_square(picture(frame=replace(STILL, shift=(0.1, -0.06))))
    assert moved == pytest.approx((across - 5, down + 3), abs=0.6)
    near = np.sum(picture(frame=replace(STILL, zoom=1.5))[..., 0] > 150)
    assert near / np.sum(picture()[..., 0] > 150) == pytest.approx(1.5**2, rel=0.25)


def test_brightness_balance_and_vignette() -> None:
    plain = picture().astype(float)
    dim = picture(frame=replace(STILL, brightness=0.5)).astype(float)
    assert dim[50, 30] == pytest.approx(plain[50, 30] / 2, abs=1)
    warm = picture(replace(PLAIN, balance=(1.2, 1.0, 0.8))).astype(float)
    assert warm[50, 30] == pytest.approx(plain[50, 30] * [1.2, 1.0, 0.8], abs=1)
    assert plain[50, 4, 0] < 0.8 * plain[50, 30, 0]


def test_blur_softens_the_edge() -> None:
    sharp, soft = picture(), picture(frame=replace(STILL, blur=0.05))
    assert (
        np.abs(np.diff(soft[50, 30:70, 0].astype(int))).max()
        < 0.4 * np.abs(np.diff(sharp[50, 30:70, 0].astype(int))).max()
    )


def test_noise_has_the_devices_strength() -> None:
    noisy = picture(replace(PLAIN, noise=0.02), seed=1).astype(float) - picture()
    assert noisy[35:40, 20:80].std() == pytest.approx(0.02 * 255, rel=0.2)


def test_inset_fills_the_lower_left_corner_only() -> None:
    changed = (picture(replace(PLAIN, inset=True)) != picture()).any(-1)
    assert changed[80:, :20].all()
    assert not changed[:70].any()
    assert not changed[:, 35:].any()


def test_next_frame_is_close_and_not_the_same() -> None:
    random = np.random.default_rng(0)
    frame = Frame.first(0.5, random)
    for _ in range(50):
        after = frame.next(random)
        assert after != frame
        assert np.hypot(after.shift[0] - frame.shift[0], after.shift[1] - frame.shift[1]) < 0.03
        assert after.brightness == pytest.approx(frame.brightness, rel=0.051)


def test_hard_scenes_are_blurred_and_darker() -> None:
    plain = [Frame.first(0, np.random.default_rng(seed)) for seed in range(50)]
    hard = [Frame.first(1, np.random.default_rng(seed)) for seed in range(50)]
    assert np.mean([f.blur for f in hard]) > 1.5 * np.mean([f.blur for f in plain])
    assert np.mean([f.brightness for f in hard]) < np.mean([f.brightness for f in plain])
