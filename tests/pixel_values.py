"""Values of pixels at any depth, and what must be read from files that hold them."""

import numpy as np
from PIL import Image

from endoexit.images.decode import read_image

HEIGHT, WIDTH = 19, 21


def generator() -> np.random.Generator:
    """A new generator for each test: its values must not depend on which tests ran before."""
    return np.random.default_rng(0)


def eight(values: np.ndarray, largest: int) -> np.ndarray:
    return np.floor(values.astype(float) * 255 / largest + 0.5).astype(int)


def values_of(bits: int, samples: int) -> np.ndarray:
    values = generator().integers(0, 2**bits, (HEIGHT, WIDTH, samples))
    values[0, :2] = (np.zeros(samples), np.full(samples, 2**bits - 1))
    return values


def rgb(expected: np.ndarray) -> np.ndarray:
    return np.repeat(expected, 3, axis=-1) if expected.shape[-1] == 1 else expected


def assert_rgb(data: bytes, expected: np.ndarray, tolerance: float = 0) -> None:
    image = read_image(data)
    assert image.shape == rgb(expected).shape
    assert np.abs(image.astype(int) - rgb(expected)).max() <= tolerance


def smooth() -> Image.Image:
    cells = Image.fromarray(np.random.default_rng(1).integers(0, 256, (8, 8, 3), dtype=np.uint8))
    return cells.resize((96, 80), Image.Resampling.BICUBIC)
