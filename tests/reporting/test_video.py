"""The page on a clip: what is on it, escaped, and nothing from elsewhere."""

import re

import numpy as np
import pytest

import tiny
from endoexit.policy.temporal.settings import TemporalSettings
from endoexit.reporting.video import PAGE, clock, write_page
from endoexit.runtime.session import open_session
from endoexit.watching.run import watch_clip
from phantom_clips import encode, pan


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    session = open_session(tiny.tiny_run(folder / "run"), threshold=0.7, threads=1)
    dark = [np.zeros((96, 96, 3), np.uint8)] * 5
    clip = folder / "a<script>alert(1)<&>.mkv"
    encode(clip, [*pan("polyps", 10, side=96), *dark])
    watched = watch_clip(session, clip, TemporalSettings(), folder)
    write_page(session, watched, folder)
    return (folder / PAGE).read_text(), watched


def test_the_page_shows_timeline_stills_and_events(page):
    html, watched = page
    peaks = [still.segment.peak for still in watched.stills.in_order()]
    assert len(re.findall('<article class="card">', html)) == len(peaks) > 0
    for peak in peaks:
        assert f"surest at {clock(peak.time_s)} (frame {peak.frame})" in html
    assert html.count("data:image/jpeg;base64,") == len(peaks)
    assert "Timeline of 0.6 s" in html
    assert "<td" in html
    assert "dark 5" in html
    assert "Research use only" in html


def test_the_name_of_the_clip_is_escaped(page):
    html, _ = page
    assert "<script" not in html
    assert "a&lt;script&gt;alert(1)&lt;&amp;&gt;.mkv" in html


def test_nothing_comes_from_elsewhere(page):
    html, _ = page
    assert "default-src 'none'" in html
    addresses = re.findall(r'(?:src|href)="([^"]*)"', html)
    assert all(address.startswith(("data:", "#")) for address in addresses)
    assert not re.search(r"https?://", html)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0:00.00"), (62.484, "1:02.48"), (59.999, "1:00.00"), (3600, "60:00.00")],
)
def test_times_are_minutes_and_seconds(seconds, text):
    assert clock(seconds) == text
