"""Values of the pixels of one frame, by the codec that its transfer syntax names.

Frames that are not compressed are decoded in any process. Codecs in C meet hostile files, so
`worker.py` runs them in a separate process.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]

JPEG_EXTENDED = "1.2.840.10008.1.2.4.51"
# One codec each, so that the same file gives the same pixels wherever the extra is installed.
CODECS = {
    "1.2.840.10008.1.2.5": "pydicom",  # RLE
    JPEG_EXTENDED: "imagecodecs",  # 12 bits
    "1.2.840.10008.1.2.4.57": "gdcm",  # JPEG lossless
    "1.2.840.10008.1.2.4.70": "gdcm",
    "1.2.840.10008.1.2.4.80": "pyjpegls",  # JPEG-LS
    "1.2.840.10008.1.2.4.81": "pyjpegls",
    "1.2.840.10008.1.2.4.90": "pylibjpeg",  # JPEG 2000
    "1.2.840.10008.1.2.4.91": "pylibjpeg",
    "1.2.840.10008.1.2.4.201": "pylibjpeg",  # HTJ2K
    "1.2.840.10008.1.2.4.202": "pylibjpeg",
    "1.2.840.10008.1.2.4.203": "pylibjpeg",
}


@dataclass(frozen=True)
class Form:
    """What a codec must be told of the pixels.

    Attributes:
        transfer_syntax: UID of the transfer syntax, which says how the pixels are compressed.
        rows: Height in pixels.
        columns: Width in pixels.
        frames: Number of frames in the data.
        samples: Number of values of a pixel, 1 or 3.
        allocated: Bits that a value takes, 8 or 16.
        stored: Bits of it that count.
        photometric: Photometric interpretation, such as `YBR_FULL_422`.
        planar: Whether each colour has a separate plane.
        vr: Value representation of the data, `OB` or `OW`.
    """

    transfer_syntax: str
    rows: int
    columns: int
    frames: int
    samples: int
    allocated: int
    stored: int
    photometric: str
    planar: bool
    vr: str = "OB"


def decode_native(form: Form, data: bytes | memoryview, frame: int) -> Values:
    """Return the values of one frame of pixels that are not compressed.

    Args:
        form: Form of the pixels.
        data: Pixels of all frames.
        frame: Number of the frame, from 0.

    Returns:
        (rows, columns), or (rows, columns, 3) in RGB.
    """
    return _by_pydicom(form, data, frame, "")


def decode_frame(form: Form, data: bytes) -> Values:
    """Return the values of one compressed frame, as `decode_native` does.

    Raises:
        Exception: Whatever the codec meets in a damaged frame.
    """
    if form.transfer_syntax == JPEG_EXTENDED:
        import imagecodecs  # noqa: PLC0415  few frames are so

        return np.asarray(imagecodecs.jpeg_decode(data))
    from pydicom.encaps import encapsulate  # noqa: PLC0415  of the extra `dicom`

    if _mixes_colours(data):
        form = replace(form, photometric="RGB")  # which the codec then gives, whatever is written
    return _by_pydicom(form, encapsulate([data], has_bot=False), 0, CODECS[form.transfer_syntax])


def _mixes_colours(data: bytes) -> bool:
    """Return whether a JPEG 2000 codestream has the colour transform that its decoder takes back.

    Layout: ISO/IEC 15444-1, annex A (SOC and SIZ first, then COD with the transform).
    """
    start = data.find(b"\xff\x4f\xff\x51", 0, 1024)
    cod = data.find(b"\xff\x52", start) if start >= 0 else -1
    return cod >= 0 and data[cod + 8 : cod + 9] == b"\x01"


def _by_pydicom(form: Form, data: bytes | memoryview, frame: int, plugin: str) -> Values:
    from pydicom.pixels import get_decoder  # noqa: PLC0415

    options: dict[str, Any] = {
        "rows": form.rows,
        "columns": form.columns,
        "number_of_frames": form.frames,
        "samples_per_pixel": form.samples,
        "bits_allocated": form.allocated,
        "bits_stored": form.stored,
        "photometric_interpretation": form.photometric,
        "pixel_representation": 0,
        "planar_configuration": int(form.planar),
        "pixel_keyword": "PixelData",
        "pixel_vr": form.vr,
    }
    decoder = get_decoder(form.transfer_syntax)
    values: Values
    values, _ = decoder.as_array(
        data, index=frame, validate=False, decoding_plugin=plugin, **options
    )
    return values
