"""What is seen of a frame without the network: brightness, detail, colours, a tiny picture."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from endoexit.policy.temporal.settings import Blind

BlindKind = Literal["dark", "out of body", "blurred"]

SIDE = 16  # pixels of the tiny picture
_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)  # ITU-R BT.601
_BLACK = 16  # grey levels of the border around the picture of an endoscope, at most
_REDDER = 1.1  # tissue, also pale mucosa, has this much more red than blue

Levels = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Sight:
    """What is seen of one frame.

    Attributes:
        tiny: Grey levels (16, 16) of the frame.
        brightness: Mean grey level of all pixels.
        detail: How far grey levels go up and down along a line through the frame, in units of their
            spread, after the noise of single pixels is smoothed. Blur lowers it; brightness and
            contrast do not change it.
        tissue: Share of the pixels that are not black in the colours of tissue: more red than
            green, and more than blue.
    """

    tiny: Levels
    brightness: float
    detail: float
    tissue: float

    def distance(self, other: "Sight") -> float:
        """Return the mean absolute difference of both tiny pictures, in grey levels."""
        return float(np.abs(self.tiny - other.tiny).mean())


def see(pixels: npt.NDArray[np.uint8]) -> Sight:
    """Look at a frame.

    Args:
        pixels: Frame as the network takes it, uint8 (S, S, 3).
    """
    luma = pixels.astype(np.float32) @ _LUMA
    return Sight(
        tiny=_tiny(luma), brightness=float(luma.mean()), detail=_detail(luma),
        tissue=_tissue(pixels, luma),
    )  # fmt: skip


def blindness(sight: Sight, rule: Blind) -> BlindKind | None:
    """Return why a frame shows nothing to decide on; None where it does."""
    if sight.brightness < rule.dark:
        return "dark"
    if sight.tissue < rule.body:
        return "out of body"
    return "blurred" if sight.detail < rule.blur else None


def _tiny(luma: Levels) -> Levels:
    if len(luma) < SIDE:
        times = -(-SIDE // len(luma))
        luma = luma.repeat(times, axis=0).repeat(times, axis=1)
    side = len(luma)
    edges = np.arange(SIDE + 1) * side // SIDE
    sums = np.add.reduceat(np.add.reduceat(luma, edges[:-1], axis=0), edges[:-1], axis=1)
    sizes = np.diff(edges)
    tiny: Levels = (sums / np.outer(sizes, sizes)).astype(np.float32)
    return tiny


def _detail(luma: Levels) -> float:
    spread = float(luma.std())
    if spread < 1.0:  # one colour: nothing can be sharp
        return 0.0
    # Sums of two by two pixels: noise of single pixels is no detail.
    soft = (luma[:-1, :-1] + luma[1:, :-1] + luma[:-1, 1:] + luma[1:, 1:]) / 4
    across, down = np.abs(np.diff(soft, axis=1)).mean(), np.abs(np.diff(soft, axis=0)).mean()
    return float(across + down) / 2 * len(luma) / spread


def _tissue(pixels: npt.NDArray[np.uint8], luma: Levels) -> float:
    lit = luma > _BLACK
    count = int(np.count_nonzero(lit))
    if count == 0:
        return 0.0
    red, green, blue = np.moveaxis(pixels.astype(np.float32), -1, 0)
    warm = (red > green) & (red > _REDDER * blue)
    return int(np.count_nonzero(warm & lit)) / count
