"""`endoexit video`, as a user runs it."""

import importlib.util
import json
import re
from unittest import mock

import av
import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

import tiny
from dicom_makers import GOLDEN
from phantom_clips import encode, pan
from tiny_project import endoexit

OFF = ("--no-evidence", "--no-blind", "--no-reuse", "--no-exit-memory")
FILES = {"frames.parquet", "events.jsonl", "summary.json", "video.html"}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return tiny.tiny_run(tmp_path_factory.mktemp("video") / "run").path


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    views = [*pan("polyps", 15, side=96), *pan("esophagitis", 15, side=96)]
    return encode(tmp_path_factory.mktemp("clip") / "clip.mp4", views)


def watch(run, clip, out, *options):
    return endoexit("video", run, clip, "--out", out, "--threshold", 0.7, "--threads", 1, *options)


def test_with_all_rules_off_the_answers_are_those_of_predict_on_the_decoded_frames(
    run, clip, tmp_path
):
    done = watch(run, clip, tmp_path / "out", *OFF, "--json")
    assert done.returncode == 0, done.stderr
    frames = tmp_path / "frames"
    frames.mkdir()
    with av.open(clip) as container:
        for number, frame in enumerate(container.decode(video=0)):
            pixels = frame.to_ndarray(format="rgb24")
            Image.fromarray(pixels).save(frames / f"{number:03}.png")
    predicted = endoexit(
        "predict", run, frames, "--out", tmp_path / "rows.jsonl", "--threshold", 0.7,
        "--threads", 1, "--batch-size", 1,
    )  # fmt: skip
    assert predicted.returncode == 0, predicted.stderr
    rows = [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text().splitlines()]
    table = pq.read_table(tmp_path / "out" / "frames.parquet").to_pylist()
    assert len(table) == len(rows) == 30
    for row, record in zip(rows, table, strict=True):
        assert (record["label"], record["exit"]) == (row["label"], row["exit"])
        assert record["shown"] == row["label"]
        for name in tiny.CLASSES:
            assert round(record[f"p_{name}"], 6) == row[f"p_{name}"]


def test_a_clip_is_answered_into_four_files(run, clip, tmp_path):
    done = watch(run, clip, tmp_path / "out", "--reuse", "--exit-memory", "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert {path.name for path in (tmp_path / "out").iterdir()} == FILES
    assert document["format"] == "endoexit-video-1"
    assert document["clip"]["name"] == str(clip)
    assert document["rules"]["reuse"] == {"distance": 0.6, "frames": 25}
    assert document["guarantee"]["state"] == "none"
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert {"out": str(tmp_path / "out"), **summary} == document


def test_rules_come_from_a_file_and_switches_go_before_it(run, clip, tmp_path):
    rules = tmp_path / "rules.json"
    rules.write_text('{"evidence": {"frames": 7}, "reuse": {"distance": 2.5}}')
    done = watch(run, clip, tmp_path / "out", "--temporal", rules, "--no-reuse", "--json")
    written = json.loads(done.stdout)["rules"]
    assert written["evidence"]["frames"] == 7
    assert written["reuse"] is None


def test_the_name_of_the_clip_can_be_kept_out_of_everything(run, clip, tmp_path):
    done = watch(run, clip, tmp_path / "out", "--names", "index", "--json")
    assert json.loads(done.stdout)["clip"]["name"] == "1"
    for path in (tmp_path / "out").iterdir():
        assert clip.name.encode() not in path.read_bytes()


def test_a_video_in_a_dicom_object_is_answered_and_tells_nothing_of_the_patient(run, tmp_path):
    done = watch(run, GOLDEN / "video-endoscopic-h264-fragmented.dcm", tmp_path / "out", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["counts"]["frames"] == 175
    outputs = [path.read_bytes() for path in (tmp_path / "out").iterdir()]
    outputs += [done.stdout.encode(), done.stderr.encode()]
    for canary in (GOLDEN / "canaries").read_text(encoding="utf-8").split():
        assert not any(canary.encode() in content for content in outputs)


def test_a_live_clip_says_what_is_shown(run, clip, tmp_path):
    done = watch(run, clip, tmp_path / "out", "--live")
    assert done.returncode == 0, done.stderr
    assert re.search(r"^ +\d\.\d\d s  \S", done.stderr, re.MULTILINE)
    assert "Lag: median" in done.stdout


def test_a_truncated_clip_is_answered_up_to_there_and_ends_with_1(run, tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (40, 64, 64, 3), dtype=np.uint8)
    path = encode(tmp_path / "cut.mp4", noise, container={"movflags": "faststart"})
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    done = watch(run, path, tmp_path / "out", *OFF)
    assert done.returncode == 1
    assert "cut.mp4 is damaged or cut off" in done.stderr
    assert {each.name for each in (tmp_path / "out").iterdir()} == FILES
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert "damaged or cut off" in summary["clip"]["fault"]
    assert 5 < summary["counts"]["frames"] < 40
    assert "The clip is not whole" in (tmp_path / "out" / "video.html").read_text()


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"text", "is not a video that can be read"), (b"", "is empty"), (None, "does not exist")],
)
def test_what_is_no_video_is_one_error_and_writes_nothing(run, tmp_path, content, message):
    path = tmp_path / "clip.mp4"
    if content is not None:
        path.write_bytes(content)
    done = watch(run, path, tmp_path / "out")
    assert done.returncode == 1
    assert message in done.stderr
    assert done.stderr.count("error:") == 1
    assert not (tmp_path / "out").exists()
    assert not list(tmp_path.glob(".out*"))


def test_a_folder_with_content_is_refused_before_any_work(run, clip, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").touch()
    done = watch(run, clip, tmp_path / "out")
    assert done.returncode == 2
    assert "exists already: name a new folder" in done.stderr


def test_without_pyav_the_error_names_the_extra(run, clip, tmp_path):
    find = importlib.util.find_spec
    without = mock.Mock(side_effect=lambda name: None if name == "av" else find(name))
    with mock.patch("importlib.util.find_spec", without):
        done = watch(run, clip, tmp_path / "out")
    assert done.returncode == 1
    assert "pip install 'endoexit[video]'" in done.stderr


def test_memory_of_exits_without_thresholds_is_refused(run, clip, tmp_path):
    done = endoexit("video", run, clip, "--out", tmp_path / "out", "--exit-memory")
    assert done.returncode == 2
    assert "has none" in done.stderr
