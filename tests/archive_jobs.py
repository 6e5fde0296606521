"""Jobs of the archive for tests: images, archives of them, workers in this process."""

import io
import tarfile
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from endoexit.archiving.document import Answering, ShardFile
from endoexit.archiving.plan import JobFolder
from endoexit.archiving.reading import rows_of
from endoexit.archiving.shard import ShardWork
from endoexit.workflow.archive import plan_archive
from tiny import tiny_photos

THRESHOLD = 0.75
ANSWERING = Answering(
    weights_sha256="a", policy_sha256="b", preprocessing="c", precision="torch-f32",
    classes=("x", "y"), exits=4, decoder="d", version="1",
)  # fmt: skip


def png(number: int) -> bytes:
    """Return one of the tiny photos as a PNG."""
    stream = io.BytesIO()
    Image.fromarray(tiny_photos(number + 1)[number]).save(stream, "PNG")
    return stream.getvalue()


def write_tar(file: Path, members: Mapping[str, bytes]) -> Path:
    """Write a tar with these members, in their order."""
    with tarfile.open(file, "w") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return file


def write_zip(file: Path, members: Mapping[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    """Write a zip with these members, in their order."""
    with zipfile.ZipFile(file, "w", method) as opened:
        for name, content in members.items():
            opened.writestr(name, content)
    return file


def material(folder: Path) -> list[str]:
    """Write a folder, a tar and a zip with images and a broken one in each; return their paths."""
    photos = folder / "photos"
    photos.mkdir(parents=True)
    for number in range(5):
        (photos / f"{number}.png").write_bytes(png(number))
    (photos / "broken.png").write_bytes(b"no image")
    inside = {f"deep/{number}.png": png(number) for number in range(5, 12)}
    inside |= {"deep/empty.jpg": b"", "deep/notes.txt": b"notes", "../out.png": png(0)}
    return [
        str(photos),
        str(write_tar(folder / "a.tar", inside)),
        str(write_zip(folder / "b.zip", inside)),
    ]


def plan(run: Path, paths: Sequence[str], out: Path, shard_images: int = 4) -> JobFolder:
    """Plan a job at a fixed threshold."""
    planned = plan_archive(run, paths, out=out, threshold=THRESHOLD, shard_images=shard_images)
    return planned.folder


class InThisProcess:
    """A worker that is no other process."""

    def __init__(self, folder: JobFolder) -> None:
        self.work = ShardWork(folder, 1)
        self.closed = False

    def compute(self, shard: int, fatal: Sequence[int] = ()) -> ShardFile:
        return self.work.compute(shard, fatal)

    def decode(self, shard: int, positions: range) -> None:
        self.work.decode(shard, positions)

    def close(self) -> None:
        self.closed = True


def answers(folder: JobFolder) -> list[tuple[Any, ...]]:
    """Return the rows of a job that is done, without their times."""
    rows = []
    for row in rows_of(folder):
        answer = row.prediction
        said = answer and (answer.label, answer.exit, tuple(answer.probabilities.tolist()))
        rows.append((row.index, str(row.image), said, row.error and row.error.fault))
    return rows
