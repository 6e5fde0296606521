"""What is asked of a job: how far it is, whether its results are whole, its rows in one file."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from endoexit.archiving.document import MANIFEST, Manifest
from endoexit.archiving.plan import JobFolder
from endoexit.archiving.results import read_results
from endoexit.errors import RunError
from endoexit.files import sha256_file
from endoexit.progress import Track, silent
from endoexit.runtime.outputs.tables import Layout, writing
from endoexit.runtime.predictor import PredictedRow


@dataclass(frozen=True)
class Status:
    """How far a job is.

    Attributes:
        images: Number of images.
        shards: Number of shards.
        shards_done: Number of shards that have their file.
        images_done: Number of images in them.
        failed: Number of images that could not be read; None until the job is done.
        running: Whether a process is at work on it.
    """

    images: int
    shards: int
    shards_done: int
    images_done: int
    failed: int | None
    running: bool

    @property
    def done(self) -> bool:
        """Whether every image has its row, and the manifest is written."""
        return self.failed is not None


def status_of(folder: JobFolder) -> Status:
    """Return how far a job is; only names of files are looked at."""
    job, done = folder.job, folder.done()
    whole = len(done) == job.shards and (folder.path / MANIFEST).is_file()
    return Status(
        images=job.images,
        shards=job.shards,
        shards_done=len(done),
        images_done=sum(len(job.rows(shard)) for shard in done),
        failed=Manifest.read(folder.path).failed if whole else None,
        running=folder.running,
    )


def faults_of(folder: JobFolder, track: Track = silent) -> list[str]:
    """Return all that is wrong with a job that is done: nothing, or a sentence for each fault.

    The plan is held against the keys of its shards, each file against the manifest, and its rows
    against the plan: each image has one row, with an answer or with its error.

    Raises:
        RunError: The job is not done.
    """
    job, manifest = folder.job, Manifest.read(folder.path)
    names = [folder.file(shard).name for shard in range(job.shards)]
    if [file.file for file in manifest.shards] != names:
        return [f"{folder.path / MANIFEST} is of another job: remove it, and run the job again."]
    faults = []
    with track("Verifying", job.images) as bar:
        for shard, entry in enumerate(manifest.shards):
            try:
                folder.planned(shard)
                _check(folder, shard, entry.sha256)
            except RunError as error:
                faults.append(str(error))
            bar.advance(entry.images)
    return faults


def _check(folder: JobFolder, shard: int, sha256: str) -> None:
    file, job = folder.file(shard), folder.job
    again = "run the job again, which computes it anew."
    if not file.is_file():
        raise RunError(f"{file} is missing: {again}")
    for _ in read_results(file, job.rows(shard), job.answering.classes):
        pass
    if sha256_file(file) != sha256:
        raise RunError(f"{file} is not what the manifest says: remove it, and {again}")


def rows_of(folder: JobFolder) -> Iterator[PredictedRow[Any]]:
    """Yield the rows of a job that is done, in the order of its images.

    Raises:
        RunError: It is not done, or a file is missing or damaged.
    """
    job = folder.job
    for shard, entry in enumerate(Manifest.read(folder.path).shards):
        images = folder.planned(shard)
        file = folder.out / entry.file
        results = read_results(file, job.rows(shard), job.answering.classes)
        for image, result in zip(images, results, strict=True):
            yield result.row(image)


def merge_rows(folder: JobFolder, out: Path, track: Track = silent) -> None:
    """Write the rows of a job as one table, as `endoexit predict` writes them.

    Images are called as `endoexit.naming` says. Memory does not grow with the rows.

    Args:
        folder: The job.
        out: File to write: .csv, .jsonl or .parquet.
        track: Display of progress.

    Raises:
        RunError: The job is not done, or a file is missing or damaged.
        UsageError: The suffix is unknown.
        WriteError: The file cannot be written.
    """
    answering = folder.job.answering
    layout = Layout(answering.classes, answering.exits, referral=answering.referral is True)
    with track("Merging", folder.job.images) as bar, writing(out, layout) as write:
        for row in rows_of(folder):
            write(row)
            bar.advance()
