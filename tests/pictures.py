"""Pictures with a known content for tests of audits and splits; each seed gives another."""

from pathlib import Path

import numpy as np
from PIL import Image

from endoexit.data.duplicates import Groups, near_pairs


def picture(seed: int, size: tuple[int, int] = (68, 64)) -> Image.Image:
    """Return a random pattern of 17×16 squares: about 128 bits from any other seed."""
    grey = np.random.default_rng(seed).integers(60, 256, (16, 17), dtype=np.uint8)
    return Image.fromarray(grey).resize(size, Image.Resampling.NEAREST).convert("RGB")


def near_copy(seed: int, rows: int = 2) -> Image.Image:
    """Return `picture(seed)` with two squares swapped in so many rows: one to three bits each."""
    pixels = np.asarray(picture(seed)).copy()
    for row in range(rows):
        line = pixels[4 * row : 4 * row + 4]
        line[:, :8] = np.roll(line[:, :8], 4, axis=1)
    return Image.fromarray(pixels)


def save(image: Image.Image, path: Path) -> Path:
    """Write a picture, as PNG or JPEG by its name, with its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, quality=95)
    return path


def picture_folder(root: Path, counts: dict[str, int], start: int = 0) -> Path:
    """Write so many unlike pictures into a folder for each class; seeds go up from `start`."""
    seed = start
    for label, count in counts.items():
        for number in range(count):
            save(picture(seed), root / label / f"{number}.png")
            seed += 1
    return root


def group_near_copies(hashes: np.ndarray, threshold: int) -> np.ndarray:
    """Return the group of each image, linking hashes (N, 32) at most `threshold` bits apart."""
    groups = Groups(len(hashes))
    for pairs in near_pairs(hashes, threshold):
        groups.add(pairs.first, pairs.second)
    return groups.numbers()
