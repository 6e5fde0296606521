"""Which objects are of one patient, without saying which one: a keyed hash of the patient's id."""

import hashlib
import hmac

from endoexit.errors import ImageError
from endoexit.images.dicom.elements import read_data_set
from endoexit.images.dicom.recognise import HEAD_BYTES, is_dicom

# Read for this hash alone; the values never leave this file.
_PATIENT = 0x00100020
_ISSUER = 0x00100021
_STUDY = 0x0020000D
_DIGITS = 16


def patient_group(data: bytes, key: bytes) -> str:
    """Return a name for the patient of a DICOM object: `patient-` and 16 digits.

    It is the HMAC-SHA-256 of the patient's id with its issuer, or, where there is no id, of the UID
    of the study. Only whoever has the key can try out ids until one fits.

    Args:
        data: Content of a file.
        key: Secret key. The same key gives the same names.

    Returns:
        The name; empty for a file that is no DICOM object or names neither patient nor study.
    """
    if not is_dicom(data[:HEAD_BYTES]):
        return ""
    try:
        values = read_data_set(data, frozenset({_PATIENT, _ISSUER, _STUDY})).values
    except ImageError:
        return ""
    patient, issuer, study = (
        values.get(tag, b"").strip(b"\0 ") for tag in (_PATIENT, _ISSUER, _STUDY)
    )
    if not (patient or study):
        return ""
    text = b"patient\0" + issuer + b"\0" + patient if patient else b"study\0" + study
    return f"patient-{hmac.new(key, text, hashlib.sha256).hexdigest()[:_DIGITS]}"
