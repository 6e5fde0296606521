"""One file over HTTP: resumed after a break, and never put together from two versions of it.

Requests is the library: it reads proxies and certificates from the environment and gives the
stream of the answer, from which the ranges of RFC 9110 need a page of code. pooch, which other
libraries of the field use for data sets, starts anew after every break.
"""

import contextlib
import math
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import requests
import urllib3
from filelock import FileLock, Timeout
from pydantic import ValidationError

from endoexit import __version__
from endoexit.documents import Record
from endoexit.errors import DataError, UsageError, WriteError
from endoexit.files import is_full, make_folder, read_json, write_json
from endoexit.progress import Track, silent

MIB = 2**20
ATTEMPTS = 5  # so many in a row without one new byte, then it fails
_WAIT = (20.0, 60.0)  # seconds for a connection, and between two pieces of the answer
_PASSING = {408, 425, 429, 500, 502, 503, 504}  # faults of a server that may pass
_GONE = {404, 410}
_WHOLE, _PART, _NO_SUCH_RANGE = 200, 206, 416


class Started(Record):
    """What a partial file is a part of; `<name>.part.json`.

    Attributes:
        url: Address that it comes from.
        validator: Strong ETag of the file, or else the date of its last change; None where the
            server names neither.
        size: Number of bytes of the whole file; None where the server does not say.
    """

    url: str
    validator: str | None
    size: int | None


class _BrokenError(Exception):
    """The connection broke, or the server has a fault that may pass."""


class _GoneError(Exception):
    """The address has no such file."""


def download(
    urls: Sequence[str],
    target: Path,
    *,
    max_bytes: int,
    track: Track = silent,
    pause: Callable[[float], None] = time.sleep,
) -> str:
    """Download a file to `target`, or what is missing of it; return the address that had it.

    The part that is there after a break, a kill or a full disk is kept as `<name>.part`. The next
    call asks for the rest, on the condition that the file is still the same one. Where it is not,
    or where the server knows no ranges, the download starts anew.

    Args:
        urls: Addresses, tried in this order where one of them has no such file.
        target: File that is made; its folder is made if necessary.
        max_bytes: Number of bytes after which the download is refused.
        track: Shows progress in MiB.
        pause: Waits so many seconds before another attempt.

    Raises:
        UsageError: An address is no address.
        DataError: No server has the file, it cannot be reached, it breaks again and again, or the
            file is too large.
        WriteError: The disk is full, or the folder cannot be written.
    """
    make_folder(target.parent)
    with alone(target):
        return _first_that_has_it(_Transfer(target, max_bytes, track, pause), urls)


@contextlib.contextmanager
def alone(path: Path) -> Iterator[None]:
    """Keep other processes from making the same file or folder; its folder exists.

    Raises:
        DataError: Another process makes it.
    """
    try:
        lock = FileLock(path.with_name(f".{path.name}.lock")).acquire(timeout=0)
    except Timeout:
        raise DataError(
            f"another process is making {path}: wait for its end, or stop it first."
        ) from None
    with lock:
        yield


def _first_that_has_it(transfer: "_Transfer", urls: Sequence[str]) -> str:
    for url in urls:
        try:
            transfer.run(url)
        except _GoneError:
            continue
        return url
    raise DataError(
        f"no address has {transfer.target.name} any more ({', '.join(urls)}): look for it on the "
        "authors' page, download it, and give it with --from FILE."
    )


@dataclass(frozen=True)
class _Transfer:
    target: Path
    max_bytes: int
    track: Track
    pause: Callable[[float], None]

    @property
    def part(self) -> Path:
        return self.target.with_name(f"{self.target.name}.part")

    @property
    def notes(self) -> Path:
        return self.target.with_name(f"{self.target.name}.part.json")

    @property
    def have(self) -> int:
        return self.part.stat().st_size if self.part.is_file() else 0

    def run(self, url: str) -> None:
        """Attempt until the file is whole, as long as attempts bring anything."""
        without = 0
        with requests.Session() as session:
            session.headers.update(
                {"User-Agent": f"endoexit/{__version__}", "Accept-Encoding": "identity"}
            )
            while True:
                before = self.have
                try:
                    self._attempt(session, url)
                    break
                except _BrokenError as error:
                    without = 0 if self.have > before else without + 1
                    if without == ATTEMPTS:
                        raise DataError(
                            f"{url} cannot be downloaded: {error}. {self._kept()} Run the same "
                            "command again to continue, or download it otherwise and give it with "
                            "--from FILE."
                        ) from error
                    self.pause(min(30.0, 0.5 * 2**without))
        self.part.replace(self.target)
        self.notes.unlink(missing_ok=True)

    def _kept(self) -> str:
        have = self.have
        return f"The first {have / MIB:.1f} MiB are kept in {self.part}." if have else ""

    def _attempt(self, session: requests.Session, url: str) -> None:
        started = self._started(url)
        asked = {}
        if started is not None and started.validator is not None and self.have:
            asked = {"Range": f"bytes={self.have}-", "If-Range": started.validator}
        try:
            with session.get(url, headers=asked, stream=True, timeout=_WAIT) as answer:
                self._take(answer, url, started if asked else None)
        except requests.exceptions.SSLError as error:
            raise DataError(
                f"the certificate of {url} cannot be verified ({error}). Name the certificates of "
                "your network in REQUESTS_CA_BUNDLE, or download the file with a browser and give "
                "it with --from FILE."
            ) from error
        except requests.exceptions.ProxyError as error:
            raise DataError(
                f"the proxy that the environment names (HTTPS_PROXY, HTTP_PROXY) does not lead to "
                f"{url} ({error}): correct it, or name the host in NO_PROXY."
            ) from error
        except (requests.ConnectionError, requests.Timeout,
                urllib3.exceptions.HTTPError) as error:  # fmt: skip
            raise _BrokenError(_cause(error)) from error
        except (requests.exceptions.RequestException, ValueError) as error:
            raise UsageError(
                f"{url} cannot be asked for ({error}): give an address that begins with http:// or "
                "https://."
            ) from error

    def _started(self, url: str) -> Started | None:
        """Return what the partial file is a part of, if it is of this address."""
        try:
            started = Started.model_validate(read_json(self.notes, DataError))
        except (DataError, ValidationError):
            return None
        return started if started.url == url else None

    def _take(self, answer: requests.Response, url: str, asked: Started | None) -> None:
        status = answer.status_code
        if status in _GONE:
            raise _GoneError
        if asked is not None and status == _NO_SUCH_RANGE:
            if asked.size != self.have:  # not the file that the part is of
                self.part.unlink()
                raise _BrokenError("the file at the server is another one now")
            return
        if status in _PASSING:
            raise _BrokenError(f"the server answers {status} {answer.reason}")
        if status not in {_WHOLE, _PART}:
            raise DataError(
                f"{url} cannot be downloaded: the server answers {status} {answer.reason}. "
                "Download it with a browser and give it with --from FILE."
            )
        if url.startswith("https:") and not answer.url.startswith("https:"):
            raise DataError(f"{url} leads to an address without encryption: give another --url.")
        if answer.headers.get("Content-Encoding", "identity") != "identity":
            raise DataError(f"{url} sends the file compressed: give another --url.")
        if status == _PART:
            first, size = _range_of(answer)
            if asked is None or first != self.have or size != asked.size:
                self.part.unlink(missing_ok=True)
                raise _BrokenError("the server sent another part than was asked for")
            self._append(answer, size)
            return
        length = answer.headers.get("Content-Length", "")
        size = int(length) if length.isdecimal() else None
        self.part.unlink(missing_ok=True)
        write_json(
            self.notes, Started(url=url, validator=_validator(answer), size=size).model_dump()
        )
        self._append(answer, size)

    def _append(self, answer: requests.Response, size: int | None) -> None:
        have = self.have
        self._check_size(answer.url, size, have)
        total = None if size is None else math.ceil(size / MIB)
        try:
            with (
                self.track(f"Downloading {self.target.name} (MiB)", total or 0) as bar,
                self.part.open("ab", buffering=0) as stream,
            ):
                bar.advance(have // MIB)
                # Taken as it comes: a break loses nothing that has come before it.
                while piece := answer.raw.read1(MIB, decode_content=False):
                    stream.write(piece)
                    bar.advance((have + len(piece)) // MIB - have // MIB)
                    have += len(piece)
                    if have > self.max_bytes:
                        self._refuse(answer.url, have)
        except OSError as error:
            if not is_full(error):
                raise
            raise WriteError(
                f"cannot write {self.part}: {error.strerror}. {self._kept()} Free space and run "
                "the same command again to continue."
            ) from error
        if size is not None and have != size:
            raise _BrokenError(f"{have} of {size} bytes came")

    def _check_size(self, url: str, size: int | None, have: int) -> None:
        if size is None:
            return
        if size > self.max_bytes:
            self._refuse(url, size)
        free = shutil.disk_usage(self.target.parent).free
        if size - have > free:
            raise WriteError(
                f"{self.target.name} has {size / MIB:.0f} MiB, {have / MIB:.0f} of them are here, "
                f"but {self.target.parent} has {free / MIB:.0f} MiB free: free space, or choose "
                "another --out."
            )

    def _refuse(self, url: str, size: int) -> None:
        raise DataError(
            f"{url} has {size} bytes or more, {self.max_bytes} are the most that this data set "
            "can have: it is another file. Look at the authors' page."
        )


def _cause(error: Exception) -> str:
    text = str(error)
    return text if len(text) < 300 else f"{text[:300]}…"


def _validator(answer: requests.Response) -> str | None:
    """Return what a later request can be conditional on: a weak ETag is not enough for ranges."""
    tag = answer.headers.get("ETag", "")
    if tag and not tag.startswith("W/"):
        return tag
    return answer.headers.get("Last-Modified")


def _range_of(answer: requests.Response) -> tuple[int | None, int | None]:
    """Return where the part begins and how long the whole is, from `bytes 5-9/10`."""
    unit, _, rest = answer.headers.get("Content-Range", "").partition(" ")
    places, _, size = rest.partition("/")
    first = places.partition("-")[0]
    if unit != "bytes" or not first.isdecimal():
        return None, None
    return int(first), int(size) if size.isdecimal() else None
