"""The folder of a job: its plan, written once and read shard by shard; the files of its results."""

import contextlib
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from endoexit.archiving.document import Answering, Job
from endoexit.archiving.planned import COLUMNS, Planned, Values, from_values, to_values
from endoexit.errors import DataError, EndoexitError, RunError
from endoexit.files import replacing_folder, require_new_folder
from endoexit.precision import FloatFormat

SHARD_IMAGES = 2048
INPUTS, OUT, LOCK = "inputs", "out", ".lock"
_PART_SHARDS = 256  # shards in one file of the plan, each a row group
_KEY_DIGITS = 16


@dataclass(frozen=True)
class JobFolder:
    """A job that was planned.

    Attributes:
        path: Folder of the job.
        job: Its document.
    """

    path: Path
    job: Job

    @classmethod
    def open(cls, path: Path) -> "JobFolder":
        """Open the folder of a job.

        Raises:
            RunError: It is none.
        """
        return cls(path, Job.read(path))

    def planned(self, shard: int) -> list[Planned]:
        """Return the images of a shard, as they were planned.

        Raises:
            RunError: The plan is missing, or is not what it was.
        """
        import pyarrow as pa  # noqa: PLC0415  (slow to import)
        import pyarrow.parquet as pq  # noqa: PLC0415

        file = _part(self.path, shard)
        try:
            with pq.ParquetFile(file) as part:
                columns = part.read_row_group(shard % _PART_SHARDS).to_pydict()
            rows = list(zip(*(columns[name] for name in COLUMNS), strict=True))
        except (OSError, pa.ArrowException, KeyError) as error:
            raise RunError(f"{file} cannot be read ({error}): plan the job again.") from error
        if _key(self.job.answering, rows) != self.job.keys[shard]:
            raise RunError(f"{file} was changed since it was planned: plan the job again.")
        return [from_values(row) for row in rows]

    @property
    def out(self) -> Path:
        """Folder of the results."""
        return self.path / OUT

    def file(self, shard: int) -> Path:
        """Return the file of the results of a shard; its name is the promise that it is whole."""
        return self.out / f"shard-{shard:05}-{self.job.keys[shard]}.parquet"

    def done(self) -> set[int]:
        """Return the shards whose results are there; other files in the folder do not count."""
        try:
            there = {file.name for file in self.out.iterdir()}
        except FileNotFoundError:
            return set()
        return {shard for shard in range(self.job.shards) if self.file(shard).name in there}

    def sweep(self) -> None:
        """Remove what writers that were killed left half-written; call it when none is at work."""
        for left in self.out.glob(".shard-*.part"):
            left.unlink(missing_ok=True)

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Keep other drivers from the job, and remove what a killed one left half-written.

        Raises:
            RunError: Another process is at work on the job.
            EndoexitError: The folder cannot be written.
        """
        try:
            lock = FileLock(self.path / LOCK).acquire(timeout=0)
        except Timeout:
            raise RunError(
                f"the job {self.path} is being run by another process: wait for its end, or stop "
                "it first."
            ) from None
        except OSError as error:
            raise EndoexitError(
                f"cannot write {self.path}: {error.strerror or error}. Change its permissions."
            ) from error
        with lock:
            self.sweep()
            yield

    @property
    def running(self) -> bool:
        """Whether a process is at work on the job now."""
        try:
            with FileLock(self.path / LOCK, timeout=0):
                return False
        except Timeout:
            return True
        except OSError:  # a folder that is read-only: no process can be at work
            return False


def write_plan(
    path: Path,
    images: Iterable[Planned],
    *,
    source: Path,
    threshold: float | None,
    precision: FloatFormat | None,
    answering: Answering,
    decided_by: str,
    shard_images: int = SHARD_IMAGES,
) -> JobFolder:
    """Write the folder of a job, whole or not at all. Memory does not grow with the images.

    Args:
        path: Folder that does not exist, or is empty.
        images: Images in the order of the rows.
        source: Folder of the run or the bundle.
        threshold: Threshold that replaces its policy; None for none.
        precision: Number format that was asked for; None for its own.
        answering: All that the answers depend on, besides the images.
        decided_by: What decides where images exit, in words.
        shard_images: Number of images of a shard.

    Raises:
        UsageError: The folder has content.
        DataError: There are no images.
        WriteError: The folder cannot be written.
    """
    require_new_folder(path)
    with replacing_folder(path) as temporary:
        keys, count = _write_inputs(temporary, images, answering, shard_images)
        if not count:
            raise DataError("there is nothing to plan: no image was named.")
        job = Job(
            source=source.absolute(),
            threshold=threshold,
            precision=precision,
            answering=answering,
            decided_by=decided_by,
            base=Path.cwd(),
            images=count,
            shard_images=shard_images,
            keys=tuple(keys),
        )
        (temporary / OUT).mkdir()
        job.write(temporary)
    return JobFolder(path, job)


def _write_inputs(
    folder: Path, images: Iterable[Planned], answering: Answering, shard_images: int
) -> tuple[list[str], int]:
    """Write the files of the plan; return the keys of the shards, and the number of images."""
    import pyarrow as pa  # noqa: PLC0415  (slow to import)
    import pyarrow.parquet as pq  # noqa: PLC0415

    schema = _schema()
    coming, keys, count = map(to_values, images), list[str](), 0
    (folder / INPUTS).mkdir()
    with contextlib.ExitStack() as stack:
        writer: Any = None
        while shard := list(islice(coming, shard_images)):
            if len(keys) % _PART_SHARDS == 0:
                stack.close()
                stream = stack.enter_context(_part(folder, len(keys)).open("wb"))
                writer = stack.enter_context(pq.ParquetWriter(stream, schema))
            arrays = map(pa.array, zip(*shard, strict=True), schema.types)
            table = pa.Table.from_arrays(list(arrays), schema=schema)
            writer.write_table(table, row_group_size=shard_images)
            keys.append(_key(answering, shard))
            count += len(shard)
    return keys, count


def _part(folder: Path, shard: int) -> Path:
    return folder / INPUTS / f"part-{shard // _PART_SHARDS:05}.parquet"


def _key(answering: Answering, rows: Sequence[Values]) -> str:
    digest = hashlib.sha256(answering.model_dump_json().encode())
    for row in rows:
        digest.update(repr(row).encode())
    return digest.hexdigest()[:_KEY_DIGITS]


def _schema() -> Any:
    import pyarrow as pa  # noqa: PLC0415

    name, whole = pa.binary(), pa.int64()
    kinds = (name, *[whole] * 3, name, *[whole] * 4, pa.bool_(), pa.string())
    return pa.schema(zip(COLUMNS, kinds, strict=True))
