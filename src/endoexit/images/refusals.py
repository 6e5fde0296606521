"""Bounds of what is decoded, and the errors of a file that is not.

The readers raise these errors without the name of the file, which they do not know;
`read_image` puts it in front.
"""

from endoexit.errors import ImageError, counted

MAX_PIXELS = 100_000_000
MAX_BYTES = 512 * 2**20
MIN_SIDE = 8


def check_size(width: int, height: int) -> None:
    """Refuse by the header alone what is too large to decode or too small to mean anything.

    Raises:
        ImageError: It is so.
    """
    if width * height > MAX_PIXELS:
        raise too_large()
    if min(width, height) < MIN_SIDE:
        raise ImageError(
            f"is too small ({width}×{height} pixels, each side needs {MIN_SIDE} or more): "
            "restore the original image or remove it."
        )


def too_large() -> ImageError:
    """Return the error of an image of too many pixels."""
    return ImageError(
        f"is too large: its header announces more than {MAX_PIXELS // 10**6} megapixels, "
        "so it was not decoded; scale it down or remove it."
    )


def no_frame(frame: int, frames: int) -> ImageError:
    """Return the error of a frame that the file does not have."""
    return ImageError(
        f"has no frame {frame} ({counted(frames, 'frame')}, counted from 0): correct the "
        "number of the frame."
    )


def damaged(reason: object) -> ImageError:
    """Return the error of a file whose content is not whole."""
    return ImageError(
        f"is damaged or cut off ({reason}): copy it again from its source or remove it.",
        kind="damaged",
    )


def unsupported(form: str, what: str) -> ImageError:
    """Return the error of a valid file of a kind that is not read.

    Args:
        form: The format, such as `TIFF`.
        what: The property that is not supported, as a noun.
    """
    return ImageError(
        f"is a {form} of a kind that is not supported ({what}): convert it to 8 or 16 bits, "
        "grey or RGB, as PNG or TIFF.",
        kind="not supported",
    )
