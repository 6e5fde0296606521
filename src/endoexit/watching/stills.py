"""Stills of the peaks: small pictures of the longest segments."""

import heapq
from dataclasses import dataclass

import numpy as np
from PIL import Image

from endoexit.images.preprocessing import Preprocessing
from endoexit.images.video.upright import Pixels
from endoexit.watching.events import Segment

MOST = 48
SIDE = 168  # the longer side in pixels


@dataclass(frozen=True, eq=False)
class Still:
    """A segment with the picture of its peak.

    Attributes:
        segment: Segment.
        picture: Picture (h, w, 3).
    """

    segment: Segment
    picture: Pixels


class Stills:
    """Keeps the pictures of the longest segments, so that memory does not grow with the clip.

    Args:
        preprocessing: Way from a frame to the network's square.
        width: Width of an upright frame.
        height: Its height.
        most: Number of pictures that are kept.
    """

    def __init__(
        self, preprocessing: Preprocessing, width: int, height: int, most: int = MOST
    ) -> None:
        self._preprocessing, self._most = preprocessing, most
        view = preprocessing.view
        whole = view.resize == "stretch" and view.crop_ratio == 1.0
        scale = SIDE / max(width, height)
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        self._size = size if whole else (SIDE, SIDE)
        self._kept: list[tuple[float, int, Still]] = []
        self.left_out = 0

    def add(self, segment: Segment, square: Pixels | None) -> None:
        """Keep the picture of a segment, if it is one of the longest so far."""
        if square is None:
            return
        shown = Image.fromarray(np.ascontiguousarray(self._preprocessing.viewed(square)))
        picture = np.asarray(shown.resize(self._size, Image.Resampling.BILINEAR), dtype=np.uint8)
        # The earlier of two segments of one length is kept; the number also keeps apart what
        # cannot be compared.
        entry = (segment.end_s - segment.start_s, -segment.first_frame, Still(segment, picture))
        heapq.heappush(self._kept, entry)
        if len(self._kept) > self._most:
            heapq.heappop(self._kept)
            self.left_out += 1

    def in_order(self) -> list[Still]:
        """Return the pictures in the order of time."""
        stills = [still for _, _, still in self._kept]
        return sorted(stills, key=lambda still: still.segment.first_frame)
