"""The phantom's endoscope: what a patient's device and one video frame do to a scene."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw
from scipy.ndimage import gaussian_filter

from endoexit.phantom.surface import MARGIN, Array


@dataclass(frozen=True)
class Device:
    """One patient's examination: its light, its sensor, and the shape of its picture.

    Attributes:
        radius: Radius of the round field, relative to half of the picture.
        cut: Places where straight sides cut the field: left and right, top and bottom; same unit.
        balance: Gain of each colour channel.
        noise: Standard deviation of the sensor's noise, of 1.
        inset: Whether the lower left corner shows the green picture of the scope's position.
    """

    radius: float
    cut: tuple[float, float]
    balance: tuple[float, float, float]
    noise: float
    inset: bool

    @classmethod
    def draw(cls, random: np.random.Generator) -> "Device":
        """Return a random device."""
        red, green, blue = np.exp(random.normal(0, (0.03, 0.06, 0.09)))
        return cls(
            radius=float(random.uniform(0.96, 1.06)),
            cut=(float(random.uniform(0.88, 1.0)), float(random.uniform(0.84, 1.0))),
            balance=(float(red), float(green), float(blue)),
            noise=float(random.uniform(0.006, 0.02)),
            inset=bool(random.random() < 0.2),
        )


@dataclass(frozen=True)
class Frame:
    """One picture of a scene: consecutive ones differ by a little of everything.

    Attributes:
        shift: Distance that the view moved, in field units.
        zoom: Factor by which it is nearer.
        brightness: Gain.
        blur: Standard deviation of the defocus, in field units.
    """

    shift: tuple[float, float]
    zoom: float
    brightness: float
    blur: float

    @classmethod
    def first(cls, difficulty: float, random: np.random.Generator) -> "Frame":
        """Return the first picture of a scene; hard scenes are blurred and darker."""
        blur = random.uniform(0.002, 0.006) + 0.012 * difficulty * random.random()
        brightness = random.uniform(0.88, 1.08) - 0.15 * difficulty * random.random()
        return cls((0.0, 0.0), 1.0, float(brightness), float(blur))

    def next(self, random: np.random.Generator) -> "Frame":
        """Return the picture a moment later."""
        across, down = random.uniform(-0.02, 0.02, 2)
        return Frame(
            shift=(self.shift[0] + float(across), self.shift[1] + float(down)),
            zoom=self.zoom * float(random.uniform(0.995, 1.02)),
            brightness=self.brightness * float(random.uniform(0.95, 1.05)),
            blur=self.blur * float(random.uniform(0.9, 1.2)),
        )


def capture(
    scene: Array, device: Device, frame: Frame, size: int, random: np.random.Generator
) -> npt.NDArray[np.uint8]:
    """Photograph a lit scene.

    Args:
        scene: RGB (side, side, 3), 0 to 1, reaching `MARGIN` field units each way.
        device: The patient's device.
        frame: Which view of the scene.
        size: Side of the picture in pixels.
        random: Source of the noise of the sensor.

    Returns:
        uint8 (size, size, 3), black around the field.
    """
    side = scene.shape[0]
    half = side / (2 * MARGIN) / frame.zoom
    left = side / 2 + frame.shift[0] * side / (2 * MARGIN) - half
    top = side / 2 + frame.shift[1] * side / (2 * MARGIN) - half
    box = (left, top, left + 2 * half, top + 2 * half)
    planes = [
        Image.fromarray(scene[..., channel]).resize((size, size), Image.Resampling.BILINEAR, box)
        for channel in range(3)
    ]
    picture = np.stack([np.asarray(plane) for plane in planes], axis=-1)
    sigma = frame.blur * size / 2
    picture = gaussian_filter(picture, (sigma, sigma, 0))
    axis = np.linspace(-1, 1, size, dtype=np.float32)
    x, y = np.meshgrid(axis, axis)
    distance = np.hypot(x, y)
    picture *= np.array(device.balance, np.float32) * np.float32(frame.brightness)
    picture *= (1 - 0.35 * np.clip(distance, 0, 1) ** 4)[..., None]
    picture += random.normal(0, device.noise, picture.shape).astype(np.float32)
    for inside in (device.radius - distance, device.cut[0] - abs(x), device.cut[1] - abs(y)):
        picture *= np.clip(inside * size / 2 + 0.5, 0, 1)[..., None]
    pixels = (np.clip(picture, 0, 1) * 255).round().astype(np.uint8)
    return _with_inset(pixels, random) if device.inset else pixels


def _with_inset(
    pixels: npt.NDArray[np.uint8], random: np.random.Generator
) -> npt.NDArray[np.uint8]:
    """Draw the green box in the lower left corner that some endoscopes add."""
    image = Image.fromarray(pixels)
    draw = ImageDraw.Draw(image)
    size = image.width
    left, right, top, bottom = 0, round(0.27 * size), round(0.74 * size), size - 1
    draw.rectangle((left, top, right, bottom), fill=(12, 92, 38))
    bends = np.cumsum(random.normal(0, 0.10, 6)) + 0.5
    steps = np.linspace(top + 0.03 * size, bottom - 0.03 * size, 6)
    path = [(left + float(np.clip(bend, 0.1, 0.9)) * (right - left), float(at))
            for bend, at in zip(bends, steps, strict=True)]  # fmt: skip
    draw.line(path, fill=(150, 230, 150), width=max(1, size // 80))
    return np.array(image)
