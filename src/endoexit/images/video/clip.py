"""A video from outside its process: opened, read frame by frame, given up when it stalls."""

import contextlib
import importlib.util
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from endoexit.errors import ImageError
from endoexit.images.messages import end_process, read_message, start_process, write_message
from endoexit.images.preprocessing import Preprocessing
from endoexit.images.refusals import damaged
from endoexit.images.video.decoding import Facts
from endoexit.images.video.place import find_video
from endoexit.images.video.upright import Pixels
from endoexit.naming import naming

# The process limits its own processor time to less. This is for one that waits, on a busy machine.
MOST_SECONDS = 30.0


@dataclass(frozen=True, eq=False)
class ClipFrame:
    """One frame of a clip.

    Attributes:
        index: Number of the frame, from 0.
        time_s: Time of the frame in seconds from the first.
        square: The frame as the network takes it, uint8 (S, S, 3); None where a live clip dropped
            it, because it was decoded too late.
        due: Time by the monotonic clock at which it was to be shown; None unless the clip is live.
    """

    index: int
    time_s: float
    square: Pixels | None
    due: float | None


class Clip:
    """A video that another process decodes; a context manager.

    Args:
        path: Video, or a DICOM object that holds one.
        preprocessing: Way from a frame to the network's square.
        live: Whether frames come by the clock, as from a camera. By default as fast as they are
            taken.

    Attributes:
        fault: What ended the clip early or is missing in it; None for a whole one. Known when all
            frames were read.

    Raises:
        ImageError: It is no video, has no frames, or is of a kind or size that is not decoded; or
            the packages of the extra `video` are missing.
    """

    def __init__(
        self,
        path: Path,
        preprocessing: Preprocessing,
        *,
        live: bool = False,
    ) -> None:
        self._name, self._side = naming().mention(str(path), 0), preprocessing.size
        self._most_seconds = MOST_SECONDS
        self.fault: ImageError | None = None
        try:
            _check_installed()
            place = find_video(path)
            self._process = start_process("endoexit.images.video.child")
            request = {
                "path": str(path.absolute()), "spans": place.spans, "rate": place.rate,
                "preprocessing": preprocessing.model_dump(mode="json"), "live": live,
            }  # fmt: skip
            with contextlib.suppress(OSError):  # then there is no answer either
                write_message(self._stdin, request)
            answer = self._next()
            if "facts" not in answer:
                self.close()
                raise _fault_of(answer)
        except ImageError as error:
            raise error.named(self._name) from error.__cause__
        self.facts = Facts(**answer["facts"])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def frames(self) -> Iterator[ClipFrame]:
        """Yield the frames in order; once, in any thread. See `fault` for how they ended."""
        while "end" not in (answer := self._next()):
            if "waiting" in answer:
                continue
            yield ClipFrame(
                answer["index"], answer["time_s"], self._square(answer["content"]),
                answer.get("due"),
            )  # fmt: skip
        if "fault" in answer:
            self.fault = _fault_of(answer).named(self._name)

    def close(self) -> None:
        """End the process."""
        end_process(self._process)

    def _next(self) -> dict[str, Any]:
        """Return the next message with its content; one of a fault where the process ended."""
        clock = threading.Timer(self._most_seconds, self._process.kill)
        clock.start()
        try:
            message = read_message(self._stdout)
        except (OSError, ValueError):
            message = None
        finally:
            clock.cancel()
        if message is None:
            error = damaged("the decoder failed on it, or took more than its time and memory")
            return {"end": True, "fault": error.fault, "kind": error.kind}
        return {**message[0], "content": message[1]}

    def _square(self, content: bytes) -> Pixels | None:
        if not content:
            return None
        return np.frombuffer(content, np.uint8).reshape(self._side, self._side, 3)

    @property
    def _stdin(self) -> Any:
        return self._process.stdin

    @property
    def _stdout(self) -> Any:
        return self._process.stdout


def _fault_of(answer: dict[str, Any]) -> ImageError:
    return ImageError(answer["fault"], kind=answer["kind"])


def _check_installed() -> None:
    if importlib.util.find_spec("av") is None:
        raise ImageError(
            "is a video, which takes a further package: `pip install 'endoexit[video]'`.",
            kind="not supported",
        )
