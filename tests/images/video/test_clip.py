"""Clips as another process decodes them: times and pixels as written, one error for each fault."""

import os
import signal
from fractions import Fraction
from unittest import mock

import av
import numpy as np
import pytest

from dicom_makers import GOLDEN
from endoexit.errors import ImageError
from endoexit.images.preprocessing import Preprocessing
from endoexit.images.video.clip import Clip
from phantom_clips import encode, moved, pan, still, turned

PREPROCESSING = Preprocessing(size=32)
FEW = pan("polyps", 12, side=64)


def read(path, *, live=False):
    """Return the clip, read to its end, and its frames."""
    with Clip(path, PREPROCESSING, live=live) as clip:
        frames = list(clip.frames())
    return clip, frames


def fault(path) -> ImageError:
    with pytest.raises(ImageError) as caught:
        read(path)
    return caught.value


def colours(pixels):
    """Return the mean colours of the four quarters: enough to see how a picture is turned."""
    half = len(pixels) // 2
    quarters = (
        pixels[:half, :half],
        pixels[:half, half:],
        pixels[half:, :half],
        pixels[half:, half:],
    )
    return np.array([quarter.mean(axis=(0, 1)) for quarter in quarters])


@pytest.mark.parametrize(
    ("name", "codec", "rate"),
    [
        ("clip.mp4", "libx264", 25),
        ("clip.mkv", "libx265", Fraction(30000, 1001)),
        ("clip.ts", "mpeg2video", 25),
        ("clip.avi", "mjpeg", 60),
    ],
)
def test_frames_and_times_are_those_that_were_written(tmp_path, name, codec, rate):
    options = {"x265-params": "log-level=none"} if codec == "libx265" else {}
    path = encode(tmp_path / name, FEW, codec=codec, rate=rate, options=options)
    clip, frames = read(path)
    assert clip.fault is None
    assert [frame.index for frame in frames] == list(range(len(FEW)))
    expected = [float(number / Fraction(rate)) for number in range(len(FEW))]
    np.testing.assert_allclose([frame.time_s for frame in frames], expected, atol=1.1e-3)
    assert (clip.facts.width, clip.facts.height) == (64, 64)


def test_uneven_times_are_kept(tmp_path):
    times = [0.0, 0.04, 0.05, 0.5, 0.52, 3.0, 3.1]
    path = encode(tmp_path / "vfr.mkv", FEW[: len(times)], times=[2 + each for each in times])
    _, frames = read(path)
    np.testing.assert_allclose([frame.time_s for frame in frames], times, atol=1e-6)


def test_the_square_is_that_of_the_decoded_frame(tmp_path):
    path = encode(tmp_path / "clip.mp4", FEW)
    _, frames = read(path)
    with av.open(path) as container:
        decoded = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert len(decoded) == len(frames)
    for frame, pixels in zip(frames, decoded, strict=True):
        np.testing.assert_array_equal(frame.square, PREPROCESSING.apply(pixels))


@pytest.mark.parametrize(
    ("matrix", "expected"),
    [
        ((0, 1, -1, 0), lambda pixels: np.rot90(pixels, -1)),
        ((-1, 0, 0, -1), lambda pixels: np.rot90(pixels, 2)),
        ((0, -1, 1, 0), lambda pixels: np.rot90(pixels, 1)),
        ((-1, 0, 0, 1), lambda pixels: pixels[:, ::-1]),
    ],
)
def test_frames_are_turned_as_the_display_matrix_says(tmp_path, matrix, expected):
    picture = np.zeros((64, 96, 3), np.uint8)
    picture[:32, :48], picture[:32, 48:], picture[32:, :48] = (200, 0, 0), (0, 200, 0), (0, 0, 200)
    path = turned(encode(tmp_path / "clip.mp4", [picture] * 3), matrix)
    clip, frames = read(path)
    shown = expected(picture)
    assert (clip.facts.height, clip.facts.width) == shown.shape[:2]
    assert clip.facts.turned
    wanted = colours(PREPROCESSING.apply(np.ascontiguousarray(shown)))
    np.testing.assert_allclose(colours(frames[0].square), wanted, atol=12)


@pytest.mark.parametrize(
    "name", ["video-endoscopic-h264.dcm", "video-endoscopic-h264-fragmented.dcm"]
)
def test_a_video_in_a_dicom_object_is_read(name):
    clip, frames = read(GOLDEN / name)
    assert (len(frames), clip.fault) == (175, None)
    assert frames[-1].time_s == pytest.approx(174 / 25)


def test_a_stream_without_times_gets_those_of_its_rate(tmp_path):
    path = encode(tmp_path / "clip.h264", FEW, rate=25)
    _, frames = read(path)
    gaps = np.diff([frame.time_s for frame in frames])
    assert len(frames) == len(FEW)
    assert (gaps > 0).all()


def test_a_change_of_size_ends_the_clip_and_says_where(tmp_path):
    small = encode(tmp_path / "small.ts", FEW, codec="mpeg2video")
    large = encode(tmp_path / "large.ts", pan("polyps", 5, side=96), codec="mpeg2video")
    both = tmp_path / "both.ts"
    both.write_bytes(small.read_bytes() + large.read_bytes())
    clip, frames = read(both)
    assert len(frames) >= len(FEW) - 1
    assert all(frame.square.shape == (32, 32, 3) for frame in frames)
    assert "changes its size in mid-stream" in clip.fault.fault
    assert "64×64 to 96×96" in clip.fault.fault


@pytest.mark.parametrize("faststart", [True, False])
def test_a_truncated_clip_is_read_up_to_there_or_refused(tmp_path, faststart):
    options = {"movflags": "faststart"} if faststart else {}
    noise = np.random.default_rng(0).integers(0, 256, (40, 64, 64, 3), dtype=np.uint8)
    path = encode(tmp_path / "clip.mp4", noise, container=options)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    if not faststart:  # the table of frames is lost
        assert "cut off before its table of frames" in str(fault(path))
        return
    clip, frames = read(path)
    assert 5 < len(frames) < 40
    assert clip.fault.kind == "damaged"
    assert str(clip.fault).startswith(str(path))


def test_a_clip_without_a_video_stream_is_refused(tmp_path):
    path = tmp_path / "sound.mp4"
    with av.open(path, "w") as output:
        stream = output.add_stream("aac", rate=16000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 4096), np.float32), "fltp", "mono")
        frame.sample_rate = 16000
        output.mux(stream.encode(frame))
        output.mux(stream.encode())
    assert "has no video stream" in str(fault(path))


def test_a_clip_of_no_frames_is_refused(tmp_path):
    path = tmp_path / "none.avi"
    with av.open(path, "w") as output:
        stream = output.add_stream("mjpeg", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuvj420p"
        output.start_encoding()
    assert "0 frames" in str(fault(path))


def test_a_playlist_opens_no_other_file(tmp_path):
    encode(tmp_path / "clip.ts", FEW, codec="mpeg2video")
    playlist = tmp_path / "list.m3u8"
    playlist.write_text("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nclip.ts\n#EXT-X-ENDLIST\n")
    assert "is not a video that can be read" in str(fault(playlist))


@pytest.mark.parametrize(
    "content", [b"no video " * 100, b"\x89PNG\r\n\x1a\n" + bytes(99), bytes(5000)]
)
def test_what_is_no_video_is_refused(tmp_path, content):
    path = tmp_path / "clip.mp4"
    path.write_bytes(content)
    error = fault(path)
    assert error.kind == "not an image"
    assert "convert it to MP4" in str(error)


@pytest.mark.parametrize(
    ("shape", "message"),
    [((16, 8208), "frames of 8208×16 pixels"), ((2400, 4096), "too large, or says no size")],
)
def test_frames_that_are_too_large_are_refused_by_their_header(tmp_path, shape, message):
    path = encode(tmp_path / "large.avi", [np.zeros((*shape, 3), np.uint8)], codec="mjpeg")
    assert message in str(fault(path))


def test_frames_that_become_too_large_are_not_decoded(tmp_path):
    small = encode(tmp_path / "small.ts", FEW, codec="mpeg2video")
    encode(tmp_path / "large.ts", [np.zeros((2400, 4080, 3), np.uint8)], codec="mpeg2video")
    both = tmp_path / "both.ts"
    both.write_bytes(small.read_bytes() + (tmp_path / "large.ts").read_bytes())
    clip, frames = read(both)
    assert len(frames) >= len(FEW) - 1
    assert clip.fault is not None


def test_a_decoder_that_is_killed_is_reported_and_loses_nothing(tmp_path):
    frames = [moved(still("polyps", side=64), at) for at in range(60)]
    path = encode(tmp_path / "clip.mp4", frames)
    with Clip(path, Preprocessing(size=224)) as clip:  # a square is more than a pipe holds
        coming = clip.frames()
        got = [next(coming) for _ in range(3)]
        os.kill(clip._process.pid, signal.SIGKILL)
        got += list(coming)
    assert 3 <= len(got) < 60
    assert "the decoder failed on it" in str(clip.fault)


def test_a_decoder_that_stalls_is_given_up(tmp_path):
    path = encode(tmp_path / "slow.mkv", FEW[:2], times=[0.0, 60.0])
    with Clip(path, PREPROCESSING, live=True) as clip:
        coming = clip.frames()
        next(coming)
        clip._most_seconds = 1.0  # the next frame comes after a minute
        assert list(coming) == []
    assert "the decoder failed on it" in str(clip.fault)


def test_a_live_clip_tells_when_frames_were_due(tmp_path):
    path = encode(tmp_path / "clip.mp4", FEW, rate=50)
    _, frames = read(path, live=True)
    gaps = np.diff([frame.due for frame in frames])
    np.testing.assert_allclose(gaps, 1 / 50, atol=1e-6)


def test_without_pyav_the_error_names_the_extra(tmp_path):
    with mock.patch("importlib.util.find_spec", return_value=None):
        error = fault(tmp_path / "clip.mp4")
    assert "pip install 'endoexit[video]'" in str(error)
