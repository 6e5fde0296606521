"""Changes that happen to endoscopic images: blur, glare, JPEG, light, colour, bubbles, noise.

Five strengths each, after Hendrycks & Dietterich, "Benchmarking Neural Network Robustness to Common
Corruptions and Perturbations" (ICLR 2019), with what an endoscope adds: glare and bubbles. Sizes
are shares of the side of the image, so that a strength looks alike at all sizes.
"""

import io
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

Pixels = NDArray[np.uint8]
Floats = NDArray[np.floating]
Change = Callable[[Floats, float, np.random.Generator], Floats]

STRENGTHS = (1, 2, 3, 4, 5)


def corrupt(images: Pixels, name: str, strength: int, *, first: int = 0, seed: int = 0) -> Pixels:
    """Return changed images.

    What is drawn at random (places of bubbles, direction of a colour cast) depends on the seed, the
    name and the number of the image, and is alike at all strengths.

    Args:
        images: Images (N, S, S, 3).
        name: One of `CORRUPTIONS`.
        strength: 1 (hardly visible) to 5.
        first: Number of the first image in its cohort.
        seed: Random seed.
    """
    change, levels = CORRUPTIONS[name]
    kind = list(CORRUPTIONS).index(name)
    changed = np.empty_like(images)
    for place, image in enumerate(images):
        random = np.random.default_rng([seed, kind, first + place])
        values = change(image.astype(np.float32) / 255, levels[strength - 1], random)
        changed[place] = np.rint(np.clip(values, 0, 1) * 255)
    return changed


def _blur(image: Floats, share: float, _: np.random.Generator) -> Floats:
    """Out of focus, or moved: a Gaussian whose deviation is a share of the side."""
    sigma = share * len(image)
    blurred: Floats = ndimage.gaussian_filter(image, (sigma, sigma, 0))
    return blurred


def _glare(image: Floats, number: float, random: np.random.Generator) -> Floats:
    """Reflections of the lamp on wet mucosa: white ellipses with soft rims."""
    for _ in range(int(number)):
        centre, radii = random.uniform(0.1, 0.9, 2), random.uniform(0.02, 0.07, 2)
        distance = _distance(len(image), centre, radii, random.uniform(0, np.pi))
        image = _over(image, np.clip(3 - 2 * distance, 0, 1), 1.0)
    return image


def _jpeg(image: Floats, quality: float, _: np.random.Generator) -> Floats:
    """Stored or sent at a low quality."""
    stream = io.BytesIO()
    Image.fromarray(np.rint(image * 255).astype(np.uint8)).save(
        stream, "JPEG", quality=int(quality)
    )
    return np.asarray(Image.open(stream), np.float32) / 255


def _brightness(image: Floats, factor: float, random: np.random.Generator) -> Floats:
    """Too little light, or too much: one or the other for each image."""
    return image * (factor if random.random() < 0.5 else 1 / factor)


def _colour(image: Floats, share: float, random: np.random.Generator) -> Floats:
    """Another white balance: channels grow and shrink, their mean gain stays 1."""
    direction = random.normal(size=3)
    direction -= direction.mean()
    gains = 1 + share * direction / np.abs(direction).max()
    cast: Floats = image * gains
    return cast


def _bubbles(image: Floats, number: float, random: np.random.Generator) -> Floats:
    """Foam in front of the lens: pale discs with bright rims."""
    for _ in range(int(number)):
        centre, radius = random.uniform(0, 1, 2), random.uniform(0.03, 0.09)
        distance = _distance(len(image), centre, np.full(2, radius), 0.0)
        image = _over(image, 0.35 * (distance < 1), 0.85)
        image = _over(image, 0.8 * np.exp(-(((distance - 1) / 0.12) ** 2)), 1.0)
    return image


def _noise(image: Floats, sigma: float, random: np.random.Generator) -> Floats:
    """Noise of the sensor in poor light: independent for each value."""
    return image + sigma * random.standard_normal(image.shape, np.float32)


def _distance(side: int, centre: Floats, radii: Floats, turn: float) -> Floats:
    """Return how far each pixel (S, S) is from a centre, in radii of a turned ellipse."""
    down, right = (np.mgrid[:side, :side] + 0.5) / side
    y, x = down - centre[0], right - centre[1]
    along, across = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
    distance: Floats = np.hypot(along / radii[0], across / radii[1])
    return distance


def _over(image: Floats, opacity: Floats, grey: float) -> Floats:
    """Return a grey of some opacity (S, S) laid over an image (S, S, 3)."""
    cover = opacity[:, :, None]
    return image * (1 - cover) + grey * cover


CORRUPTIONS: dict[str, tuple[Change, tuple[float, ...]]] = {
    "blur": (_blur, (0.004, 0.008, 0.014, 0.022, 0.035)),
    "glare": (_glare, (1, 2, 4, 7, 12)),
    "jpeg": (_jpeg, (50, 30, 18, 10, 5)),
    "brightness": (_brightness, (0.8, 0.65, 0.5, 0.38, 0.28)),
    "colour": (_colour, (0.08, 0.16, 0.25, 0.36, 0.5)),
    "bubbles": (_bubbles, (2, 4, 8, 15, 28)),
    "noise": (_noise, (0.02, 0.04, 0.07, 0.11, 0.17)),
}
