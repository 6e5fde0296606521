"""Frames of a video by PyAV: bounds first, then pixels, each with its time."""

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy as np

from endoexit.documents import Record
from endoexit.errors import ImageError
from endoexit.images.refusals import check_size, damaged, unsupported
from endoexit.images.video.spans import Spans
from endoexit.images.video.upright import UPRIGHT, Pixels, Turn, square_pixels, turn_of, upright

MAX_SIDE, MAX_PIXELS = 8192, 4096 * 2304
RATE = 25.0  # frames a second of a stream that says nothing of time

# Containers that hold one file; none that names others, such as a playlist.
_FORMATS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,mpegvideo,h264,hevc,asf,mxf,dv,ogg,flv"
)
_CODECS = {
    "h264", "hevc", "mpeg1video", "mpeg2video", "mpeg4", "mjpeg", "vp8", "vp9", "av1", "libdav1d",
    "dvvideo", "ffv1", "huffyuv", "rawvideo", "prores", "vc1", "wmv3", "wmv2", "msmpeg4v3", "h263",
    "theora", "png",
}  # fmt: skip
_LOST = 0.02  # share of the announced frames that may be missing without a fault


class Facts(Record):
    """What is known of a video with its first frame.

    Attributes:
        width: Width of the upright frame with square pixels.
        height: Its height.
        codec: Name of the codec.
        rate: Frames a second as the file says; None where it does not.
        announced: Number of frames as the file says; None where it does not.
        interlaced: Whether frames are made of two fields.
        turned: Whether frames are turned or mirrored to be upright.
    """

    width: int
    height: int
    codec: str
    rate: float | None
    announced: int | None
    interlaced: bool
    turned: bool


class Decoding:
    """Decodes one video.

    Args:
        stream: Bytes of the video.
        rate: Frames a second where the video says nothing of time; None for the default.

    Raises:
        ImageError: It is no video, has no frames, or is of a kind or size that is not decoded.
    """

    def __init__(self, stream: Spans, rate: float | None = None) -> None:
        self._container = _open(stream)
        video = _video_stream(self._container)
        self._context = video.codec_context
        if self._context.name not in _CODECS:
            raise unsupported("video", f"the codec {self._context.name}")
        _check_bounds(self._context.width, self._context.height)
        self._context.options = {"max_pixels": str(MAX_PIXELS)}  # it may change in mid-stream
        self._context.thread_count = 1  # threads take address space; the network has the others
        self._stream = video
        self._interval = 1.0 / (rate or float(video.average_rate or 0) or RATE)
        self._frames = self._decoded()
        self._broken = 0
        self._count = 0
        self._turn: Turn = UPRIGHT
        self._first: Any = next(self._frames, None)
        if self._first is None:
            raise self._why_empty()
        self._size = self._first.width, self._first.height
        _check_bounds(*self._size)
        self._turn = turn_of(self._first)

    @property
    def facts(self) -> Facts:
        """What is known of the video."""
        first = self._first
        wide, high = square_pixels(*self._size, self._aspect)
        if self._turn[1]:
            wide, high = high, wide
        rate = self._stream.average_rate
        return Facts(
            width=wide,
            height=high,
            codec=self._context.name,
            rate=float(rate) if rate else None,
            announced=self._stream.frames or None,
            interlaced=bool(first.interlaced_frame),
            turned=self._turn != UPRIGHT,
        )

    def frames(self) -> Iterator[tuple[float, "Decoded"]]:
        """Yield the time of each frame in seconds from the first, and the frame.

        Times never go back: a frame whose time is missing or does comes one interval after the
        one before.

        Raises:
            ImageError: Frames are damaged or missing, or change their size. It is raised after
                all frames that could be decoded, or at the change.
        """
        origin: float | None = None
        time_s = -self._interval
        frame = self._first
        while frame is not None:
            stamp = None if frame.pts is None else float(frame.pts * frame.time_base)
            if stamp is not None and origin is None:
                origin = stamp - (time_s + self._interval)
            known = None if stamp is None or origin is None else stamp - origin
            time_s = known if known is not None and known > time_s else time_s + self._interval
            if (frame.width, frame.height) != self._size:
                raise ImageError(
                    f"changes its size in mid-stream, at {time_s:.2f} s, from "
                    f"{self._size[0]}×{self._size[1]} to {frame.width}×{frame.height} pixels: "
                    "the frames before were read; cut it there into two videos.",
                    kind="not supported",
                )
            self._count += 1
            yield time_s, Decoded(frame, self._turn, self._aspect)
            frame = next(self._frames, None)
        self._check_whole()

    def close(self) -> None:
        """Close the video."""
        self._container.close()

    @property
    def _aspect(self) -> Fraction | None:
        aspect: Fraction | None = self._context.sample_aspect_ratio
        return aspect

    def _decoded(self) -> Iterator[Any]:
        import av.error  # noqa: PLC0415  an extra

        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets, None)
            except av.error.FFmpegError:
                self._broken += 1
                return
            if packet is None:
                return
            try:
                yield from packet.decode()
            except av.error.EOFError:
                return
            except av.error.FFmpegError:  # this part is lost; the next may be whole
                self._broken += 1

    def _check_whole(self) -> None:
        announced = self._stream.frames
        if self._broken:
            raise damaged(
                f"{self._broken} parts of it cannot be decoded; {self._count} frames were read"
            )
        if announced and announced - self._count > max(2, _LOST * announced):
            raise damaged(f"it announces {announced} frames and has {self._count}")

    def _why_empty(self) -> ImageError:
        if self._broken:
            return damaged("no frame of it can be decoded")
        return ImageError(
            "has a video stream of 0 frames: record it again, or remove it.", kind="empty"
        )


class Decoded:
    """One frame whose pixels are made when they are asked for."""

    def __init__(self, frame: Any, turn: Turn, aspect: Fraction | None) -> None:
        self._frame, self._turn, self._aspect = frame, turn, aspect

    def pixels(self) -> Pixels:
        """Return it as upright RGB with square pixels, uint8 (height, width, 3)."""
        width, height = square_pixels(self._frame.width, self._frame.height, self._aspect)
        rgb = self._frame.to_ndarray(format="rgb24", width=width, height=height)
        return upright(np.asarray(rgb, dtype=np.uint8), self._turn)


def _open(stream: Spans) -> Any:
    import av  # noqa: PLC0415  an extra
    import av.error  # noqa: PLC0415

    options = {
        "format_whitelist": _FORMATS,
        "protocol_whitelist": "none",  # whatever it names, no other file and no host is opened
        "max_pixels": str(MAX_PIXELS),
    }
    try:
        return av.open(stream, mode="r", options=options)
    except MemoryError:
        raise
    except (av.error.FFmpegError, ValueError, UnicodeError) as error:
        raise ImageError(
            "is not a video that can be read: it is of an unknown container, damaged, or cut off "
            "before its table of frames; copy it again, or convert it to MP4.",
            kind="not an image",
        ) from error


def _video_stream(container: Any) -> Any:
    for stream in container.streams.video:
        if not stream.disposition & stream.disposition.attached_pic:  # the cover of a song
            return stream
    raise ImageError(
        "has no video stream: name a video, or check what it was recorded with.",
        kind="not an image",
    )


def _check_bounds(width: int, height: int) -> None:
    bound = f"of videos {MAX_PIXELS // 10**6} megapixels and sides of {MAX_SIDE} are decoded"
    if width * height == 0:  # the library gives no size where it kept to the bound itself
        raise ImageError(f"is too large, or says no size of its frames: {bound}; scale it down.")
    if width * height > MAX_PIXELS or max(width, height) > MAX_SIDE:
        raise ImageError(
            f"is too large: it announces frames of {width}×{height} pixels, {bound}; scale it down."
        )
    check_size(width, height)
