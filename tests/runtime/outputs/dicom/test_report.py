"""Reports hold each answer, and what it rests on; highdicom reads them back."""

import io
from dataclasses import replace

import highdicom.sr as hd
import pydicom
import pytest

from dicom_answers import CLASSES, MODEL, PROMISE, WEIGHTS
from endoexit.runtime.outputs.dicom.answers import USE, Answer
from endoexit.runtime.outputs.dicom.report import SCHEME, class_code, report
from endoexit.runtime.outputs.dicom.source import Reference, SourceFile, fresh_uid

VIDEO = Reference("1.2.840.10008.5.1.4.1.1.77.1.1.1", "1.2.3.1.7", "1.2.3.1", frames=4)
SOURCE = SourceFile("1.2.3", VIDEO, dropped=True)
ANSWERS = (
    Answer(1, 0, "answered", "Pólyp", 0.875, 2, VIDEO),
    Answer(2, 1, "cut short", CLASSES[0], 0.5, 1, VIDEO),
    Answer(3, 2, "unsure", exit=4, image=VIDEO),
    Answer(4, 3, "not read", image=VIDEO),
)


def written(answers=ANSWERS, source=SOURCE) -> pydicom.Dataset:
    content = report(answers, source, MODEL, fresh_uid(), 1)
    return pydicom.dcmread(io.BytesIO(content))


@pytest.fixture(scope="module")
def made() -> pydicom.Dataset:
    return written()


@pytest.fixture(scope="module")
def groups(made: pydicom.Dataset) -> list:
    read = hd.ComprehensiveSR.from_dataset(made)
    return read.content.get_image_measurement_groups()


def code(meaning: str, value: str, scheme: str = SCHEME):
    return hd.CodedConcept(value, scheme, meaning)


def outcome(group) -> str:
    (evaluation,) = group.get_qualitative_evaluations()
    return evaluation.value.meaning


def value(group, name) -> float | None:
    measurements = group.get_measurements(name)
    return measurements[0].value if measurements else None


def test_each_answer_is_a_group_with_its_frame(groups):
    certainty = code("Certainty of Finding", "111012", "DCM")
    exit_ = code("Exit that answered", "exit")
    assert [group.tracking_identifier for group in groups] == [
        f"image {n}, frame {n}" for n in range(1, 5)
    ]
    assert [g.finding_type and g.finding_type.meaning for g in groups] == [
        "Pólyp", CLASSES[0], None, None,
    ]  # fmt: skip
    assert [value(group, certainty) for group in groups] == [87.5, 50.0, None, None]
    assert [value(group, exit_) for group in groups] == [2, 1, 4, None]
    images = [group.source_images[0] for group in groups]
    assert [image.referenced_frame_numbers for image in images] == [[1], [2], [3], [4]]
    assert {image.referenced_sop_instance_uid for image in images} == {VIDEO.instance}


def test_outcomes_are_in_words(groups):
    assert [outcome(group) for group in groups] == [
        "answered",
        "answered, cut short by the deadline: no promise holds",
        "referred to a human: unsure",
        "not answered: the image could not be read",
    ]


def test_the_report_says_what_its_answers_rest_on(made):
    (facts,) = [
        item
        for item in made.ContentSequence
        if item.ConceptNameCodeSequence[0].CodeMeaning == "Qualitative Evaluations"
    ]
    texts = {
        item.ConceptNameCodeSequence[0].CodeMeaning: item.TextValue
        for item in facts.ContentSequence
    }
    assert texts["Intended use"] == USE
    assert texts["Promise of the policy"] == PROMISE
    assert texts["Weights, SHA-256"] == WEIGHTS
    assert texts["Exits decided by"] == MODEL.decided_by
    assert made.CompletionFlag == "PARTIAL"
    assert made.VerificationFlag == "UNVERIFIED"
    assert made.PatientIdentityRemoved == "YES"
    assert made.SoftwareVersions == MODEL.version


def test_the_algorithm_is_named_in_each_group(made):
    (container,) = [
        item
        for item in made.ContentSequence
        if item.ConceptNameCodeSequence[0].CodeMeaning == "Imaging Measurements"
    ]
    for group in container.ContentSequence:
        texts = [item.TextValue for item in group.ContentSequence if "TextValue" in item]
        assert texts[1:] == [MODEL.name, MODEL.version, f"weights SHA-256 {WEIGHTS}"]


def test_the_evidence_is_the_image_and_no_other():
    made = written()
    (study,) = made.CurrentRequestedProcedureEvidenceSequence
    (series,) = study.ReferencedSeriesSequence
    (image,) = series.ReferencedSOPSequence
    assert image.ReferencedSOPInstanceUID == VIDEO.instance
    assert study.StudyInstanceUID == made.StudyInstanceUID == "1.2.3"


def test_an_answer_without_an_object_refers_to_none():
    made = written([replace(answer, image=None) for answer in ANSWERS], SourceFile("1.2.3"))
    assert "CurrentRequestedProcedureEvidenceSequence" not in made
    assert not [element for element in made.iterall() if element.keyword == "ReferencedSOPSequence"]


def test_a_frame_is_named_of_objects_of_frames_alone():
    still = replace(VIDEO, sop_class="1.2.840.10008.5.1.4.1.1.77.1.1")
    made = written([replace(ANSWERS[0], image=still)])
    assert not [e for e in made.iterall() if e.keyword == "ReferencedFrameNumber"]


def test_a_class_has_the_same_code_wherever_it_is_answered():
    assert class_code("polyp") == class_code("polyp")
    assert class_code("polyp").value != class_code("Polyp").value
    long = class_code("x\\" * 60)
    assert len(long.value) == 16
    assert len(long.meaning) == 64
    assert "\\" not in long.meaning
