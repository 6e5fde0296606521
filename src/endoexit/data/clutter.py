"""What lies in folders of images and is none: leftovers of systems, files of other kinds."""

import re
from collections import Counter, defaultdict
from pathlib import Path, PurePosixPath
from typing import Any

from endoexit.errors import counted
from endoexit.images.dicom.recognise import is_dicom_file
from endoexit.images.formats import IMAGE_SUFFIXES
from endoexit.naming import naming

# In lower case. Names that begin with a dot (.DS_Store, ._a.jpg, .git, .Trash-1000, .snapshot,
# .@__thumb, .ipynb_checkpoints) are passed over without being listed here.
SYSTEM_NAMES = frozenset((
    # NAS boxes: Synology, QNAP, NetApp, Buffalo
    "@eadir", "@tmp", "@appdata", "@appstore", "@database", "@docker", "@s2s", "@sharebin",
    "@sharesnap", "#recycle", "#snapshot", "@recycle", "@recently-snapshot", "~snapshot",
    "trashbox",
    "$recycle.bin", "recycler", "recycled", "system volume information", "config.msi",  # Windows
    "windowsimagebackup", "thumbs.db", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini",
    "__macosx", "network trash folder", "temporary items", "icon\r",  # macOS
    "lost+found", "lost.dir",  # Linux, Android
    "dicomdir",  # the table of contents of DICOM media
    "__pycache__",
))  # fmt: skip
_RESCUED = re.compile(r"found\.\d{3}", re.IGNORECASE)  # what Windows found on a damaged disk
_EXAMPLES = 3


def is_clutter(name: str) -> bool:
    """Return whether a file or folder of this name was left by a system, or is hidden."""
    return name.startswith(".") or name.lower() in SYSTEM_NAMES or bool(_RESCUED.fullmatch(name))


def is_image(path: Path) -> bool:
    """Return whether a file is taken for an image: by its suffix, or as DICOM by its first bytes.

    Files of a suffix that images have are not opened.
    """
    return path.suffix.lower() in IMAGE_SUFFIXES or is_dicom_file(path)


class PassedOver:
    """Files that were passed over: no images by their names, nor DICOM by their content."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._examples: defaultdict[str, list[str]] = defaultdict(list)

    def __len__(self) -> int:
        return self._counts.total()

    def add(self, path: str) -> None:
        """Count one file."""
        suffix = PurePosixPath(path).suffix.lower()
        self._counts[suffix] += 1
        if len(self._examples[suffix]) < _EXAMPLES:
            self._examples[suffix].append(path)

    def words(self) -> str:
        """Return how many there are of each suffix, with a few of them if paths may be shown."""
        kinds = []
        for suffix, count in self._counts.most_common():
            paths = self._examples[suffix]
            more = ", ..." if count > len(paths) else ""
            examples = f" ({', '.join(paths)}{more})" if naming().shows_paths else ""
            kinds.append(f"{count} {suffix or 'without suffix'}{examples}")
        return f"Passed over, no image by its suffix: {counted(len(self), 'file')}: " + "; ".join(
            kinds
        )

    def document(self) -> list[dict[str, Any]]:
        """Return the same as JSON values."""
        return [
            {
                "suffix": suffix,
                "files": count,
                "examples": list(self._examples[suffix]) if naming().shows_paths else [],
            }
            for suffix, count in self._counts.most_common()
        ]
