"""Answers on one object as a Comprehensive SR, by TID 1500 of DICOM PS3.16."""

import hashlib
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from endoexit.runtime.outputs.dicom.answers import WORDS, Answer, ModelFacts
from endoexit.runtime.outputs.dicom.making import MAKER, as_bytes, equipment, put_identity
from endoexit.runtime.outputs.dicom.quiet import quiet
from endoexit.runtime.outputs.dicom.source import Reference, SourceFile, fresh_uid

if TYPE_CHECKING:
    from highdicom.sr import CodedConcept, MeasurementsAndQualitativeEvaluations

SERIES_NUMBER = 9001
SCHEME = "99ENDOEXIT"
_TITLE = "Answers of a network, research use only"


def report(
    answers: Sequence[Answer], source: SourceFile, model: ModelFacts, series: str, number: int
) -> bytes:
    """Return answers on frames of one file as the file of a structured report.

    Each answer is a measurement group (TID 1501) with the frame, the class as finding, its
    probability as certainty in percent, the exit and the outcome. What holds for all of
    them, such as the promise of the policy, is in the report's qualitative evaluations.

    Args:
        answers: The answers, at least one.
        source: The file.
        model: Model that answered.
        series: UID of the series of the report.
        number: Number of the report in its series, from 1.
    """
    from highdicom.sr import ComprehensiveSR  # noqa: PLC0415  slow to import, and an extra

    images = {answer.image.instance: answer.image for answer in answers if answer.image is not None}
    with quiet():
        algorithm = _algorithm(model)
        first, *rest = (_group(answer, algorithm) for answer in answers)
        made = ComprehensiveSR(
            evidence=[_evidence(source, image) for image in (images.values() or [None])],
            content=_content(first, model),
            series_instance_uid=series,
            series_number=SERIES_NUMBER,
            sop_instance_uid=fresh_uid(),
            instance_number=number,
            series_description=_TITLE,
            coding_schemes=[_scheme()],
            **equipment(model),
        )
        if not images:
            del made.CurrentRequestedProcedureEvidenceSequence
        put_identity(made, source, removed=True)
        # One by one: the class copies and searches its content several times.
        groups = _container(made, "126010").ContentSequence
        for group in rest:
            groups.extend(group)
        return as_bytes(made)


def _evidence(source: SourceFile, image: Reference | None) -> Any:
    """Return an image as the class takes it, which copies what it finds: here, nothing."""
    from pydicom.dataset import Dataset  # noqa: PLC0415

    # A file that is no object has none to refer to. The class asks for one all the same.
    shown = image or Reference("1.2.840.10008.5.1.4.1.1.7", fresh_uid(), fresh_uid())
    reduced = Dataset()
    reduced.SOPClassUID, reduced.SOPInstanceUID = shown.sop_class, shown.instance
    reduced.StudyInstanceUID, reduced.SeriesInstanceUID = source.study, shown.series
    for keyword in (
        "PatientID", "PatientName", "PatientBirthDate", "PatientSex",
        "AccessionNumber", "StudyID", "StudyDate", "StudyTime",
    ):  # fmt: skip
        setattr(reduced, keyword, None)
    return reduced


def _content(first: "MeasurementsAndQualitativeEvaluations", model: ModelFacts) -> Any:
    from highdicom import sr  # noqa: PLC0415

    device = sr.DeviceObserverIdentifyingAttributes(
        uid=_model_uid(model), name=MAKER, manufacturer_name=MAKER, model_name=model.name
    )
    made = sr.MeasurementReport(
        observation_context=sr.ObservationContext(
            sr.ObserverContext(_code("121007", "Device", "DCM"), device)
        ),
        procedure_reported=_code("363679005", "Imaging procedure", "SCT"),
        imaging_measurements=[first],
    )
    facts = sr.ContainerContentItem(
        name=_code("C0034375", "Qualitative Evaluations", "UMLS"), relationship_type="CONTAINS"
    )
    facts.ContentSequence = sr.ContentSequence(
        [
            sr.TextContentItem(name=_code(code, name), value=text, relationship_type="CONTAINS")
            for code, name, text in model.lines()
        ]
    )
    made[0].ContentSequence.append(facts)
    return made


def _group(answer: Answer, algorithm: Any) -> "MeasurementsAndQualitativeEvaluations":
    from highdicom import sr  # noqa: PLC0415

    measurements, images = [], []
    if answer.probability is not None:
        percent = round(100 * answer.probability, 4)
        certainty = _code("111012", "Certainty of Finding", "DCM")
        measurements.append(sr.Measurement(certainty, percent, _code("%", "Percent", "UCUM")))
    if answer.exit is not None:
        one = _code("1", "no units", "UCUM")
        measurements.append(sr.Measurement(_code("exit", "Exit that answered"), answer.exit, one))
    if answer.image is not None:
        frames = [answer.frame + 1] if answer.image.names_frames else None
        images.append(
            sr.SourceImageForMeasurementGroup(answer.image.sop_class, answer.image.instance, frames)
        )
    name = f"image {answer.number}, frame {answer.frame + 1}"
    status = _code(answer.status.replace(" ", "-"), WORDS[answer.status])
    return sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(fresh_uid(), name),
        finding_type=None if answer.label is None else class_code(answer.label),
        algorithm_id=algorithm,
        measurements=measurements,
        qualitative_evaluations=[sr.QualitativeEvaluation(_code("outcome", "Outcome"), status)],
        source_images=images,
    )


def _algorithm(model: ModelFacts) -> Any:
    from highdicom.sr import AlgorithmIdentification  # noqa: PLC0415

    return AlgorithmIdentification(
        name=model.name, version=model.version, parameters=[f"weights SHA-256 {model.weights}"]
    )


def class_code(label: str) -> "CodedConcept":
    """Return the code of a class: the same for the same name, whichever model answered.

    A code has at most 16 characters, so that of a class is a hash of its name.
    """
    return _code(hashlib.sha256(label.encode()).hexdigest()[:16], label.replace("\\", "/")[:64])


@cache
def _code(value: str, meaning: str, scheme: str = SCHEME) -> "CodedConcept":
    from highdicom.sr import CodedConcept  # noqa: PLC0415

    return CodedConcept(value, scheme, meaning)


def _scheme() -> Any:
    from highdicom.coding_schemes import CodingSchemeIdentificationItem  # noqa: PLC0415

    return CodingSchemeIdentificationItem(
        designator=SCHEME, name="Codes of endoexit", responsible_organization=MAKER
    )


def _container(made: Any, code: str) -> Any:
    """Return the part of a report whose name has a code."""
    return next(
        item for item in made.ContentSequence if item.ConceptNameCodeSequence[0].CodeValue == code
    )


def _model_uid(model: ModelFacts) -> str:
    """Return a UID that is the same for the same weights."""
    digest = hashlib.sha256(b"model\0" + model.weights.encode()).digest()
    return f"2.25.{int.from_bytes(digest[:16])}"
