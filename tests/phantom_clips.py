"""Clips of the phantom for tests: frames whose true labels are known, encoded by PyAV."""

import functools
import struct
from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path

import av
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


def moved(pixels: np.ndarray, across: int, down: int = 0) -> np.ndarray:
    """Return a picture moved by whole pixels; what leaves on one side comes in on the other."""
    return np.roll(pixels, (down, across), axis=(0, 1))


def pan(label: str, count: int, seed: int = 0, side: int = SIDE) -> list[np.ndarray]:
    """Return frames in which the view of one rendered image moves slowly."""
    return [moved(still(label, seed, side), at // 2, at // 3) for at in range(count)]


def encode(
    path: Path,
    frames: Iterable[np.ndarray],
    *,
    times: Sequence[float] | None = None,
    rate: Fraction | int = 25,
    codec: str = "libx264",
    options: dict[str, str] | None = None,
    container: dict[str, str] | None = None,
) -> Path:
    """Write frames as a video.

    Args:
        path: File; its suffix names the container.
        frames: Frames, uint8 (h, w, 3), of even sides.
        times: Time of each frame in seconds; None for the rate.
        rate: Frames a second.
        codec: Encoder of FFmpeg.
        options: Options of the encoder.
        container: Options of the container.
    """
    pictures = list(frames)
    height, width = pictures[0].shape[:2]
    with av.open(path, "w", options=container or {}) as output:
        stream = output.add_stream(codec, rate=rate, options=options or {})
        stream.width, stream.height = width, height
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000) if times else 1 / Fraction(rate)
        for number, pixels in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
            frame.pts = round(1000 * times[number]) if times else number
            frame.time_base = stream.codec_context.time_base
            output.mux(stream.encode(frame))
        output.mux(stream.encode())
    return path


def turned(path: Path, matrix: tuple[int, int, int, int]) -> Path:
    """Write a display matrix (a, b, c, d) into the track header of an MP4."""
    content = bytearray(path.read_bytes())
    at = content.index(b"tkhd") + 4
    assert content[at] == 0  # version 0: the matrix is 40 bytes behind the flags
    a, b, c, d = (value << 16 for value in matrix)
    struct.pack_into(">9i", content, at + 40, a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(content)
    return path
