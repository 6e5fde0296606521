"""The phantom's surface: noise, geometry and light obey what their names say."""

import numpy as np
import pytest

from endoexit.phantom.surface import MARGIN, Surface, carve_tube, paint_vessels, shade, step


def surface(difficulty: float = 0.0, seed: int = 0, side: int = 92) -> Surface:
    return Surface(side, difficulty, np.random.default_rng(seed))


def test_coordinates_reach_the_margin_and_are_zero_in_the_middle() -> None:
    canvas = surface(side=93)
    assert canvas.x[46, 46] == canvas.y[46, 46] == 0
    assert canvas.x[0, -1] == pytest.approx(MARGIN)
    assert canvas.y[-1, 0] == pytest.approx(MARGIN)


@pytest.mark.parametrize("cells", [2, 7, 40])
def test_noise_is_standardised_and_as_fine_as_asked(cells: float) -> None:
    noise = surface(side=184).noise(cells)
    assert noise.mean() == pytest.approx(0, abs=1e-4)
    assert noise.std() == pytest.approx(1, abs=1e-3)
    crossings = np.mean(np.abs(np.diff(np.sign(noise), axis=1)).sum(axis=1) / 2)
    assert 0.25 * cells < crossings < 1.5 * cells + 2


def test_noise_comes_from_the_scenes_own_source() -> None:
    assert np.array_equal(surface(seed=1).noise(5, 2), surface(seed=1).noise(5, 2))
    assert not np.array_equal(surface(seed=1).noise(5, 2), surface(seed=2).noise(5, 2))


def test_wobble_is_closed() -> None:
    angles = np.array([[-np.pi, np.pi]], np.float32)
    curve = surface().wobble(angles, 1, 6)
    assert curve[0, 0] == pytest.approx(curve[0, 1], abs=1e-4)


def test_step_rises_from_0_to_1_within_its_width() -> None:
    values = step(np.array([-1, -0.2, 0, 0.2, 1]), 0.2)
    np.testing.assert_allclose(values, [0, 0, 0.5, 1, 1])


def test_eased_goes_from_plain_to_hard() -> None:
    assert surface(0).eased(3, 1) == 3
    assert surface(1).eased(3, 1) == 1
    assert surface(0.25).eased(3, 1) == 2.5


def test_tint_blends_by_share() -> None:
    canvas = surface()
    canvas.tint((0, 0.5, 1), np.where(canvas.x > 0, 0.5, 0))
    assert canvas.albedo[0, 0].tolist() == [1, 1, 1]
    assert canvas.albedo[0, -1].tolist() == [0.5, 0.75, 1]


def test_lumen_is_dark_and_half_lit_at_its_radius() -> None:
    canvas = surface(side=184)
    distance = carve_tube(canvas, (0.2, -0.1), radius=0.25, folds=0, corners=0)
    assert canvas.light[distance < 0.03].max() < 0.08
    ring = np.abs(distance - 0.25) < 0.01
    np.testing.assert_allclose(canvas.light[ring], 0.04 + 0.96 * 0.5, atol=0.03)
    row, column = np.unravel_index(distance.argmin(), distance.shape)
    assert canvas.x[row, column] == pytest.approx(0.2, abs=0.05)
    assert canvas.y[row, column] == pytest.approx(-0.1, abs=0.05)


def test_folds_add_contrast_along_the_tube() -> None:
    smooth, folded = surface(), surface()
    carve_tube(smooth, (0, 0), 0.25, folds=0, corners=3)
    carve_tube(folded, (0, 0), 0.25, folds=0.8, corners=3)
    assert np.abs(np.diff(folded.light)).max() > 2 * np.abs(np.diff(smooth.light)).max()


def test_vessels_are_thin_dark_and_red() -> None:
    canvas = surface(side=184)
    paint_vessels(canvas, 1.0)
    darkest = canvas.albedo.reshape(-1, 3)[canvas.albedo.sum(-1).argmin()]
    assert darkest[0] > 1.5 * darkest[1]
    assert 0.01 < np.mean(canvas.albedo.sum(-1) < 2.2) < 0.3


@pytest.mark.parametrize(("lamp", "brighter"), [((-0.3, 0.0), 0), ((0.3, 0.0), 1)])
def test_a_mound_is_lit_from_the_lamps_side(lamp: tuple[float, float], brighter: int) -> None:
    canvas = surface(side=184)
    canvas.gloss[:] = 0
    canvas.albedo[:] = 0.5
    canvas.height += 0.4 * np.exp(-(canvas.x**2 + canvas.y**2) / 0.1).astype(np.float32)
    lit = shade(canvas, lamp, glare=0).mean(-1)
    flank = (np.abs(np.abs(canvas.x) - 0.22) < 0.05) & (np.abs(canvas.y) < 0.1)
    sides = [lit[flank & (canvas.x < 0)].mean(), lit[flank & (canvas.x > 0)].mean()]
    assert int(np.argmax(sides)) == brighter
    assert max(sides) > 1.3 * min(sides)


def test_glare_adds_white_and_dry_surfaces_have_none() -> None:
    def white(glare: float, gloss: float) -> float:
        canvas = surface(side=184)
        canvas.gloss[:] = gloss
        canvas.albedo[:] = 0.5
        return float(np.mean(shade(canvas, (0, 0), glare).min(-1) > 0.9))

    assert white(1, 0) == 0
    assert 0 < white(0.3, 1) < white(1, 1) < 0.2
