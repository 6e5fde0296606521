"""Events: which frames make a segment, its peak, blind spans, and that no frame is lost."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from endoexit.watching.events import BlindSpan, Events, Segment
from watching_rows import row

CLASSES = ("a", "b", "c")


def events(rows):
    gathered, made = Events(CLASSES), []
    for each in rows:
        made += gathered.add(each, None)
    return [event for event, _ in made + gathered.finish(len(rows) / 25)]


def test_a_segment_is_a_time_of_one_shown_label():
    rows = [row(at, 0) for at in range(5)] + [row(at, 1, exit_number=2) for at in range(5, 8)]
    first, second = events(rows)
    assert (first.label, first.first_frame, first.last_frame, first.frames) == ("a", 0, 4, 5)
    assert (first.start_s, first.end_s) == (0.0, 0.2)
    assert (second.label, second.start_s, second.end_s) == ("b", 0.2, 0.32)
    assert second.exits == {"2": 3}


def test_the_peak_is_the_computed_frame_that_is_surest_of_the_label():
    rows = [row(at, 0, probability=0.5 + at / 100) for at in range(5)]
    rows.append(row(5, 0, probability=0.99, reuse=True))
    rows.append(row(6, 0, probability=0.99, label=1))
    (segment,) = events(rows)
    assert (segment.peak.frame, segment.peak.probability) == (4, 0.54)
    assert segment.reused == 1


def test_blind_frames_make_a_span_and_do_not_end_the_segment_that_outlasts_them():
    rows = [row(0), row(1, blind="dark"), row(2, blind="dark"), row(3, blind="blurred"), row(4)]
    dark, blurred, segment = events(rows)
    assert isinstance(segment, Segment)
    assert (segment.frames, segment.blind) == (5, 3)
    assert isinstance(dark, BlindSpan)
    assert (dark.kind, dark.start_s, dark.end_s, dark.frames) == ("dark", 0.04, 0.12, 2)
    assert (blurred.kind, blurred.frames) == ("blurred", 1)


def test_a_dropped_frame_ends_nothing():
    rows = [row(0, blind="dark"), row(1, dropped=True), row(2, blind="dark")]
    span, segment = events(rows)
    assert (span.frames, span.first_frame, span.last_frame) == (2, 0, 2)
    assert segment.dropped == 1


def test_nothing_shown_is_no_segment():
    assert events([row(0, None, blind="dark")])[0].event == "blind"


@given(st.lists(st.tuples(st.sampled_from([None, 0, 1]), st.sampled_from([None, "dark"]))))
def test_segments_are_in_order_and_hold_every_frame_that_shows_something(kinds):
    rows = [row(at, shown, blind=blind) for at, (shown, blind) in enumerate(kinds)]
    segments = [event for event in events(rows) if isinstance(event, Segment)]
    assert sum(segment.frames for segment in segments) == sum(
        shown is not None for shown, _ in kinds
    )
    for first, second in itertools.pairwise(segments):
        assert first.last_frame < second.first_frame
        assert first.end_s <= second.start_s
