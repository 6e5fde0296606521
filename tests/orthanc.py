"""Orthanc as a peer: an archive on this machine, with a folder of its own, ended at the end."""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

SECONDS = 60
PROGRAM = shutil.which("Orthanc") or shutil.which("Orthanc", path="/usr/sbin:/usr/local/sbin")


@dataclass(frozen=True)
class Archive:
    """A running archive.

    Attributes:
        http: Port of its REST interface.
        dicom: Port of its DICOM interface.
    """

    http: int
    dicom: int

    def ask(self, path: str, content: bytes | None = None) -> bytes:
        """Return what it answers to GET, or to POST with content."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.http}{path}", data=content)
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request) as answer:
            return bytes(answer.read())

    def document(self, path: str, content: bytes | None = None) -> Any:
        """Return a document that it answers."""
        return json.loads(self.ask(path, content))


@contextlib.contextmanager
def archive(folder: Path) -> Iterator[Archive]:
    """Run an archive while the block runs; skip the test where the program is not installed."""
    if PROGRAM is None:
        pytest.skip("Orthanc is not installed (Debian: apt-get install orthanc)")
    running = Archive(_free_port(), _free_port())
    settings = {
        "Name": "TEST", "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "index"), "HttpPort": running.http,
        "DicomPort": running.dicom, "RemoteAccessAllowed": False, "AuthenticationEnabled": False,
        "Plugins": [], "HttpThreadsCount": 2,
    }  # fmt: skip
    (folder / "orthanc.json").write_text(json.dumps(settings))
    log = folder / "log"
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [PROGRAM, str(folder / "orthanc.json")],
            stdin=subprocess.DEVNULL, stdout=stream, stderr=stream,
            cwd=folder, env=os.environ | {"HOME": str(folder)}, start_new_session=True,
        )  # fmt: skip
    try:
        _wait(running, process, log)
        yield running
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


def _wait(running: Archive, process: "subprocess.Popen[bytes]", log: Path) -> None:
    end = time.monotonic() + SECONDS
    while time.monotonic() < end and process.poll() is None:
        with contextlib.suppress(urllib.error.URLError, ConnectionError):
            running.ask("/system")
            return
        time.sleep(0.1)
    pytest.fail(f"Orthanc did not start: {log.read_text(errors='replace')[-2000:]}")
