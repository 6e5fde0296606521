"""What is taken of a file for an output: by allow-list, replaced or kept."""

import io

import pytest
from PIL import Image

from dicom_makers import content, dataset, encapsulated, jpeg, picture
from endoexit.errors import ImageError
from endoexit.runtime.outputs.dicom.source import KEPT, fresh_uid, read_source

KEY = b"k" * 32
UIDS = {"StudyInstanceUID": "1.2.3", "SeriesInstanceUID": "1.2.3.1", "SOPInstanceUID": "1.2.3.1.7"}
PATIENT = {
    "PatientName": "Curie^Marie", "PatientID": "4711", "IssuerOfPatientID": "HOSPITAL",
    "PatientBirthDate": "18671107", "PatientSex": "F", "StudyDate": "20260102",
    "StudyTime": "101112", "AccessionNumber": "A7", "ReferringPhysicianName": "Roux^Emile",
    "StudyID": "S1",
}  # fmt: skip


def made(**attributes: object) -> bytes:
    return content(dataset(picture()[None], **(UIDS | PATIENT | attributes)))


def read(data: bytes, identity: str = "drop", key: bytes = KEY):
    return read_source(data, identity, key)


def test_dropped_uids_are_the_same_for_the_same_key_alone():
    first, second, other = read(made()), read(made(PatientID="1")), read(made(), key=b"x" * 32)
    assert (first.study, first.image) == (second.study, second.image)
    assert first.study != other.study
    for uid in (first.study, first.image.instance, first.image.series):
        assert uid.startswith("2.25.")
        assert len(uid) <= 44
    assert len({first.study, first.image.instance, first.image.series}) == 3
    assert first.kept == {}
    assert first.dropped
    assert not first.keeps_dates


def test_what_is_kept_is_the_allow_list():
    source = read(
        made(PatientAddress="Rue 1", InstitutionName="Clinic", StudyDescription="x"), "keep"
    )
    assert source.kept == PATIENT
    assert {keyword for keyword, _ in KEPT.values()} == PATIENT.keys()
    assert (source.study, source.image.series, source.image.instance) == tuple(UIDS.values())


@pytest.mark.parametrize(
    ("characters", "name"),
    [("ISO_IR 100", "Müller^Jörg"), ("ISO_IR 192", "山田^太郎"), ("ISO_IR 144", "Люк^Иван")],
)
def test_names_are_read_in_the_characters_of_the_file(characters: str, name: str):
    assert (
        read(made(SpecificCharacterSet=characters, PatientName=name), "keep").kept["PatientName"]
        == name
    )


@pytest.mark.parametrize("keyword", UIDS)
def test_an_object_without_its_uids_cannot_be_written_back(keyword: str):
    data = made(**{keyword: "1.2.999"}).replace(b"1.2.999", b"1.2.99.")
    with pytest.raises(ImageError, match=r"--identity drop"):
        read(data, "keep")
    source = read(data)
    assert source.study.startswith("2.25.")
    assert (source.image is None) == (keyword != "StudyInstanceUID")


def test_an_id_that_breaks_the_rules_is_refused_and_a_date_is_left_out():
    good = made(PatientID="4711-----X")
    with pytest.raises(ImageError, match="id of its patient") as raised:
        read(good.replace(b"4711-----X", b"4711\\----X"), "keep")
    assert "4711" not in str(raised.value)
    kept = read(made().replace(b"18671107", b"11.07.67"), "keep").kept
    assert kept == PATIENT | {"PatientBirthDate": ""}


def test_bytes_that_are_no_text_are_left_out_in_silence():
    kept = read(made().replace(b"101112", b"10\xff\xff12"), "keep").kept
    assert kept["StudyTime"] == ""
    unknown = made(SpecificCharacterSet="ISO_IR 100").replace(b"ISO_IR 100", b"ISO_IR 999")
    assert read(unknown, "keep").kept["PatientID"] == "4711"


def test_a_file_that_is_no_object_gets_a_study_of_its_own():
    stream = io.BytesIO()
    Image.fromarray(picture()).save(stream, "PNG")
    first, second = read(stream.getvalue()), read(stream.getvalue(), "keep")
    assert first.image is None
    assert first.study != second.study
    assert first.stored_bytes is None
    assert first.burned_in
    assert read(jpeg(picture())).stored_bytes == len(jpeg(picture()))


def test_loss_and_burned_in_text_are_known():
    frames = [jpeg(picture()), jpeg(picture(seed=1))]
    compressed = read(content(encapsulated(frames, (40, 56), **UIDS)))
    assert compressed.stored_bytes == sum(len(f) + len(f) % 2 for f in frames) / 2
    assert compressed.image.frames == 2
    assert read(made()).stored_bytes is None
    assert read(made()).burned_in
    assert not read(made(BurnedInAnnotation="NO")).burned_in


def test_a_fresh_uid_is_new():
    assert fresh_uid() != fresh_uid()
    assert fresh_uid().startswith("2.25.")
