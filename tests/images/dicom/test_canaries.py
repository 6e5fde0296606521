"""Nothing that tells who a patient is gets into any output of any command."""

from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from typer.testing import CliRunner

from canary_forms import forms_of
from dicom_makers import GOLDEN, content, dataset, picture
from endoexit.cli.main import app
from endoexit.data.patients import KEY_VARIABLE
from tiny_project import COLOURS

CANARIES = (GOLDEN / "canaries").read_text(encoding="utf-8").split()
MADE = ("vl-endoscopic-jpeg.dcm", "vl-endoscopic-j2k.dcm", "vl-endoscopic-rle.dcm")
UID = "1.2.826.0.1.3680043.8.498.7777777"


FORMS = {form for text in (*CANARIES, UID) for form in forms_of(text) if len(form) >= 8}


def _object(seed: int, **attributes: object) -> Dataset:
    """Return an image whose every identifying attribute is a canary."""
    name, patient, birth, accession, hospital, referrer, street, private, operator = CANARIES[:9]
    made = dataset(
        picture(seed=seed)[None],
        PatientName=name,
        PatientID=f"{patient}-{seed}",
        PatientBirthDate=birth,
        AccessionNumber=accession,
        InstitutionName=hospital,
        ReferringPhysicianName=referrer,
        PatientAddress=street,
        OperatorsName=operator,
        StudyInstanceUID=UID,
        SOPInstanceUID=f"{UID}.{seed}",
        **attributes,
    )
    made.private_block(0x0009, private, create=True).add_new(1, "LO", private)
    return made


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders of classes with objects, broken ones and of another class among them."""
    root = tmp_path_factory.mktemp("canaries") / "images"
    for number, label in enumerate(COLOURS):
        folder = root / label
        folder.mkdir(parents=True)
        for seed in range(4):
            (folder / f"IM{seed}").write_bytes(content(_object(10 * number + seed)))
        (folder / "made.dcm").write_bytes((GOLDEN / MADE[number]).read_bytes())
        (folder / "cut.dcm").write_bytes((GOLDEN / MADE[number]).read_bytes()[:3000])
        odd = _object(100 + number, SOPClassUID=f"{UID}.1", PhotometricInterpretation=CANARIES[9])
        (folder / "odd.dcm").write_bytes(content(odd))
        odd.SOPClassUID = "1.2.840.10008.5.1.4.1.1.77.1.1"
        (folder / "colours.dcm").write_bytes(content(odd))
    return root


@pytest.fixture(autouse=True)
def _key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "key").write_bytes(b"k" * 32)
    monkeypatch.setenv(KEY_VARIABLE, str(tmp_path / "key"))


def _check(folder: Path, texts: list[str]) -> None:
    outputs = {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    outputs |= {f"stream {number}": text.encode() for number, text in enumerate(texts)}
    assert sum(map(len, outputs.values())) > 1000
    leaks = [(name, form) for name, output in outputs.items() for form in FORMS if form in output]
    assert leaks == []


def test_the_canaries_are_in_what_is_read(images: Path) -> None:
    """Otherwise nothing below could fail."""
    inputs = b"".join(path.read_bytes() for path in images.rglob("*") if path.is_file())
    assert all(text.encode() in inputs for text in (*CANARIES, UID))


def test_no_identifier_is_in_the_output_of_a_command(
    images: Path, tiny_run: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    texts = []
    manifest = out / "manifest.csv"
    for arguments, code in (
        (["audit", images, "--out", out / "audit.json"], 0),
        (["split", images, "--roles", "train=.5,test=.5", "--out", manifest], 0),
        (["predict", tiny_run, images, "--out", out / "rows.jsonl", "--threads", 1], 1),
        (["predict", tiny_run, images, "--out", out / "rows.parquet", "--names", "hash"], 1),
        (["predict", tiny_run, images, "--json", "--threads", 1], 1),
        (["evaluate", tiny_run, "--manifest", manifest, "--no-timing", "--out", out / "e"], 0),
    ):
        result = CliRunner().invoke(app, list(map(str, arguments)))
        assert result.exit_code == code, result.output
        texts += [result.stdout, result.stderr]
    assert "patient-" in manifest.read_text(encoding="utf-8")
    _check(out, texts)
