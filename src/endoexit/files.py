"""Files that are written whole or not at all, and read with clear errors."""

import contextlib
import errno
import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from endoexit.errors import EndoexitError, UsageError, WriteError

# What a checkout of git without LFS has in place of large files.
_LFS = b"version https://git-lfs.github.com/spec/"
LFS_FAULT = "is a pointer of git LFS, not the file itself: run `git lfs pull`."
_NEEDS_QUOTES = re.compile(r"""[,;\t\r\n\v\f\x1c-\x1e\x85\u2028\u2029"]|^\s|\s$|^sep=|\ufeff""")
# What a disk says that takes no more, whichever file was being written.
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def require_new_folder(path: Path) -> None:
    """Raise UsageError unless a folder does not exist yet, or is empty."""
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise UsageError(f"{path} exists already: name a new folder, or remove it first.")


def optional_path(path: str | Path | None) -> Path | None:
    """Return a path that a caller may leave out, or give as text."""
    return None if path is None else Path(path)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path next to `path`; rename it over `path` on success.

    A crash, a kill or a full disk leaves the old file as it was. The temporary
    file is flushed to the disk before the rename.

    Raises:
        WriteError: The file cannot be written (disk full, no permission). What else the block
            raises is not touched.
    """
    path = Path(path)
    with _committing(path, lambda temporary: temporary.replace(path)) as temporary:
        yield temporary


def write_once(path: Path, content: bytes) -> bool:
    """Write a file whole or not at all, unless there is one already; return whether it was written.

    Of several processes or machines that write it at the same time, one does.

    Args:
        path: The file.
        content: Its content.

    Raises:
        WriteError: It cannot be written.
    """
    written = True

    def commit(temporary: Path) -> None:
        nonlocal written
        try:
            path.hardlink_to(temporary)
        except FileExistsError:
            written = False
        except OSError:  # a file system without hard links
            written = not path.exists()
            if written:
                temporary.replace(path)

    with _committing(path, commit) as temporary:
        temporary.write_bytes(content)
    return written


@contextlib.contextmanager
def _committing(path: Path, commit: Callable[[Path], object]) -> Iterator[Path]:
    """Yield a temporary path next to `path`; flush it to the disk and commit it on success."""
    with _naming(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
        os.close(handle)
    temporary = Path(name)
    try:
        with _naming(path, only=temporary):
            yield temporary
        with _naming(path):
            with temporary.open("rb+") as stream:
                os.fsync(stream.fileno())
            temporary.chmod(0o666 & ~_umask())
            commit(temporary)
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary folder next to `path`; rename it to `path` on success.

    Args:
        path: A folder that does not exist, or is empty.

    Raises:
        WriteError: The folder or a file in it cannot be written. What else the block raises is
            not touched.
    """
    path = Path(path)
    with _naming(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        name = tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
    temporary = Path(name)
    try:
        with _naming(path, only=temporary):
            yield temporary
        with _naming(path):
            temporary.chmod(0o777 & ~_umask())
            temporary.replace(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def make_folder(path: Path) -> None:
    """Make a folder, and those above it, where it does not exist.

    Raises:
        WriteError: It cannot be made.
    """
    with _naming(path):
        path.mkdir(parents=True, exist_ok=True)


@contextlib.contextmanager
def _naming(path: Path, *, only: Path | None = None) -> Iterator[None]:
    """Turn what the system refuses into an error that names `path`.

    Args:
        path: File or folder that was to be written.
        only: File or folder; None for any. Errors about others pass, unless the disk is full.
    """
    try:
        yield
    except OSError as error:
        if only is not None and not _is_about(error, only):
            raise
        raise WriteError(
            f"cannot write {path}: {why_refused(path, error)}. Nothing was changed; "
            f"{remedy_of(error)}."
        ) from error


def why_refused(path: Path, error: OSError) -> str:
    """Return why the system does not let a path be written: what is in its way, by name."""
    above = next((part for part in path.parents if os.access(part, os.F_OK)), None)
    if above is not None and not above.is_dir():
        return f"{above} is a file, not a folder"
    if above is not None and above != path.parent:
        return f"no folder can be made in {above} ({error.strerror or error})"
    return error.strerror or str(error)


def remedy_of(error: OSError) -> str:
    """Return what a user can do about a path that cannot be written."""
    space = "free space or " if is_full(error) else ""
    return f"{space}choose another folder and run again"


def _is_about(error: OSError, path: Path) -> bool:
    names = [name for name in (error.filename, error.filename2) if isinstance(name, str | bytes)]
    inside = any(Path(os.fsdecode(name)).is_relative_to(path) for name in names)
    return inside or is_full(error)


def is_full(error: OSError) -> bool:
    """Return whether a disk, a quota or a limit on file sizes takes no more."""
    return error.errno in _FULL


@contextlib.contextmanager
def naming_the_cause(path: Path, size: int, *errors: type[Exception]) -> Iterator[None]:
    """Raise the system's error where a library that writes a file hides it behind one of `errors`.

    The system is asked again, with a file of the same size. An error that has another cause
    is raised as it is.

    Args:
        path: File that the block writes, and that has no content worth keeping.
        size: Its size in bytes, at least.
        errors: Errors of the library.

    Raises:
        OSError: The file cannot be written.
    """
    try:
        yield
    except errors as error:
        try:
            _write_zeros(path, size)
        except OSError as cause:
            raise cause from error
        finally:
            path.unlink(missing_ok=True)
        raise


def _write_zeros(path: Path, size: int) -> None:
    chunk = bytes(2**20)
    with path.open("wb") as stream:
        for _ in range(size // len(chunk) + 2):  # headers, and what the system rounds up
            stream.write(chunk)
        stream.flush()
        os.fsync(stream.fileno())


def _umask() -> int:
    umask = os.umask(0)
    os.umask(umask)
    return umask


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def csv_line(values: Iterable[object]) -> str:
    """Return one line of a CSV, with its line end; any reader of CSV gives the values back.

    Python's own writer leaves a carriage return without quotes in some of its versions, and then
    no program reads the line again. Here whatever might be taken for something else is quoted.

    Args:
        values: Values of the fields; None becomes an empty field.
    """
    fields = ["" if value is None else str(value) for value in values]
    line = ",".join(_quoted(field) if _NEEDS_QUOTES.search(field) else field for field in fields)
    return (line or '""') + "\n"


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Iterable[object]]) -> None:
    """Write a table as CSV in UTF-8, whole or not at all."""
    write_text(path, "".join(map(csv_line, (header, *rows))))


def _quoted(text: str) -> str:
    doubled = text.replace('"', '""')
    return f'"{doubled}"'


def write_json(path: Path, document: Any) -> None:
    """Write `document` as indented JSON; NaN and infinity are refused (ValueError)."""
    write_text(path, json.dumps(document, indent=2, allow_nan=False, ensure_ascii=False) + "\n")


def is_lfs_pointer(content: bytes) -> bool:
    """Return whether a file's content, or its beginning, is a pointer of git LFS."""
    return content.startswith(_LFS)


def refuse_lfs_pointer(path: Path, error: type[EndoexitError] = EndoexitError) -> None:
    """Refuse a pointer of git LFS in place of the file that it points to.

    Args:
        path: File that is about to be read; it need not exist.
        error: Class of the error that is raised.
    """
    try:
        with Path(path).open("rb") as stream:
            beginning = stream.read(len(_LFS))
    except OSError:
        return  # whoever reads the file says what is wrong
    if is_lfs_pointer(beginning):
        raise error(f"{path} {LFS_FAULT}")


def read_json(path: Path, error: type[EndoexitError] = EndoexitError) -> Any:
    """Read a JSON document.

    Args:
        path: The file.
        error: Class of the error raised when it is missing or not JSON.
    """
    refuse_lfs_pointer(path, error)
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError as cause:
        raise error(f"{path} does not exist.") from cause
    except (json.JSONDecodeError, UnicodeDecodeError) as cause:
        raise error(f"{path} is not valid JSON ({cause}); restore or remake it.") from cause


def sha256_bytes(data: bytes) -> str:
    """Return the hexadecimal SHA-256 of `data`."""
    return hashlib.sha256(data).hexdigest()


def sha256_file(path: Path) -> str:
    """Return the hexadecimal SHA-256 of a file's content."""
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
