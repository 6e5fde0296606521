"""Random changes of training batches, on tensors, with kornia."""

from typing import Any

import kornia.augmentation as kornia
import torch
from torch import Tensor, nn
from torch.nn import functional

from endoexit.training.recipe import AugmentSettings


class Augment(nn.Module):
    """Flip, turn, crop, recolour and erase; each image of a batch in its own way.

    Images are turned at the size of the canvas and made smaller afterwards. Turned at their final
    size they would be blurred, unlike the images that the network sees later, and the first exits,
    which go by texture, would suffer most.

    Args:
        settings: Settings of the recipe.
        sizes: The sides that results can have, pixels.
    """

    def __init__(self, settings: AugmentSettings, sizes: set[int]) -> None:
        super().__init__()
        s = settings
        turns: list[Any] = []
        if s.horizontal_flip:
            turns.append(kornia.RandomHorizontalFlip(p=s.horizontal_flip))
        if s.vertical_flip:
            turns.append(kornia.RandomVerticalFlip(p=s.vertical_flip))
        if s.scale is not None or s.shift:
            shift = (s.shift, s.shift) if s.shift else None
            turns.append(kornia.RandomAffine(s.rotation, shift, s.scale, p=1.0))
        elif s.rotation:
            turns.append(kornia.RandomRotation(s.rotation, p=1.0))
        colours: list[Any] = []
        if s.brightness or s.contrast or s.saturation or s.hue:
            colours.append(kornia.ColorJiggle(s.brightness, s.contrast, s.saturation, s.hue, p=0.8))
        if s.erase:
            colours.append(kornia.RandomErasing(p=s.erase, scale=(0.02, 0.2)))
        self.turns = nn.Sequential(*turns)
        self.crops = nn.ModuleDict({str(size): _crop(size, s) for size in sorted(sizes)})
        self.colours = nn.Sequential(*colours)

    @torch.no_grad()
    def forward(self, images: Tensor, size: int) -> Tensor:
        """Map float images in [0, 1], (B, 3, canvas, canvas), to (B, 3, size, size)."""
        small = self.crops[str(size)](self.turns(images)).clamp(0, 1)
        result: Tensor = self.colours(small)
        return result.clamp(0, 1)


class Shrink(nn.Module):
    """Resize as preprocessing does: bicubic, and antialiased where images become smaller.

    Args:
        size: Side of the result, pixels.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def forward(self, images: Tensor) -> Tensor:
        """Map (B, 3, canvas, canvas) to (B, 3, size, size)."""
        square = (self.size, self.size)
        return functional.interpolate(images, square, mode="bicubic", antialias=True)


def _crop(size: int, settings: AugmentSettings) -> nn.Module:
    if settings.crop_scale == (1.0, 1.0):  # of the canvas as it is, which needs no other ratio
        return Shrink(size)
    crop: nn.Module = kornia.RandomResizedCrop(
        (size, size), scale=settings.crop_scale, ratio=(3 / 4, 4 / 3), cropping_mode="resample"
    )
    return crop


def mixup(alpha: float, *parts: Tensor) -> tuple[Tensor, ...]:
    """Blend each image and its target with another's (Zhang et al. 2018).

    Args:
        alpha: One share λ ~ Beta(α, α) for the batch.
        parts: Tensors (B, …) that are blended alike, such as images (B, 3, H, W) and probabilities
            (B, classes).
    """
    share = float(torch.distributions.Beta(alpha, alpha).sample())
    partners = torch.randperm(len(parts[0]), device=parts[0].device)
    return tuple(share * part + (1 - share) * part[partners] for part in parts)
