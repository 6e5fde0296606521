"""Other programs find no error in what is written, read it, store it and give it back."""

import io
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import highdicom as hd
import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset

from dicom_answers import CLASSES, MODEL, PROMISE, broken, row
from dicom_makers import GOLDEN, content, encapsulated, jpeg, picture
from endoexit.data.patients import KEY_VARIABLE
from endoexit.images.decode import read_image
from endoexit.runtime.outputs.dicom.answers import USE
from endoexit.runtime.outputs.dicom.folder import dicom_files
from orthanc import Archive, archive

VIDEO = "1.2.840.10008.5.1.4.1.1.77.1.1.1"
IDENTITIES = ("drop", "keep")
STILLS = (
    "vl-endoscopic-jpeg.dcm", "vl-endoscopic-j2k.dcm", "SC_rgb_rle_2frame.dcm",
    "SC_ybr_full_422_uncompressed.dcm",
)  # fmt: skip


def program(name: str) -> str:
    program = shutil.which(name)
    if program is None:
        pytest.skip(f"{name} is not installed (Debian: dcmtk, dicom3tools)")
    return program


def run(name: str, *arguments: object) -> str:
    line = [program(name), *map(str, arguments)]
    done = subprocess.run(line, check=False, capture_output=True, text=True, errors="replace")
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module", params=IDENTITIES)
def written(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of reports and captures on stills, a clip and a photo, with every outcome."""
    folder = tmp_path_factory.mktemp("peers")
    (folder / "key").write_bytes(b"k" * 32)
    clip, photo = folder / "clip.dcm", folder / "photo.jpg"
    frames = [jpeg(picture(seed=number)) for number in range(5)]
    made = encapsulated(
        frames, (40, 56), SOPClassUID=VIDEO, StudyInstanceUID="1.2.3", SeriesInstanceUID="1.2.3.1",
        SOPInstanceUID="1.2.3.1.7", PatientName="Müller^Jörg", PatientID="4711",
        SpecificCharacterSet="ISO_IR 100", PatientBirthDate="19310417", PatientSex="O",
        StudyDate="20260102", StudyTime="101112",
    )  # fmt: skip
    clip.write_bytes(content(made))
    photo.write_bytes(frames[0])
    rows = [
        *(row(number, GOLDEN / name) for number, name in enumerate(STILLS)),
        row(10, clip), row(11, clip, 1, cut_short=True), row(12, clip, 2, referred="unsure"),
        row(13, clip, 3, referred="unlike", exit_=1), broken(14, clip, 4), row(15, photo),
    ]  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(KEY_VARIABLE, str(folder / "key"))
        with dicom_files(folder / "out", MODEL, "both", request.param) as files:
            for each in rows:
                files.add(each)
        # Reports alone refer to other objects.
        with dicom_files(folder / "sr", MODEL, "sr", request.param) as alone:
            for each in rows:
                alone.add(each)
    assert files.written.faults == alone.written.faults == []
    for file in (folder / "sr").iterdir():
        file.rename(folder / "out" / f"alone-{file.name}")
    return folder / "out"


def files_of(folder: Path, kind: str) -> list[Path]:
    files = sorted(folder.glob(f"*-{kind}.dcm"))
    assert len(files) >= 6
    return files


def test_dciodvfy_finds_no_error(written: Path):
    for kind in ("sr", "sc"):
        for file in files_of(written, kind):
            said = run("dciodvfy", file)
            assert [line for line in said.splitlines() if "rror" in line] == [], file.name


def test_dcmtk_reads_the_answers(written: Path):
    said = run("dsrdump", "+U8", "+Pl", written / "000011-sr.dcm")
    for words in (
        CLASSES[2], '"Certainty of Finding")="87.5"', USE, PROMISE, "cut short by the deadline",
        "referred to a human: unsure", "could not be read", MODEL.name,
    ):  # fmt: skip
        assert words in said, said
    for kind in ("sr", "sc"):
        for file in files_of(written, kind):
            assert "E: " not in run("dcmdump", "-q", file)


def test_highdicom_reads_reports_and_captures(written: Path):
    for file in files_of(written, "sr"):
        read = hd.sr.srread(file)
        assert isinstance(read, hd.sr.ComprehensiveSR)
        groups = read.content.get_image_measurement_groups()
        assert len(groups) == (5 if "000011" in file.name else 1)
    names = {index + 1: name for index, name in enumerate(STILLS)}
    for number, name in names.items():
        image = hd.imread(written / f"{number:06}-sc.dcm")
        pixels = read_image(GOLDEN / name)
        height, width = pixels.shape[:2]
        np.testing.assert_array_equal(image.get_frame(1)[:height, :width], pixels)


def test_names_in_other_characters_are_kept_right(written: Path):
    made = pydicom.dcmread(written / "000011-sr.dcm")
    assert str(made.PatientName) in ("", "Müller^Jörg")


@pytest.fixture(scope="module")
def pacs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Archive]:
    with archive(tmp_path_factory.mktemp("orthanc")) as running:
        yield running


def elements(made: Dataset) -> dict:
    return {element.tag: element.value for element in made}


def test_orthanc_gives_back_the_same_bytes(written: Path, pacs: Archive):
    for kind in ("sr", "sc"):
        for file in files_of(written, kind):
            data = file.read_bytes()
            stored = pacs.document("/instances", data)
            assert stored["Status"] in ("Success", "AlreadyStored")
            assert pacs.ask(f"/instances/{stored['ID']}/file") == data
    made = pydicom.dcmread(file)
    studies = [pacs.document(f"/studies/{each}") for each in pacs.document("/studies")]
    uids = {study["MainDicomTags"]["StudyInstanceUID"] for study in studies}
    assert made.StudyInstanceUID in uids


def test_orthanc_takes_them_over_the_network(written: Path, pacs: Archive):
    report, capture = written / "alone-000011-sr.dcm", written / "000011-sc.dcm"
    run("storescu", "127.0.0.1", pacs.dicom, report, capture)
    for file in (report, capture):
        made = pydicom.dcmread(file)
        (number,) = pacs.document("/tools/lookup", str(made.SOPInstanceUID).encode())
        back = pydicom.dcmread(io.BytesIO(pacs.ask(f"/instances/{number['ID']}/file")))
        assert elements(back) == elements(made)
