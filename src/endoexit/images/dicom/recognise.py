"""Whether a file is a DICOM object: told by its content, never by its name."""

import re
import stat
from pathlib import Path

_PREAMBLE = 128
_MAGIC = b"DICM"
HEAD_BYTES = _PREAMBLE + len(_MAGIC)

# The first element of a data set without preamble: (0002,00xx) or (0008,00xx), then a VR that
# such an element has, or the length of an implicit one. The last form is big endian.
_DATA_SET = re.compile(
    rb"\x02\x00[\x00-\x16]\x00(UL|OB|UI)"
    rb"|\x08\x00[\x00-\x18]\x00(UL|CS|UI|DA|SH|LO)"
    rb"|\x08\x00[\x00-\x18]\x00[\x00-\x40]\x00\x00\x00"
    rb"|\x00\x08\x00[\x00-\x18](UL|CS|UI|DA|SH|LO)",
    re.DOTALL,
)
_ENVELOPED = bytes.fromhex("06092a864886f70d0107")  # object identifier of CMS, in DER


def is_dicom(head: bytes) -> bool:
    """Return whether the first `HEAD_BYTES` of a file, or all of it, begin a DICOM object.

    They do with `DICM` after a preamble of 128 bytes. Old programs leave both out; then the first
    element of the data set must be one that data sets begin with.
    """
    return head[_PREAMBLE:HEAD_BYTES] == _MAGIC or _DATA_SET.match(head) is not None


def begin_of_data(data: bytes) -> int:
    """Return where the elements of a DICOM object begin."""
    return HEAD_BYTES if data[_PREAMBLE:HEAD_BYTES] == _MAGIC else 0


def is_dicom_file(path: Path) -> bool:
    """Return whether a file begins as a DICOM object; a pipe or what cannot be read does not."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return False
        with path.open("rb") as stream:
            return is_dicom(stream.read(HEAD_BYTES))
    except OSError:
        return False


def is_encrypted(head: bytes) -> bool:
    """Return whether a file is an encrypted envelope (CMS), as secure DICOM media hold."""
    return head[:1] == b"\x30" and _ENVELOPED in head[:32]
