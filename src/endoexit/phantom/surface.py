"""The surface that a phantom endoscope looks at: noise, walls, vessels, and how light falls on it.

Everything is drawn on a square canvas a little larger than the round field, in
field coordinates: (0, 0) is the middle of the view, its edge is at distance 1.
"""

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy.ndimage import gaussian_filter

Array = npt.NDArray[np.floating[Any]]
Colour = tuple[float, float, float]

# The canvas reaches this far beyond the field, so that a frame may look past its edge.
MARGIN = 1.15


@dataclass
class Surface:
    """One scene while it is painted.

    Attributes:
        side: Pixels along the canvas.
        difficulty: 0 (plain) to 1 (hard to tell from its neighbour).
        random: The scene's own source of random numbers.
        x: Field coordinate to the right, (side, side).
        y: Field coordinate downwards, (side, side).
        albedo: Colour of the surface, (side, side, 3).
        height: Towards the camera, in field units, (side, side).
        light: Share of the lamp's light that arrives, (side, side).
        gloss: Wetness of the surface, (side, side).
    """

    side: int
    difficulty: float
    random: np.random.Generator
    x: Array = field(init=False)
    y: Array = field(init=False)
    albedo: Array = field(init=False)
    height: Array = field(init=False)
    light: Array = field(init=False)
    gloss: Array = field(init=False)

    def __post_init__(self) -> None:
        axis = np.linspace(-MARGIN, MARGIN, self.side, dtype=np.float32)
        self.x, self.y = np.meshgrid(axis, axis)
        self.albedo = np.ones((self.side, self.side, 3), np.float32)
        self.height = np.zeros_like(self.x)
        self.light = np.ones_like(self.x)
        self.gloss = np.ones_like(self.x)

    def between(self, low: float, high: float) -> float:
        """Return a random number from an interval."""
        return float(self.random.uniform(low, high))

    def eased(self, plain: float, hard: float) -> float:
        """Return the value of a quantity that goes from `plain` to `hard` with the difficulty."""
        return plain + (hard - plain) * self.difficulty

    def place(self, nearest: float, farthest: float) -> tuple[float, float]:
        """Return a random point between two distances from the middle."""
        angle, distance = self.between(0, 2 * math.pi), self.between(nearest, farthest)
        return distance * math.cos(angle), distance * math.sin(angle)

    def noise(self, cells: float, octaves: int = 1) -> Array:
        """Return smooth noise of mean 0 and standard deviation 1 with `cells` bumps across."""
        total = np.zeros_like(self.x)
        for octave in range(octaves):
            count = min(max(round(cells * 2**octave), 2) + 3, self.side)
            grid = Image.fromarray(self.random.standard_normal((count, count)).astype(np.float32))
            smooth = grid.resize((self.side, self.side), Image.Resampling.BICUBIC)
            total += 0.5**octave * np.asarray(smooth)
        total -= total.mean()
        total /= total.std() + 1e-6
        return total

    def tint(self, colour: Colour, amount: Array | float) -> None:
        """Blend the surface's colour towards `colour` by `amount` (0 to 1)."""
        share = np.asarray(amount, np.float32)[..., None]
        self.albedo += (np.array(colour, np.float32) - self.albedo) * share

    def polar(self, centre: tuple[float, float], stretch: float = 1.0) -> tuple[Array, Array]:
        """Return distance and angle from a point; `stretch` > 1 makes circles into ellipses."""
        turn = self.between(0, math.pi)
        cosine, sine = math.cos(turn), math.sin(turn)
        across, down = self.x - centre[0], self.y - centre[1]
        along = (across * cosine + down * sine) / stretch
        beside = -across * sine + down * cosine
        return np.hypot(along, beside), np.arctan2(beside, along)

    def wobble(self, angle: Array, low: int, high: int) -> Array:
        """Return a random closed curve: waves `low` to `high` of the angle, of order 1 together."""
        weights = np.arange(1, high - low + 2) ** -0.7
        weights *= self.random.normal(size=len(weights)) / np.linalg.norm(weights)
        phases = self.random.uniform(0, 2 * math.pi, len(weights))
        total = np.zeros_like(angle)
        for wave, weight, phase in zip(range(low, high + 1), weights, phases, strict=True):
            total += np.float32(weight) * np.cos(wave * angle + np.float32(phase))
        return total


def step(value: Array, width: float) -> Array:
    """Return a soft step: 0 below −width, 1 above +width."""
    ramp = np.clip(value / (2 * width) + 0.5, 0, 1)
    return np.asarray(ramp * ramp * (3 - 2 * ramp))


def paint_mucosa(surface: Surface, colour: Colour, redness: float) -> None:
    """Lay the ground: one colour, mottled pink to red, with fine pits."""
    surface.albedo[:] = np.array(colour, np.float32)
    red = np.array(colour, np.float32) * np.array([0.92, 0.62, 0.6], np.float32)
    mottle = step(surface.noise(4, 3), 2.0)
    share = (redness * mottle)[..., None]
    surface.albedo += (red - surface.albedo) * share
    surface.albedo *= 1 + 0.035 * surface.noise(40)[..., None]
    surface.height += 0.035 * surface.noise(2.5) + 0.006 * surface.noise(7, 2)
    surface.height += 0.0012 * surface.noise(45)


def paint_vessels(surface: Surface, strength: float, cells: float = 5) -> None:
    """Draw a branching net: the curves along which two noises change their sign."""
    for scale, share, width in ((cells, 0.75, 0.07), (2.4 * cells, 0.45, 0.11)):
        calibre = width * (1 + 0.5 * surface.noise(3))
        ridge = np.exp(-((surface.noise(scale, 2) / np.clip(calibre, 0.3 * width, None)) ** 2))
        fade = step(surface.noise(4) + 0.1, 1.1)
        surface.tint((0.52, 0.13, 0.11), strength * share * ridge * fade)


def carve_tube(
    surface: Surface, centre: tuple[float, float], radius: float, folds: float, corners: int
) -> Array:
    """Shape the wall of a hollow organ that recedes towards a dark lumen; return its distance map.

    Light falls off with the square of the distance: r² / (r² + radius²) at distance r
    from the lumen's middle. Folds follow each other on a logarithmic scale, each
    bright at its lip and dark behind it.

    Args:
        surface: Surface to shape.
        centre: Middle of the lumen.
        radius: Distance at which half of the light arrives.
        folds: Contrast of the folds, 0 to 1.
        corners: 3 gives the triangular folds of the colon, 0 round ones.
    """
    distance, angle = surface.polar(centre, surface.between(1.0, 1.25))
    shape = 1 + 0.10 * surface.wobble(angle, 1, 3) + 0.05 * surface.noise(3)
    if corners:
        shape += 0.10 * np.cos(corners * angle + surface.between(0, 2 * math.pi))
    distance = distance * np.clip(shape, 0.5, 1.6) + 1e-3
    surface.light *= 0.04 + 0.96 * distance**2 / (distance**2 + radius**2)
    if folds > 0:
        turns = np.log(distance) * surface.between(1.1, 1.6) + surface.between(0, 1)
        turns += 0.14 * surface.wobble(angle, 1, 3)
        phase = turns - np.floor(turns)
        lip = 0.6 * np.exp(-6 * phase) - 1.1 * phase**4
        lip *= 1 - step(phase - 0.97, 0.03)
        around = np.clip(0.75 + 0.5 * surface.wobble(angle, 1, 2), 0, 1)
        surface.light *= 1 + folds * lip * around * step(distance - 0.08, 0.08)
    return np.asarray(distance)


def shade(surface: Surface, lamp: tuple[float, float], glare: float) -> Array:
    """Return the lit scene as RGB (side, side, 3), 0 to about 1.

    Lambert's law for a lamp next to the camera, and mirror-like highlights where
    the wet surface faces it.
    """
    scale = surface.side / (2 * MARGIN)
    down, right = np.gradient(surface.height * scale)
    toward_x, toward_y = lamp[0] - 0.45 * surface.x, lamp[1] - 0.45 * surface.y
    norm = np.sqrt(1 + right**2 + down**2)
    facing = (1 - right * toward_x - down * toward_y) / norm
    diffuse = np.clip(0.3 + 0.7 * facing, 0.25, 1.5)
    # The sensor's shoulder: what is twice as bright does not get twice as white.
    exposure = surface.light * diffuse * (1 + 0.5 * (lamp[0] * surface.x + lamp[1] * surface.y))
    lit = surface.albedo * (1.25 * (1 - np.exp(-1.5 * exposure)))[..., None]
    # A mirror of the lamp: only where the slope, ripples of the wet film included, points to it.
    film_x = right - 0.5 * toward_x + 0.35 * surface.noise(18, 2)
    film_y = down - 0.5 * toward_y + 0.35 * surface.noise(18, 2)
    wet = step(0.01 + 0.12 * glare + 0.05 * surface.noise(3) - np.hypot(film_x, film_y), 0.04)
    wet *= surface.gloss * np.clip(1.6 * surface.light - 0.3, 0, 1)
    bloom = np.clip(wet + 0.6 * gaussian_filter(wet, surface.side / 100), 0, 1)
    return np.asarray(lit + (1 - np.minimum(lit, 1)) * bloom[..., None], np.float32)
