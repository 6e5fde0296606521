"""Counts over rows: by hand on a few, and what they add up to."""

from dataclasses import replace

import pytest

from endoexit.watching.tally import Tally
from watching_rows import row


def tally(rows, stages=4) -> Tally:
    counted = Tally(stages)
    for each in rows:
        counted.add(each)
    return counted


def test_each_frame_is_counted_once_by_what_became_of_it():
    counted = tally([
        row(0, exit_number=1), row(1, exit_number=3), row(2, reuse=True, exit_number=3),
        row(3, blind="dark"), row(4, blind="blurred"), row(5, dropped=True),
    ])  # fmt: skip
    counts = counted.counts()
    assert (counts.frames, counts.computed, counts.reused, counts.dropped) == (6, 2, 1, 1)
    assert counts.blind == {"blurred": 1, "dark": 1}
    assert counts.exits == {"1": 1, "3": 1}
    assert (counts.stages, counts.stages_share) == (4, 4 / 24)
    assert counted.network_ms == 2.0


def test_referred_frames_are_counted_and_change_no_answer():
    answered = row(1, 0, label=1)
    referred = replace(answered, prediction=replace(answered.prediction, referred="unlike"))
    counted = tally([row(0, 0), referred, row(2, 0)])
    assert counted.counts().referred == 1
    assert counted.answer_changes == 0


def test_changes_are_counted_a_minute_of_the_clip():
    labels = [0, 1, 0, 0, 1]
    counted = tally([row(at, 0, label=label) for at, label in enumerate(labels)])
    assert (counted.answer_changes, counted.shown_changes) == (3, 0)
    assert counted.seconds == pytest.approx(0.2)
    assert counted.a_minute(3) == pytest.approx(900)


def test_a_label_that_comes_back_after_nothing_is_no_change():
    counted = tally([row(0, 1), row(1, None, blind="dark"), row(2, 1), row(3, 0)])
    assert counted.shown_changes == 1


def test_lags_have_their_percentiles():
    assert tally([row(0)]).lag is None
    lag = tally([row(at, lag_ms=float(at)) for at in range(101)]).lag
    assert (lag.p50, lag.p99, lag.most) == (50, 99, 100)


def test_a_single_frame_has_no_interval():
    assert (tally([row(0)]).interval_s, tally([row(0)]).a_minute(1)) == (0, 0)
