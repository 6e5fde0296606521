"""Rows become files: one report an object, one capture an image, whole or not at all."""

import errno
from pathlib import Path

import numpy as np
import pydicom
import pytest

from dicom_answers import MODEL, broken, row
from dicom_makers import content, dataset, encapsulated, jpeg, picture
from endoexit.data.patients import KEY_VARIABLE
from endoexit.errors import WriteError
from endoexit.images.decode import read_image
from endoexit.runtime.outputs.dicom import folder as folders
from endoexit.runtime.outputs.dicom.folder import dicom_files

VIDEO = "1.2.840.10008.5.1.4.1.1.77.1.1.1"
UIDS = {"StudyInstanceUID": "1.2.3", "SeriesInstanceUID": "1.2.3.1", "SOPInstanceUID": "1.2.3.1.7"}


@pytest.fixture(autouse=True)
def _key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "key").write_bytes(b"k" * 32)
    monkeypatch.setenv(KEY_VARIABLE, str(tmp_path / "key"))


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    frames = [jpeg(picture(seed=number)) for number in range(4)]
    made = encapsulated(frames, (40, 56), SOPClassUID=VIDEO, **UIDS)
    path = tmp_path / "clip.dcm"
    path.write_bytes(content(made))
    return path


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.jpg"
    path.write_bytes(jpeg(picture()))
    return path


def write(out: Path, rows: list, kind: str = "both", identity: str = "drop"):
    with dicom_files(out, MODEL, kind, identity) as files:
        for each in rows:
            files.add(each)
    return files.written


def groups(path: Path) -> list:
    (container,) = [
        item
        for item in pydicom.dcmread(path).ContentSequence
        if item.ConceptNameCodeSequence[0].CodeMeaning == "Imaging Measurements"
    ]
    return list(container.ContentSequence)


def names(out: Path) -> list[str]:
    return sorted(path.name for path in out.iterdir())


def test_a_file_has_one_report_and_each_image_a_capture(clip, photo, tmp_path):
    rows = [row(0, photo), *(row(1 + n, clip, n) for n in range(4)), row(5, photo)]
    written = write(tmp_path / "out", rows)
    assert names(tmp_path / "out") == [
        "000001-sc.dcm", "000001-sr.dcm", "000002-sc.dcm", "000002-sr.dcm", "000003-sc.dcm",
        "000004-sc.dcm", "000005-sc.dcm", "000006-sc.dcm", "000006-sr.dcm",
    ]  # fmt: skip
    assert (written.reports, written.captures, written.faults) == (3, 6, [])
    assert len(groups(tmp_path / "out" / "000002-sr.dcm")) == 4
    for number in range(4):
        pixels = pydicom.dcmread(tmp_path / "out" / f"{number + 2:06}-sc.dcm").pixel_array
        np.testing.assert_array_equal(pixels[:40, :56], read_image(clip, frame=number))


@pytest.mark.parametrize(("kind", "kinds"), [("sr", {"sr"}), ("sc", {"sc"})])
def test_only_what_was_asked_for_is_written(kind, kinds, clip, photo, tmp_path):
    write(tmp_path / "out", [row(0, photo), row(1, clip)], kind)
    assert {name[7:9] for name in names(tmp_path / "out")} == kinds


def test_without_identity_a_report_refers_to_the_capture_and_else_to_the_image(clip, tmp_path):
    for kind, identity in (("both", "drop"), ("both", "keep"), ("sr", "drop")):
        out = tmp_path / f"{kind}-{identity}"
        write(out, [row(0, clip)], kind, identity)
        report = pydicom.dcmread(out / "000001-sr.dcm")
        image = report.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence[0]
        uid = image.ReferencedSOPSequence[0].ReferencedSOPInstanceUID
        if kind == "sr":
            assert uid.startswith("2.25.")
        elif identity == "keep":
            assert uid == UIDS["SOPInstanceUID"]
        else:
            capture = pydicom.dcmread(out / "000001-sc.dcm")
            assert uid == capture.SOPInstanceUID
            assert capture.StudyInstanceUID == report.StudyInstanceUID


def test_a_long_clip_has_several_reports_in_one_series(clip, tmp_path, monkeypatch):
    monkeypatch.setattr(folders, "MOST_ANSWERS", 3)
    write(tmp_path / "out", [row(n, clip, n) for n in range(4)], "sr")
    assert names(tmp_path / "out") == ["000001-sr.dcm", "000004-sr.dcm"]
    first, second = (pydicom.dcmread(tmp_path / "out" / name) for name in names(tmp_path / "out"))
    assert first.SeriesInstanceUID == second.SeriesInstanceUID
    assert (first.InstanceNumber, second.InstanceNumber) == (1, 2)


def test_what_could_not_be_read_stops_nothing(clip, photo, tmp_path):
    rows = [
        broken(0, tmp_path / "missing.dcm"), row(1, clip), broken(2, clip, 1), row(3, photo),
        broken(4, photo),
    ]  # fmt: skip
    written = write(tmp_path / "out", rows, "sr")
    assert names(tmp_path / "out") == ["000002-sr.dcm", "000004-sr.dcm"]
    assert len(groups(tmp_path / "out" / "000002-sr.dcm")) == 2  # it says which was not read
    assert written.faults == []  # their rows say it


def test_what_cannot_be_kept_is_a_fault_and_stops_nothing(clip, tmp_path):
    nameless = tmp_path / "nameless.dcm"
    nameless.write_bytes(content(dataset(picture()[None])))
    written = write(
        tmp_path / "out", [row(0, nameless), row(1, nameless), row(2, clip)], "sr", "keep"
    )
    assert names(tmp_path / "out") == ["000003-sr.dcm"]
    assert [name for name, _ in written.faults] == [str(nameless)] * 2
    assert "--identity drop" in written.faults[0][1]


def test_a_full_disk_is_one_error_and_leaves_nothing(clip, tmp_path, monkeypatch):
    write_bytes, count = Path.write_bytes, []

    def full(path: Path, data: bytes) -> int:
        count.append(path)
        if len(count) == 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write_bytes(path, data)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(WriteError, match=r"cannot write .*out: No space left.*free space"):
        write(tmp_path / "out", [row(n, clip, n) for n in range(4)])
    assert [path.name for path in tmp_path.iterdir() if "out" in path.name] == []
