"""Random changes of batches: sizes, ranges, and that each setting does what its name says."""

import pytest
import torch

from endoexit.training.augment import Augment, mixup
from endoexit.training.recipe import AugmentSettings

CANVAS = 40


def batch(count: int = 4) -> torch.Tensor:
    """Images without symmetry, each a smooth field of its own."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(count, 3, 5, 5, generator=generator)
    return torch.nn.functional.interpolate(coarse, size=CANVAS, mode="bilinear")


def changed(images: torch.Tensor, size: int = 32, **settings: object) -> torch.Tensor:
    augment = Augment(AugmentSettings(**{"horizontal_flip": 0.0} | settings), {24, 32})
    torch.manual_seed(1)
    return augment(images, size)


EVERYTHING = {
    "crop_scale": (0.3, 1.0), "horizontal_flip": 0.5, "vertical_flip": 0.5, "rotation": 30,
    "brightness": 0.3, "contrast": 0.3, "saturation": 0.3, "hue": 0.1, "erase": 0.5,
}  # fmt: skip


@pytest.mark.parametrize("size", [24, 32])
def test_results_have_the_size_asked_for_and_stay_images(size):
    result = changed(batch(), size, **EVERYTHING)
    assert result.shape == (4, 3, size, size)
    assert result.dtype == torch.float32
    assert 0 <= result.min() < result.max() <= 1


def test_the_seed_decides_and_each_image_changes_in_its_own_way():
    same = batch(1).expand(6, -1, -1, -1)
    first = changed(same, **EVERYTHING)
    assert torch.equal(changed(same, **EVERYTHING), first)
    assert len({tuple(image.flatten().tolist()) for image in first}) == 6


def test_flips_mirror():
    whole = {"crop_scale": (1.0, 1.0)}
    plain = changed(batch(), **whole)
    mirrored = changed(batch(), **whole, horizontal_flip=1.0)
    assert torch.allclose(mirrored, plain.flip(-1), atol=1e-5)
    upside_down = changed(batch(), **whole, vertical_flip=1.0)
    assert torch.allclose(upside_down, plain.flip(-2), atol=1e-5)


def test_a_crop_covers_its_share_of_the_canvas():
    # The value of a pixel is its place, so that the spread of a crop tells how much it covers.
    across = torch.linspace(0, 1, CANVAS).expand(3, CANVAS, CANVAS)
    images = across.expand(64, -1, -1, -1)
    for low, high in ((0.2, 0.3), (0.6, 0.7)):
        crops = changed(images, crop_scale=(low, high))
        wide = crops.amax((1, 2, 3)) - crops.amin((1, 2, 3))
        # The ratio of the sides is 3/4 to 4/3, so the width varies around the root of the share.
        assert ((low * 3 / 4) ** 0.5 - 0.06 < wide).all()
        assert (wide < (high * 4 / 3) ** 0.5 + 0.06).all()


def test_rotation_turns_by_no_more_than_its_angle():
    white = torch.ones(32, 3, CANVAS, CANVAS)
    dark = (changed(white, rotation=30) < 0.5).float().mean((1, 2, 3))
    assert dark.max() > 0.05  # corners come from outside of the image
    assert dark.max() < 0.25
    assert (changed(white) > 0.999).all()


def test_images_that_are_turned_stay_as_sharp_as_those_that_are_not():
    generator = torch.Generator().manual_seed(0)
    noise = torch.rand(8, 3, 128, 128, generator=generator)
    whole = {"crop_scale": (1.0, 1.0)}
    turned, plain = (changed(noise, **whole, rotation=angle)[..., 8:24, 8:24] for angle in (45, 0))
    assert turned.std() > 0.85 * plain.std()  # turned at the final size: 0.7


def test_the_whole_canvas_is_only_resized():
    plain = changed(batch(), crop_scale=(1.0, 1.0))
    expected = torch.nn.functional.interpolate(batch(), size=32, mode="bicubic", antialias=True)
    assert torch.equal(plain, expected.clamp(0, 1))
    assert (changed(batch()) - expected).abs().mean() > 0.05  # a crop would differ so much


def test_images_are_magnified_and_shifted_within_their_bounds():
    # A disc of radius a quarter: its area tells the magnification, its centre the shift.
    axis = torch.linspace(-1, 1, CANVAS)
    disc = (axis[:, None] ** 2 + axis[None, :] ** 2 < 0.25).float().expand(64, 3, -1, -1)
    whole = {"crop_scale": (1.0, 1.0), "rotation": 180}
    plain = changed(disc[:1], **whole).mean()
    areas = (changed(disc, scale=(0.8, 1.2), **whole).mean((1, 2, 3)) / plain).sqrt()
    assert areas.min() > 0.75
    assert areas.max() < 1.25
    assert areas.std() > 0.05
    moved = changed(disc, shift=0.1, **whole)[:, 0]
    centres = (moved.sum(1) * torch.linspace(0, 1, 32)).sum(1) / moved.sum((1, 2)) - 0.5
    assert 0.05 < centres.abs().max() < 0.11


def test_colours_change_only_where_asked():
    grey = torch.full((32, 3, CANVAS, CANVAS), 0.5)
    assert torch.allclose(changed(grey), grey[:, :, :32, :32], atol=1e-5)
    means = changed(grey, brightness=0.2).mean((1, 2, 3))
    assert means.std() > 0.02
    assert (means - 0.5).abs().max() <= 0.2 + 1e-5


def test_erasing_takes_a_rectangle_of_a_twentieth_to_a_fifth():
    gone = changed(torch.ones(32, 3, CANVAS, CANVAS), erase=1.0) == 0
    share = gone.float().mean((1, 2, 3))
    assert (share > 0.01).all()
    assert (share < 0.25).all()


def test_mixup_blends_images_and_targets_alike():
    torch.manual_seed(0)
    target = torch.eye(5)
    images = torch.arange(5.0).view(5, 1, 1, 1).expand(-1, 3, 2, 2)
    mixed, soft = mixup(1.0, images, target)
    assert torch.allclose(soft.sum(1), torch.ones(5))
    assert torch.allclose(mixed[:, 0, 0, 0], soft @ torch.arange(5.0))
    assert not torch.equal(mixed, images)
