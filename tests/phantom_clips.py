"""Clips of the phantom for tests: pictures whose true labels are known."""

import functools

import numpy as np

from endoexit.phantom.camera import Device, Frame, capture
from endoexit.phantom.findings import PAINTERS
from endoexit.phantom.surface import MARGIN, Surface, shade

SIDE = 160


@functools.cache
def still(label: str, seed: int = 0, side: int = SIDE) -> np.ndarray:
    """Return one rendered image of a class, uint8 (side, side, 3)."""
    random = np.random.default_rng(seed)
    surface = Surface(round(side * MARGIN), 0.2, random)
    PAINTERS[label](surface)
    scene = shade(surface, (0.1, -0.1), 0.1)
    device = Device.draw(np.random.default_rng(seed))
    pixels = np.array(capture(scene, device, Frame.first(0.1, random), side, random))
    pixels.flags.writeable = False
    return pixels
