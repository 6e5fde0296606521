"""What an output may know of the file that images are frames of: attributes by allow-list."""

import hashlib
import hmac
import re
from dataclasses import dataclass, field
from typing import Literal

from endoexit.errors import ImageError
from endoexit.images.dicom.elements import DataSet, read_data_set
from endoexit.images.dicom.header import FRAMES, SOP_CLASS, Header, frames_of
from endoexit.images.dicom.recognise import HEAD_BYTES, is_dicom
from endoexit.images.formats import format_of
from endoexit.runtime.outputs.dicom.quiet import quiet

Identity = Literal["drop", "keep"]

_INSTANCE, _SERIES, _STUDY = 0x00080018, 0x0020000E, 0x0020000D
_BURNED_IN, _LOSSY, _CHARACTERS = 0x00280301, 0x00282110, 0x00080005
_FORM = frozenset({
    SOP_CLASS, FRAMES, _INSTANCE, _SERIES, _STUDY, _BURNED_IN, _LOSSY,
    *range(0x00280002, 0x00280012), *range(0x00280100, 0x00280104),
})  # fmt: skip
# What an object of the same patient and study must share, and no more: keyword and VR by tag.
KEPT = {
    0x00080020: ("StudyDate", "DA"),
    0x00080030: ("StudyTime", "TM"),
    0x00080050: ("AccessionNumber", "SH"),
    0x00080090: ("ReferringPhysicianName", "PN"),
    0x00100010: ("PatientName", "PN"),
    0x00100020: ("PatientID", "LO"),
    0x00100021: ("IssuerOfPatientID", "LO"),
    0x00100030: ("PatientBirthDate", "DA"),
    0x00100040: ("PatientSex", "CS"),
    0x00200010: ("StudyID", "SH"),
}
# By these an archive finds the patient and the study again: a wrong one would file it wrongly.
_DECISIVE = {"PatientID", "IssuerOfPatientID"}
_UID = re.compile(r"(0|[1-9]\d*)(\.(0|[1-9]\d*))+")
# Only of objects of these classes may a frame be named.
_OF_FRAMES = {
    f"1.2.840.10008.5.1.4.1.1.{tail}"
    for tail in ("7.1", "7.2", "7.3", "7.4", "77.1.1.1", "77.1.4.1")
}
_WITH_LOSS = {"1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51"}


@dataclass(frozen=True)
class Reference:
    """An image object that a report refers to.

    Attributes:
        sop_class: UID of its class.
        instance: UID of the object.
        series: UID of its series.
        frames: Number of its frames.
    """

    sop_class: str
    instance: str
    series: str
    frames: int = 1

    @property
    def names_frames(self) -> bool:
        """Whether a reference to it names the frame."""
        return self.frames > 1 and self.sop_class in _OF_FRAMES


@dataclass(frozen=True)
class SourceFile:
    """What an output may know of the file that images are frames of.

    Attributes:
        study: UID of the study that the output belongs to.
        image: Object that the file is; None for a file that is no DICOM object, and for an object
            without UIDs.
        kept: Values of the patient and the study by keyword; empty where identity is dropped.
        dropped: Whether the file has an identity that the output leaves out.
        keeps_dates: Whether dates and times in the output are whole.
        burned_in: Whether the pixels may show text that tells who the patient is.
        stored_bytes: Bytes of one frame that was compressed with loss; None for no such frame.
    """

    study: str
    image: Reference | None = None
    kept: dict[str, str] = field(default_factory=dict)
    dropped: bool = False
    keeps_dates: bool = False
    burned_in: bool = True
    stored_bytes: float | None = None


def read_source(data: bytes, identity: Identity, key: bytes) -> SourceFile:
    """Return what an output may know of a file.

    With `drop`, UIDs are replaced by a keyed hash: objects of one study stay together, and only
    whoever has the key can tell which study it is. With `keep`, they are those of the file. A file
    that is no DICOM object gets a separate study, as nothing says whose it is.

    Args:
        data: Content of the file.
        identity: Whether the identity is dropped or kept.
        key: Secret key of replaced UIDs; not needed with `keep`.

    Raises:
        ImageError: The data set is damaged, or its identity cannot be kept.
    """
    if not is_dicom(data[:HEAD_BYTES]):
        stored = len(data) if format_of(data) == "JPEG" else None
        return SourceFile(fresh_uid(), keeps_dates=identity == "keep", stored_bytes=stored)
    wanted = _FORM if identity == "drop" else _FORM | KEPT.keys() | {_CHARACTERS}
    data_set = read_data_set(data, wanted)
    read = _Texts(data_set)
    uids = {tag: read.uid(tag) for tag in (_STUDY, _SERIES, _INSTANCE)}
    kept: dict[str, str] = {}
    if identity == "keep":
        if not all(uids.values()):
            raise ImageError(
                "cannot be written with its identity, as the UID of its study, series or object "
                "is missing or not valid: correct it, or write with --identity drop."
            )
        with quiet():
            kept = read.kept()
    else:
        uids = {tag: _hashed(uid, key) if uid else "" for tag, uid in uids.items()}
    image = Reference(
        read.ascii(SOP_CLASS), uids[_INSTANCE], uids[_SERIES], max(1, frames_of(data_set))
    )
    return SourceFile(
        study=uids[_STUDY] or fresh_uid(),
        image=image if image.instance and image.series else None,
        kept=kept,
        dropped=identity == "drop",
        keeps_dates=identity == "keep",
        burned_in=read.ascii(_BURNED_IN) != "NO",
        stored_bytes=_stored_bytes(data_set, with_loss=read.ascii(_LOSSY) == "01"),
    )


def fresh_uid() -> str:
    """Return a new UID that says nothing of who made it, when or where."""
    import uuid  # noqa: PLC0415

    return f"2.25.{uuid.uuid4().int}"


def _hashed(uid: str, key: bytes) -> str:
    digest = hmac.new(key, b"uid\0" + uid.encode(), hashlib.sha256).digest()
    return f"2.25.{int.from_bytes(digest[:16])}"


def _stored_bytes(data_set: DataSet, *, with_loss: bool) -> float | None:
    """Return the bytes of one frame where the pixels lost something; as they are now stored."""
    if not with_loss and data_set.transfer_syntax not in _WITH_LOSS:
        return None
    header = Header.of(data_set)
    if header.native:
        return float(header.frame_bytes)
    return sum(length for _, length in data_set.fragments[1:]) / header.frames


class _Texts:
    """Values of allowed attributes as text."""

    def __init__(self, data_set: DataSet) -> None:
        self._values = data_set.values

    def ascii(self, tag: int) -> str:
        return self._values.get(tag, b"").decode("ascii", "replace").rstrip("\0 ").strip()

    def uid(self, tag: int) -> str:
        """Return a UID; empty for one that is missing or not valid."""
        text = self.ascii(tag)
        return text if len(text) <= 64 and _UID.fullmatch(text) else ""

    def kept(self) -> dict[str, str]:
        """Return the values of `KEPT` by keyword; one that breaks its form is left empty.

        Raises:
            ImageError: The patient's id, or its issuer, breaks its form.
        """
        from pydicom.charset import convert_encodings  # noqa: PLC0415  of the extra `dicom`

        names = self.ascii(_CHARACTERS).split("\\")
        try:
            encodings = convert_encodings(names)
        except (LookupError, ValueError):
            encodings = ["ascii"]
        kept = {}
        for tag, (keyword, vr) in KEPT.items():
            value = self._values.get(tag, b"").rstrip(b"\0 ")
            text = _decoded(value, vr, encodings)
            if text is None and keyword in _DECISIVE:
                raise ImageError(
                    "cannot be written with its identity, as the id of its patient breaks the "
                    "rules of DICOM: correct it, or write with --identity drop."
                )
            kept[keyword] = text or ""
        return kept


def _decoded(value: bytes, vr: str, encodings: list[str]) -> str | None:
    """Return a value as text; None for one that breaks the form of its VR."""
    from pydicom.charset import TEXT_VR_DELIMS, decode_bytes  # noqa: PLC0415
    from pydicom.config import RAISE  # noqa: PLC0415
    from pydicom.valuerep import PN_DELIMS, validate_value  # noqa: PLC0415

    delimiters = PN_DELIMS if vr == "PN" else TEXT_VR_DELIMS
    coded = vr in ("PN", "LO", "SH")
    try:
        text: str = decode_bytes(value, encodings if coded else ["ascii"], delimiters)
        validate_value(vr, text, RAISE)
    except (LookupError, ValueError):
        return None
    text = text.strip()
    return text if text.isprintable() and not {"\\", "\ufffd"} & set(text) else None
