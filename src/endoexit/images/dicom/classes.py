"""Which DICOM objects are taken for images: SOP classes by their UID."""

from endoexit.errors import ImageError

_STORAGE = "1.2.840.10008.5.1.4.1.1"
_ACCEPTED = {
    f"{_STORAGE}.77.1.1": "VL Endoscopic Image Storage",
    f"{_STORAGE}.77.1.1.1": "Video Endoscopic Image Storage",
    f"{_STORAGE}.77.1.4": "VL Photographic Image Storage",
    f"{_STORAGE}.77.1.4.1": "Video Photographic Image Storage",
    f"{_STORAGE}.7": "Secondary Capture Image Storage",
    f"{_STORAGE}.7.1": "Multi-frame Single Bit Secondary Capture Image Storage",
    f"{_STORAGE}.7.2": "Multi-frame Grayscale Byte Secondary Capture Image Storage",
    f"{_STORAGE}.7.3": "Multi-frame Grayscale Word Secondary Capture Image Storage",
    f"{_STORAGE}.7.4": "Multi-frame True Color Secondary Capture Image Storage",
}


def check_class(uid: str) -> None:
    """Refuse an object that is no endoscopic image, photograph or secondary capture.

    Args:
        uid: UID of its SOP class; empty where it has none.

    Raises:
        ImageError: It is of another class. The error names the class if the standard does; another
            UID may tell whose device it is, and is not shown.
    """
    if uid in _ACCEPTED:
        return
    raise ImageError(
        f"is a DICOM object of another class ({_name(uid)}): of DICOM, endoscopic and "
        "photographic images and videos and secondary captures are read; leave it out, or store "
        "it again as one of these.",
        kind="not supported",
    )


def _name(uid: str) -> str:
    from pydicom.uid import UID_dictionary  # noqa: PLC0415  of the extra `dicom`

    if not uid:
        return "none is given"
    return UID_dictionary[uid][0] if uid in UID_dictionary else "one that the standard lacks"
