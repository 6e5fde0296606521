"""`endoexit archive` in Python: jobs over images in folders, tar and zip archives."""

import contextlib
import io
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from endoexit.archiving.actors import ClusterWorker
from endoexit.archiving.document import Answering, Manifest
from endoexit.archiving.drive import drive
from endoexit.archiving.listing import list_images
from endoexit.archiving.plan import SHARD_IMAGES, JobFolder, write_plan
from endoexit.archiving.reading import Status, faults_of, merge_rows, status_of
from endoexit.archiving.workers import LocalWorker, Worker
from endoexit.cluster import connected, room_for
from endoexit.data.clutter import PassedOver
from endoexit.errors import UsageError, counted
from endoexit.files import require_new_folder
from endoexit.images.frames import FrameChoice
from endoexit.machine import usable_cores
from endoexit.precision import FloatFormat
from endoexit.progress import Track, silent
from endoexit.runtime.inputs import Inputs
from endoexit.runtime.outputs.tables import check_suffix
from endoexit.runtime.session import open_session
from endoexit.runtime.threads import check_threads

_CLUSTER_THREADS = 2  # a process for two cores, as on one machine
_MOST_HOURS = 24 * 365  # more would be a mistake


@dataclass(frozen=True)
class PlannedJob:
    """A job that was planned.

    Attributes:
        folder: The job.
        passed_over: Files that are no images.
    """

    folder: JobFolder
    passed_over: PassedOver


def plan_archive(
    run: str | Path,
    paths: Sequence[str],
    *,
    out: str | Path,
    threshold: float | None = None,
    precision: FloatFormat | None = None,
    frames: str = "first",
    shard_images: int = SHARD_IMAGES,
    null: bool = False,
    stdin: io.BufferedIOBase | None = None,
) -> PlannedJob:
    """Plan a job: list its images, and write down the model that is to answer them.

    Args:
        run: Folder of a run or a bundle.
        paths: Images, folders, patterns, tar and zip archives, or `-` for a list on `stdin`.
        out: Folder of the job; new or empty.
        threshold: Images exit at the first exit whose largest probability reaches it. By default
            the policy in the folder decides. Without one, the last exit answers.
        precision: "f32" or "bf16". By default a run computes in f32, a bundle in its precision.
        frames: Frames of a file that holds several: "first", "all" or "every:N".
        shard_images: Number of images of a shard: what is lost at most when a process is killed.
        null: Whether paths on `stdin` end with a NUL byte. By default this is recognised.
        stdin: List of paths, for `-`.

    Returns:
        The job, and what was passed over.

    Raises:
        RunError: The folder is neither a run nor a bundle, or a file was changed.
        PolicyError: Its policy was fitted for other weights or another precision.
        DataError: There are no images, or an archive is damaged or refused.
        UsageError: An option is out of range, the policy has a deadline, or `out` has content.
        WriteError: The folder cannot be written.
    """
    folder, source = Path(out), Path(run)
    choice = FrameChoice.parse(frames)
    if shard_images < 1:
        raise UsageError(f"a shard has 1 image or more, got {shard_images}.")
    require_new_folder(folder)
    session = open_session(source, threshold=threshold, precision=precision)
    if session.engine.deadline_ms is not None:
        raise UsageError(
            "the policy has a deadline, so the answers of a job would depend on the clock: "
            "calibrate for another goal, or give --threshold."
        )
    inputs = Inputs(paths, stdin, null=null or None, frames=choice, archives=True)
    job = write_plan(
        folder,
        list_images(inputs, choice),
        source=source,
        threshold=threshold,
        precision=precision,
        answering=Answering.of(session),
        decided_by=session.decider.words,
        shard_images=shard_images,
    )
    return PlannedJob(job, inputs.passed_over)


def run_archive(
    job: str | Path,
    *,
    workers: int | None = None,
    threads: int | None = None,
    ray: str | None = None,
    actors: int | None = None,
    max_hours: float | None = None,
    pause: threading.Event | None = None,
    track: Track = silent,
) -> Manifest:
    """Run a job, or continue it after any stop, until every image has its row.

    Args:
        job: Folder of the job.
        workers: Number of processes. By default one for two cores.
        threads: Number of threads of each. By default its share of the cores, and 2 on a cluster.
            With another number, probabilities differ in their last bits.
        ray: Cluster of Ray that computes: "HOST:PORT" of its head, "auto" for that of this machine,
            "local" to start one. By default this machine computes, without Ray.
        actors: Number of processes on the cluster. By default as many as its CPUs allow.
        max_hours: Hours after which no further shard begins. By default there is no limit.
        pause: Once it is set, no further shard begins either.
        track: Display of progress. By default none.

    Returns:
        The manifest of the results.

    Raises:
        PausedError: It was paused before it was done; the next run continues it.
        RunError: It is no job, its model has changed, or another process is at work on it.
        UsageError: A number is out of range or does not go with `ray`, or Ray is not installed.
        EndoexitError: A shard cannot be computed or written, or the cluster cannot be reached. What
            is done stays.
    """
    for number, noun in ((workers, "worker"), (actors, "actor")):
        if number is not None and number < 1:
            raise UsageError(f"a job needs 1 {noun} or more, got {number}.")
    if ray is None and actors is not None:
        raise UsageError("actors are processes on a cluster: give --ray with --actors.")
    if ray is not None and workers is not None:
        raise UsageError("workers are processes on this machine: with --ray, give --actors.")
    if max_hours is not None and not 0 < max_hours <= _MOST_HOURS:
        raise UsageError(
            f"a job may take more than 0 and up to {_MOST_HOURS} hours, got {max_hours:g}."
        )
    if threads is not None:
        check_threads(threads)
    folder = JobFolder.open(Path(job))
    with (
        folder.alone(),
        _pausing(max_hours, pause) as asked,
        _workers(folder, ray, workers or actors, threads, asked) as made,
    ):
        return drive(folder, made, track, asked)


@contextlib.contextmanager
def _workers(
    folder: JobFolder,
    ray: str | None,
    count: int | None,
    threads: int | None,
    pause: threading.Event,
) -> Iterator[Sequence[Worker]]:
    """Yield the workers of a job: on this machine, or on a cluster."""
    if ray is None:
        cores = usable_cores()
        count = count or max(1, cores // 2)
        share = threads or max(1, cores // count)
        yield [LocalWorker(folder.path, share) for _ in range(count)]
        return
    share = threads or _CLUSTER_THREADS
    with connected(ray) as cluster:
        room = room_for(cluster, share)
        if count is not None and count > room:
            raise UsageError(
                f"the cluster has CPUs for {counted(room, 'actor')} of {counted(share, 'thread')}, "
                f"not for {count}: lower --actors or --threads, or add nodes."
            )
        yield [ClusterWorker(cluster, folder, share, pause) for _ in range(count or room)]


@contextlib.contextmanager
def _pausing(hours: float | None, pause: threading.Event | None) -> Iterator[threading.Event]:
    """Yield the event that pauses a job, set after so many hours."""
    asked = pause or threading.Event()
    if hours is None:
        yield asked
        return
    timer = threading.Timer(3600 * hours, asked.set)
    timer.daemon = True
    timer.start()
    try:
        yield asked
    finally:
        timer.cancel()


def archive_status(job: str | Path) -> Status:
    """Return how far a job is.

    Args:
        job: Folder of the job.

    Raises:
        RunError: It is no job.
    """
    return status_of(JobFolder.open(Path(job)))


def verify_archive(job: str | Path, *, track: Track = silent) -> list[str]:
    """Look whether the results of a job are whole: one row for each image, as they were written.

    Args:
        job: Folder of the job.
        track: Display of progress. By default none.

    Returns:
        A sentence for each fault; none for results that are whole.

    Raises:
        RunError: It is no job, or is not done.
    """
    return faults_of(JobFolder.open(Path(job)), track)


def merge_archive(job: str | Path, *, out: str | Path, track: Track = silent) -> Manifest:
    """Write the rows of a job that is done as one table, in the order of its images.

    Args:
        job: Folder of the job.
        out: File to write: .csv, .jsonl or .parquet.
        track: Display of progress. By default none.

    Returns:
        The manifest of the results.

    Raises:
        RunError: It is no job, is not done, or a file is missing or damaged.
        UsageError: The suffix of the file is unknown.
        WriteError: The file cannot be written.
    """
    check_suffix(Path(out))
    folder = JobFolder.open(Path(job))
    manifest = Manifest.read(folder.path)
    merge_rows(folder, Path(out), track)
    return manifest
