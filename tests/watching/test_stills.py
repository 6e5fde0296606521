"""Stills: whose pictures are kept, and at which proportions."""

import numpy as np

from endoexit.images.preprocessing import Preprocessing
from endoexit.watching.events import Segment
from endoexit.watching.stills import Stills


def segment(first: int, seconds: float) -> Segment:
    return Segment(
        label="a", start_s=0.0, end_s=seconds, first_frame=first, last_frame=first, frames=1,
        peak=None, exits={}, reused=0, blind=0, dropped=0,
    )  # fmt: skip


SQUARE = np.zeros((32, 32, 3), np.uint8)


def test_the_longest_segments_keep_their_pictures_in_the_order_of_time():
    stills = Stills(Preprocessing(size=32), 1280, 720, most=2)
    for first, seconds in enumerate((3.0, 1.0, 2.0, 0.5)):
        stills.add(segment(first, seconds), SQUARE)
    stills.add(segment(9, 9.0), None)
    assert [still.segment.first_frame for still in stills.in_order()] == [0, 2]
    assert stills.left_out == 2


def test_a_stretched_square_is_shown_at_the_proportions_of_the_clip():
    for preprocessing, shape in (
        (Preprocessing(size=32), (94, 168, 3)),
        (Preprocessing(size=32, resize="shorter-side"), (168, 168, 3)),
    ):
        stills = Stills(preprocessing, 1280, 720)
        stills.add(segment(0, 1.0), SQUARE)
        assert stills.in_order()[0].picture.shape == shape
