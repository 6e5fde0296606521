"""`endoexit predict --dicom-out`, from its options to its files; no identifier gets into them."""

import json
import subprocess
import sys
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset
from typer.testing import CliRunner

from canary_forms import forms_of
from dicom_makers import content, dataset, encapsulated, jpeg, picture
from endoexit.cli.main import app
from endoexit.data.patients import KEY_VARIABLE
from endoexit.errors import UsageError
from tiny import save_photos, tiny_run
from tiny_project import endoexit

VIDEO = "1.2.840.10008.5.1.4.1.1.77.1.1.1"
KEPT = {
    "PatientName": "Zorblatt^Quirina", "PatientID": "ZQ-4711-88", "IssuerOfPatientID": "ISSUERQX",
    "PatientBirthDate": "19310417", "PatientSex": "F", "StudyDate": "20190823",
    "StudyTime": "134711", "AccessionNumber": "ACCQX-9931", "ReferringPhysicianName": "Refquist^A",
    "StudyID": "STUDYQX7", "StudyInstanceUID": "1.2.826.0.1.3680043.8.498.1111111",
    "SeriesInstanceUID": "1.2.826.0.1.3680043.8.498.2222222",
    "SOPInstanceUID": "1.2.826.0.1.3680043.8.498.3333333",
}  # fmt: skip
NEVER = {
    "PatientAddress": "Lane 7, Quibbleton", "OtherPatientNames": "Othername^Q",
    "InstitutionName": "Quibble Hospital", "InstitutionAddress": "Quibble Road 3",
    "InstitutionalDepartmentName": "Quibblology", "StationName": "QXSTATION",
    "OperatorsName": "Operquist^B", "PerformingPhysicianName": "Perfquist^C",
    "DeviceSerialNumber": "SERIALQX55", "StudyDescription": "Descr Quux of study",
    "SeriesDescription": "Descr Quux of series", "ImageComments": "Comment Quux",
    "PatientComments": "Comment Quibble", "ProtocolName": "Protoquux", "SeriesDate": "20190824",
    "AcquisitionDateTime": "20190825121212", "ContentDate": "20190826",
    "FrameOfReferenceUID": "1.2.826.0.1.3680043.8.498.4444444",
    "Manufacturer": "Quuxmaker", "ManufacturerModelName": "Quuxscope",
}  # fmt: skip
PRIVATE = "PRIVATEQX"
FOLDER = "Zorblatt-Quirina-1931"
SHORT = {"PatientSex"}  # one letter, which is in every file


def _object(**attributes: object) -> Dataset:
    frames = [jpeg(picture(seed=number)) for number in range(2)]
    made = encapsulated(frames, (40, 56), SOPClassUID=VIDEO, **(KEPT | NEVER | attributes))
    made.private_block(0x0009, PRIVATE, create=True).add_new(1, "LO", PRIVATE + "-value")
    item = Dataset()
    item.PatientID, item.TypeOfPatientID = "OTHERIDQX", "TEXT"
    made.OtherPatientIDsSequence = [item]
    return made


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return tiny_run(tmp_path_factory.mktemp("runs") / "tiny").path


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """Return a folder called after a patient with an object, a photo and a broken file."""
    folder = tmp_path / FOLDER
    save_photos(folder, count=1)
    (folder / "clip.dcm").write_bytes(content(_object()))
    (folder / "cut.dcm").write_bytes(content(_object())[:700])
    return folder


@pytest.fixture(autouse=True)
def _key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "key").write_bytes(b"k" * 32)
    monkeypatch.setenv(KEY_VARIABLE, str(tmp_path / "key"))


def predict(run: Path, study: Path, out: Path, *arguments: object):
    line = ("predict", run, study, "--frames", "all", "--threads", 1, "--dicom-out", out)
    return CliRunner().invoke(app, [*map(str, line), *map(str, arguments)])


def leaks(out: Path, texts: set[str]) -> list[tuple[str, str]]:
    files = {path.name: path.read_bytes() for path in out.iterdir()}
    assert len(files) == 5
    return [
        (name, text)
        for name, data in files.items()
        for text in sorted(texts)
        if any(form in data for form in forms_of(text))
    ]


def _parts(values: dict[str, str]) -> set[str]:
    """Return texts, and the parts of names."""
    texts = {value for name, value in values.items() if name not in SHORT}
    return texts | {part for text in texts for part in text.split("^") if len(part) >= 4}


def test_no_identifier_is_in_any_file_where_identity_is_dropped(run, study, tmp_path):
    result = predict(run, study, tmp_path / "out", "--dicom-as", "both", "--names", "index")
    assert result.exit_code == 1  # for the broken file
    texts = _parts(KEPT) | _parts(NEVER) | {PRIVATE, "OTHERIDQX", FOLDER, str(study), "clip.dcm"}
    assert all(text.encode() in (study / "clip.dcm").read_bytes() for text in KEPT.values())
    assert leaks(tmp_path / "out", texts) == []
    assert [text for text in texts - {"clip.dcm"} if text in result.stdout + result.stderr] == []
    assert "3 captures in" in result.stderr
    assert "look at them before you share them" in result.stderr


def test_what_is_kept_is_the_allow_list_alone(run, study, tmp_path):
    out = tmp_path / "out"
    result = predict(run, study, out, "--dicom-as", "both", "--identity", "keep")
    assert f"warning: the files in {out} tell who the patients are." in result.stderr
    assert leaks(out, _parts(NEVER) | {PRIVATE, "OTHERIDQX", FOLDER, str(study)}) == []
    for name in ("000002-sr.dcm", "000002-sc.dcm", "000003-sc.dcm"):
        made = pydicom.dcmread(out / name)
        uids = {"SeriesInstanceUID", "SOPInstanceUID"}
        assert {key: made[key].value for key in KEPT.keys() - uids} == {
            key: value for key, value in KEPT.items() if key not in uids
        }
        assert made.SOPInstanceUID != KEPT["SOPInstanceUID"]
        assert made.SeriesInstanceUID != KEPT["SeriesInstanceUID"]
    still = pydicom.dcmread(out / "000001-sr.dcm")
    assert (still.PatientID, still.PatientName) == ("", "")
    assert still.StudyInstanceUID != KEPT["StudyInstanceUID"]


def test_the_document_says_what_was_written(run, study, tmp_path):
    nameless = study / "nameless.dcm"
    nameless.write_bytes(content(dataset(picture()[None])))
    out = tmp_path / "out"
    result = predict(run, study, out, "--identity", "keep", "--json")
    document = json.loads(result.stdout)["dicom"]
    faults = document.pop("not_written")
    assert document == {
        "folder": str(out), "as": "sr", "identity": "keep", "reports": 2, "captures": 0,
        "may_show_burned_in_text": 0,
    }  # fmt: skip
    assert [fault["image"] for fault in faults] == [str(nameless)]
    assert f"no DICOM object for {nameless}: it cannot be written with its" in result.stderr
    assert result.exit_code == 1


def test_the_label_of_the_row_is_the_finding_of_the_report(run, study, tmp_path):
    result = predict(run, study / "0.png", tmp_path / "out", "--json")
    (row,) = json.loads(result.stdout)["rows"]
    made = pydicom.dcmread(tmp_path / "out" / "000001-sr.dcm")
    meanings = [e.value for e in made.iterall() if e.keyword == "CodeMeaning"]
    numbers = [float(e.value) for e in made.iterall() if e.keyword == "NumericValue"]
    assert row["label"] in meanings
    assert numbers == [pytest.approx(100 * row["probability"], abs=1e-4), row["exit"]]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--dicom-as", "sc"], "--dicom-as says how .*: name --dicom-out DIR"),
        (["--identity", "keep"], "--identity says how .*: name --dicom-out DIR"),
    ],
)
def test_an_option_without_a_folder_is_refused(run, study, arguments, words):
    result = CliRunner().invoke(app, ["predict", str(run), str(study), *arguments])
    assert isinstance(result.exception, UsageError)
    with pytest.raises(UsageError, match=words):
        raise result.exception


def test_a_folder_with_files_is_left_alone(run, study, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "kept").write_text("x")
    result = predict(run, study, out)
    assert "exists already: name a new folder" in str(result.exception)
    assert [path.name for path in out.iterdir()] == ["kept"]


def test_a_folder_that_cannot_be_written_is_one_error(run, study, tmp_path):
    (tmp_path / "file").write_text("x")
    out = tmp_path / "file" / "out"
    done = endoexit("predict", run, study / "0.png", "--threads", 1, "--dicom-out", out)
    assert done.returncode == 1
    assert f"cannot write {out}" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_key_that_cannot_be_used_is_said_before_any_image_is_read(
    run, study, tmp_path, monkeypatch
):
    monkeypatch.setenv(KEY_VARIABLE, str(tmp_path / "missing"))
    result = predict(run, study, tmp_path / "out", "--out", tmp_path / "rows.csv")
    assert "the key for the patients of DICOM objects" in str(result.exception)
    assert not (tmp_path / "rows.csv").exists()
    assert not (tmp_path / "out").exists()
    assert predict(run, study, tmp_path / "out", "--identity", "keep").exit_code == 1  # of cut.dcm
    assert (tmp_path / "out").exists()


def test_without_the_extra_the_error_says_what_to_install(study, tmp_path):
    code = (
        "import sys; sys.modules['highdicom'] = None\n"
        "from endoexit.cli.dicom_out import check_dicom_out\n"
        "from pathlib import Path\n"
        "try: check_dicom_out(Path(sys.argv[1]), None, None)\n"
        "except Exception as error: print(type(error).__name__, error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "out")],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.startswith("UsageError")
    assert "pip install 'endoexit[dicom]'" in done.stdout
