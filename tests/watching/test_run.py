"""One clip, start to end: files that agree with each other."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest

from endoexit.errors import UsageError
from endoexit.policy.temporal.settings import ALL_OFF, TemporalSettings
from endoexit.runtime.session import open_session
from endoexit.watching.run import EVENTS, FRAMES, SUMMARY, watch_clip
from phantom_clips import encode, pan


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """20 frames of one view, 10 dark ones, 20 of another view."""
    dark = [np.zeros((96, 96, 3), np.uint8)] * 10
    views = [*pan("polyps", 20, side=96), *dark, *pan("esophagitis", 20, side=96)]
    return encode(tmp_path_factory.mktemp("clip") / "clip.mp4", views)


def test_table_events_and_summary_agree(tiny_session, clip, tmp_path):
    told = []
    watched = watch_clip(
        tiny_session, clip, TemporalSettings(), tmp_path, on_change=lambda *each: told.append(each)
    )
    table = pq.read_table(tmp_path / FRAMES).to_pylist()
    events = [json.loads(line) for line in (tmp_path / EVENTS).read_text().splitlines()]
    summary = json.loads((tmp_path / SUMMARY).read_text())
    assert watched.fault is None
    assert len(table) == summary["counts"]["frames"] == 50
    assert [record["blind"] for record in table[20:30]] == ["dark"] * 10
    assert summary["counts"]["blind"] == {"dark": 10}
    computed = [record for record in table if record["exit"] and not record["reused"]]
    assert summary["counts"]["computed"] == len(computed) == 40
    assert summary["counts"]["stages"] == sum(record["exit"] for record in computed)
    segments = [event for event in events if event["event"] == "segment"]
    assert summary["segments"] == len(segments)
    for segment in segments:
        inside = table[segment["first_frame"] : segment["last_frame"] + 1]
        assert {record["shown"] for record in inside} == {segment["label"]}
        peak = segment["peak"]
        best = max(record[f"p_{segment['label']}"] for record in inside if record["exit"])
        assert peak["probability"] == best == table[peak["frame"]][f"p_{segment['label']}"]
        assert peak["time_s"] == table[peak["frame"]]["time_s"]
    (blind,) = (event for event in events if event["event"] == "blind")
    assert (blind["first_frame"], blind["frames"]) == (20, 10)
    assert told[0] == (0.0, table[0]["shown"])
    assert summary["least_delay_s"] == pytest.approx(2 / 25, abs=1e-3)


def test_a_live_clip_has_its_lag(tiny_session, tmp_path):
    path = encode(tmp_path / "clip.mp4", pan("polyps", 10, side=64), rate=50)
    watched = watch_clip(tiny_session, path, ALL_OFF, tmp_path, live=True)
    counts = watched.summary.counts
    assert counts.frames == 10
    assert counts.computed + counts.dropped == 10
    assert watched.summary.lag.p50 <= watched.summary.lag.p99 <= watched.summary.lag.most


def test_a_policy_with_a_deadline_is_refused(tiny_session, clip, tmp_path):
    session = open_session(tiny_session.source, threshold=0.7, deadline_ms=50, threads=1)
    with pytest.raises(UsageError, match=r"depend on the clock: .* --threshold"):
        watch_clip(session, clip, ALL_OFF, tmp_path)
