"""Images, commands and their memory, for `archive.py`, `archive_kills.py` and `ray_demo.py`."""

import io
import os
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

from endoexit.archiving.plan import JobFolder
from endoexit.archiving.reading import rows_of
from endoexit.phantom.render import render_phantom

MB = 10**6
_LOOK_SECONDS = 0.25  # a look at all processes takes milliseconds: rarely enough to cost nothing


class Memory:
    """Resident memory of a process and of the largest of its children, MB, at each look."""

    def __init__(self) -> None:
        self.driver: list[float] = []
        self.worker: list[float] = []

    def look(self, process: psutil.Process) -> None:
        """Note what is in use now."""
        try:
            self.driver.append(process.memory_info().rss / MB)
            sizes = [child.memory_info().rss / MB for child in process.children()]
        except psutil.NoSuchProcess:  # it has ended meanwhile
            return
        self.worker += [max(sizes)] if sizes else []

    def growth(self) -> float:
        """Return how much more the largest worker has in the last quarter than before, MB.

        The highest of the last quarter of the looks is compared with that of the third one.
        """
        half, last = len(self.worker) // 2, len(self.worker) * 3 // 4
        return max(self.worker[last:]) - max(self.worker[half:last])


def command_of(*arguments: object) -> list[str]:
    """Return a command of endoexit as it is to be started."""
    return [sys.executable, "-m", "endoexit", *map(str, arguments)]


def endoexit(*arguments: object, stdin: Path | None = None, memory: Memory | None = None) -> float:
    """Run a command in a new process, from start to end.

    Args:
        arguments: Words of the command.
        stdin: File that it reads as its standard input.
        memory: Record of its memory; None for none.

    Returns:
        The seconds that it took.
    """
    command = command_of(*arguments)
    begin = time.perf_counter()
    with (stdin or Path(os.devnull)).open("rb") as stream:
        process = subprocess.Popen(command, stdin=stream, stdout=subprocess.DEVNULL)
    while process.poll() is None:
        if memory is not None:
            memory.look(psutil.Process(process.pid))
        try:
            process.wait(_LOOK_SECONDS)
        except subprocess.TimeoutExpired:
            continue
    seconds = time.perf_counter() - begin
    if process.returncode:
        sys.exit(f"ended with {process.returncode}: {' '.join(command)}")
    return seconds


def name_of(number: int) -> str:
    """Return the name of an image; a folder has a thousand."""
    return f"{number // 1000:04}/{number:07}.jpg"


def write_tar(file: Path, contents: list[bytes], count: int) -> Path:
    """Write a tar of `count` members, which take turns in having the contents."""
    with tarfile.open(file, "w") as tar:
        for number in range(count):
            content = contents[number % len(contents)]
            info = tarfile.TarInfo(name_of(number))
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return file


def write_images(folder: Path, count: int, side: int) -> tuple[Path, Path]:
    """Write rendered images as files, and as a tar with the same names."""
    rendered = sorted(render_phantom(folder / "phantom", 25, side).glob("*/*.jpg"))
    contents = [path.read_bytes() for path in rendered]
    files = folder / "files"
    for number in range(count):
        file = files / name_of(number)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(contents[number % len(contents)])
    return files, write_tar(folder / "images.tar", contents, count)


def rows(job: Path) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of a job without their times."""
    for row in rows_of(JobFolder.open(job)):
        answer = row.prediction
        yield (row.index, str(row.image), row.error and row.error.fault,
               answer and (answer.label, answer.exit, answer.probabilities.tolist()))  # fmt: skip
