"""Paths of a manifest on this machine's disk, though another machine wrote them."""

import unicodedata
from pathlib import Path, PurePosixPath, PureWindowsPath

from endoexit.errors import DataError
from endoexit.naming import naming


class Finder:
    """Finds the files that a manifest names, below its root.

    A path is taken as it is where such a file exists. Otherwise backslashes may separate its
    folders, its accents may be composed otherwise than on the disk, and of a full path of another
    machine the longest end that exists below the root is meant.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._listed: dict[Path, dict[str, str]] = {}

    def find(self, text: str, where: str) -> str:
        """Return the path of a file relative to the root; of a missing one, the text in order.

        Args:
            text: Path as the manifest has it.
            where: File and line of the manifest, for the error.

        Raises:
            DataError: It leads out of the root.
        """
        for pure in (
            PurePosixPath(text),
            PurePosixPath(text.strip()),
            PureWindowsPath(text.strip()),
        ):
            full = bool(pure.anchor)
            parts = [part for part in pure.parts if part != pure.anchor]
            if ".." in parts:
                break
            for start in range(len(parts) if full else 1):
                path = self._existing(parts[start:])
                if path is not None:
                    return path
        windows = PureWindowsPath(text)
        if windows.anchor or ".." in windows.parts or ".." in PurePosixPath(text).parts:
            raise DataError(
                f"{where}: {f'path {naming().shown(repr(text))}'.rstrip()} leaves the data root; "
                "write paths relative to the root, without '..'."
            )
        return PurePosixPath(text).as_posix()

    def _existing(self, parts: list[str]) -> str | None:
        if not parts:
            return None
        if self._root.joinpath(*parts).is_file():
            return "/".join(parts)
        here, names = self._root, []
        for part in parts:
            name = self._names(here).get(_form(part))
            if name is None:
                return None
            names.append(name)
            here /= name
        return "/".join(names) if here.is_file() else None

    def _names(self, folder: Path) -> dict[str, str]:
        if folder not in self._listed:
            try:
                names = sorted(entry.name for entry in folder.iterdir())
            except OSError:
                names = []
            self._listed[folder] = {_form(name): name for name in names}
        return self._listed[folder]


def _form(name: str) -> str:
    return unicodedata.normalize("NFC", name).strip()
