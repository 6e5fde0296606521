"""Images that no colonoscopy run can know: noise, black frames, and the phantom."""

from pathlib import Path

import numpy as np
from PIL import Image

from endoexit.phantom.render import render_phantom

IMAGES = 64
HEIGHT, WIDTH = 256, 304


def make_foreign(folder: Path, seed: int = 0) -> list[Path]:
    """Write a folder of each kind of foreign image, and return the folders.

    `noise` has uniform noise, from single pixels to blocks of 32. `black frames` have a level of 0
    to 7 and the noise of a sensor. `phantom` has synthetic endoscopy images.

    Args:
        folder: Folder to write into.
        seed: Random seed.
    """
    generator = np.random.default_rng(seed)
    for number in range(IMAGES):
        grain = 2 ** (number % 6)
        blocks = generator.integers(0, 256, (HEIGHT // grain + 1, WIDTH // grain + 1, 3), np.uint8)
        noise = blocks.repeat(grain, 0).repeat(grain, 1)[:HEIGHT, :WIDTH]
        _save(noise, folder / "noise" / f"{number}.png")
        dark = number % 8 + generator.normal(0, number % 4, (HEIGHT, WIDTH, 3))
        _save(dark.clip(0, 255).astype(np.uint8), folder / "black frames" / f"{number}.png")
    phantom = render_phantom(folder / "phantom", IMAGES // 8, 256, seed)
    return [folder / "noise", folder / "black frames", phantom]


def _save(pixels: np.ndarray, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
