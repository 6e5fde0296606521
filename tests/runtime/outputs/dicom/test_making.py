"""What all written objects share."""

import pydicom

from dicom_makers import dataset, picture
from endoexit.runtime.outputs.dicom.making import as_bytes, put_identity
from endoexit.runtime.outputs.dicom.source import SourceFile


def dated() -> pydicom.Dataset:
    made = dataset(picture()[None])
    made.InstanceCreationDate, made.InstanceCreationTime = "20261127", "101112.5"
    made.StudyDate, made.AcquisitionDateTime = "", "20261127101112"
    return made


def test_dates_keep_only_their_year_where_identity_is_dropped():
    made = dated()
    put_identity(made, SourceFile("1.2", dropped=True), removed=False)
    assert made.InstanceCreationDate == "20260101"
    assert made.InstanceCreationTime == "000000"
    assert made.AcquisitionDateTime == "20260101000000"
    assert made.StudyDate == ""
    assert made.PatientIdentityRemoved == "NO"


def test_kept_values_are_put_in_and_dates_stay_whole():
    made = dated()
    kept = {"PatientName": "Curie^Marie", "IssuerOfPatientID": ""}
    put_identity(made, SourceFile("1.2", kept=kept, keeps_dates=True), removed=False)
    assert made.InstanceCreationTime == "101112.5"
    assert made.PatientName == "Curie^Marie"
    assert "IssuerOfPatientID" not in made
    assert "PatientIdentityRemoved" not in made


def test_the_content_is_a_whole_file():
    assert as_bytes(dataset(picture()[None]))[128:132] == b"DICM"
