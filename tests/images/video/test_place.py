"""Where the bytes of a video are: whole files, fragments of DICOM objects, and what is refused."""

import pytest

from dicom_makers import GOLDEN, content, dataset, encapsulated, jpeg, picture
from endoexit.errors import ImageError
from endoexit.images.dicom.recognise import is_dicom_file
from endoexit.images.video.place import find_video
from endoexit.images.video.spans import Spans

VIDEO, H264 = "1.2.840.10008.5.1.4.1.1.77.1.1.1", "1.2.840.10008.1.2.4.102"


def test_a_file_is_its_own_place(tmp_path):
    path = tmp_path / "clip.mp4"
    path.write_bytes(b"video")
    place = find_video(path)
    assert (place.spans, place.rate) == (((0, 5),), None)


def test_fragments_of_an_object_are_read_where_they_are():
    whole = find_video(GOLDEN / "video-endoscopic-h264.dcm")
    three = find_video(GOLDEN / "video-endoscopic-h264-fragmented.dcm")
    assert (len(whole.spans), len(three.spans)) == (1, 3)
    streams = [Spans(place.path, place.spans).read().rstrip(b"\0") for place in (whole, three)]
    assert streams[0] == streams[1]
    assert streams[0][4:8] == b"ftyp"


@pytest.mark.parametrize(
    ("attributes", "rate"),
    [({"FrameTime": "40"}, 25), ({"CineRate": "30"}, 30), ({"FrameTime": "0"}, None), ({}, None)],
)
def test_the_rate_of_an_object_is_read(tmp_path, attributes, rate):
    made = encapsulated([b"stream.."], (40, 56), H264, SOPClassUID=VIDEO, **attributes)
    path = tmp_path / "clip"
    path.write_bytes(content(made))
    assert find_video(path).rate == rate


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: dataset(picture()[None]), "predict --frames all"),
        (lambda: encapsulated([jpeg(picture())], (40, 56)), "predict --frames all"),
        (
            lambda: encapsulated([b"x"], (40, 56), H264, SOPClassUID="1.2.840.10008.5.1.4.1.1.2"),
            "CT Image Storage",
        ),
    ],
)
def test_an_object_without_a_video_is_refused(tmp_path, make, message):
    path = tmp_path / "object"
    path.write_bytes(content(make()))
    assert is_dicom_file(path)
    with pytest.raises(ImageError, match=message):
        find_video(path)


def test_a_missing_file_a_folder_and_an_empty_file_are_refused(tmp_path):
    (tmp_path / "empty").touch()
    for name, message in (("none", "does not exist"), (".", "not a file"), ("empty", "0 bytes")):
        with pytest.raises(ImageError, match=message):
            find_video(tmp_path / name)
