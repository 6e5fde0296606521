"""Patients are told apart by a hash that nobody can try out without the key."""

from dicom_makers import content, dataset, picture
from endoexit.images.dicom.patient import patient_group

KEY = b"k" * 32


def group(key: bytes = KEY, **attributes: str) -> str:
    return patient_group(content(dataset(picture()[None], **attributes)), key)


def test_one_patient_has_one_name_whatever_the_padding() -> None:
    names = {group(PatientID=patient, StudyDate="20200101") for patient in ("ODD", "ODD ", " ODD")}
    assert len(names) == 1
    assert names == {group(PatientID="ODD", StudyDate="20210101")}


def test_patients_issuers_and_keys_give_other_names() -> None:
    names = [
        group(PatientID="1"),
        group(PatientID="2"),
        group(PatientID="1", IssuerOfPatientID="A"),
        group(b"l" * 32, PatientID="1"),
        group(StudyInstanceUID="1"),
    ]
    assert len(set(names)) == len(names)
    assert all("ODD" not in name and len(name) == len("patient-") + 16 for name in names)


def test_a_file_without_patient_and_study_or_without_dicom_has_none() -> None:
    assert group() == ""
    assert patient_group(b"not DICOM", KEY) == ""
