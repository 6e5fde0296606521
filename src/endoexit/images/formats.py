"""Which image files are read: the formats, the names of their files, their first bytes."""

from endoexit.images.dicom.recognise import HEAD_BYTES, is_dicom

# The decoders are plain libraries: no EPS (starts Ghostscript), no PDF, no network.
_SUFFIXES = {
    "JPEG": ".jpg .jpeg .jpe .jfif .jif .mpo",
    "PNG": ".png .apng",
    "TIFF": ".tif .tiff",
    "BMP": ".bmp .dib",
    "WEBP": ".webp",
    "GIF": ".gif",
    "JPEG2000": ".jp2 .j2k .j2c .jpc .jpf .jpx .jpm",
    "PPM": ".ppm .pgm .pbm .pnm",
    "DICOM": ".dcm .dic .dicom",
}

FORMATS = tuple(_SUFFIXES)

# In lower case. Every command finds the images of a folder by this list.
IMAGE_SUFFIXES = frozenset(" ".join(_SUFFIXES.values()).split())

_SIGNATURES = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0", "TIFF"),  # BigTIFF
    (b"MM\0+", "TIFF"),
    (b"BM", "BMP"),
    (b"GIF8", "GIF"),
    (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG2000"),
    (b"\xff\x4f\xff\x51", "JPEG2000"),
    (b"P7\n", "PAM"),
    (b"Pf\n", "PFM"),
    (b"PF\n", "PFM"),
    *((b"P%d" % kind, "PPM") for kind in range(1, 7)),
)


def format_of(data: bytes) -> str | None:
    """Return the name of the format that the first bytes of a file announce.

    The name is one of `FORMATS`, or `PAM` or `PFM`, which are known but not read.
    """
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    known = next((name for start, name in _SIGNATURES if data.startswith(start)), None)
    # The preamble of a DICOM object may begin as a TIFF: then it is both, and read as DICOM.
    return "DICOM" if is_dicom(data[:HEAD_BYTES]) else known
