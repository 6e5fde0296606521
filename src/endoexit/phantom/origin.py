"""Which images were rendered by endoexit: by a mark in the file, or by the folder around it."""

from collections.abc import Collection
from pathlib import Path

SETTINGS_FILE = "phantom.json"

# A comment in every rendered JPEG. It stays with the file when it is copied or renamed.
MARK = b"SYNTHETIC IMAGE: rendered by endoexit, no patient, no endoscope."

_HEAD = 1024  # the comment comes before the tables and the pixels


def is_phantom(folder: Path) -> bool:
    """Tell whether a folder of images was rendered by `render_phantom`."""
    return (Path(folder) / SETTINGS_FILE).is_file()


def is_rendered(image: Path) -> bool:
    """Tell whether the file of an image was rendered by `render_phantom`.

    It is if it has the mark, wherever it is, or if a folder around it is a phantom. A file that
    cannot be read has no mark.
    """
    return any(is_phantom(folder) for folder in Path(image).absolute().parents) or _is_marked(image)


def all_rendered(images: Collection[Path]) -> bool:
    """Tell whether there are images, and all of them were rendered."""
    return bool(images) and all(is_rendered(image) for image in images)


def _is_marked(image: Path) -> bool:
    try:
        with Path(image).open("rb") as stream:
            return MARK in stream.read(_HEAD)
    except (OSError, ValueError):
        return False
