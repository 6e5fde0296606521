"""What all written objects share: identity, dates, equipment; and the file as bytes."""

import io
from typing import Any

from endoexit.errors import UsageError
from endoexit.runtime.outputs.dicom.answers import ModelFacts
from endoexit.runtime.outputs.dicom.source import SourceFile

MAKER = "endoexit"
_DATES = {"DA": "0101", "TM": "000000", "DT": "0101000000"}
_DROPPED = "Written new from an allow-list; UIDs by a keyed hash"


def check_installed() -> None:
    """Refuse to write where the packages of the extra `dicom` are missing.

    Raises:
        UsageError: They are.
    """
    try:
        import highdicom  # noqa: F401, PLC0415
    except ImportError as error:
        raise UsageError(
            "--dicom-out takes further packages: `pip install 'endoexit[dicom]'`."
        ) from error


def equipment(model: ModelFacts) -> dict[str, str]:
    """Return the options of highdicom that say which program wrote an object."""
    return {
        "manufacturer": MAKER,
        "manufacturer_model_name": model.name[:64],
        "software_versions": model.version,
        "specific_character_set": "ISO_IR 192",
    }


def put_identity(made: Any, source: SourceFile, *, removed: bool) -> None:
    """Put patient and study into an object that has neither; cut its dates to the year.

    The libraries never get these values: what they copy, check or log of them cannot be told.

    Args:
        made: Object of pydicom.
        source: File that it is about.
        removed: Whether neither attributes nor pixels can tell who the patient is.
    """
    for keyword, value in source.kept.items():
        if value or keyword != "IssuerOfPatientID":
            setattr(made, keyword, value)
    if source.dropped:
        made.PatientIdentityRemoved = "YES" if removed else "NO"
        made.DeidentificationMethod = _DROPPED
    if not source.keeps_dates:
        # What is answered at once would show the day of the examination. The standard asks for a
        # date, so the year stays.
        year = str(made.InstanceCreationDate)[:4]
        for element in made.iterall():
            if element.VR in _DATES and element.value:
                element.value = ("" if element.VR == "TM" else year) + _DATES[element.VR]


def as_bytes(made: Any) -> bytes:
    """Return an object as the content of a file.

    It is not written directly: the library hides what a full disk says.
    """
    stream = io.BytesIO()
    made.save_as(stream, enforce_file_format=True)
    return stream.getvalue()
