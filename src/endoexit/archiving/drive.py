"""The driver of a job: hands shard numbers to workers until every shard has its file."""

import threading
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed

from endoexit.archiving.document import Manifest, ShardFile
from endoexit.archiving.plan import JobFolder
from endoexit.archiving.results import describe
from endoexit.archiving.workers import Worker, WorkerLostError
from endoexit.errors import EndoexitError, PausedError
from endoexit.progress import Bar, Track, silent

_ATTEMPTS = 2  # a worker may be ended from outside, too
_MOST_FATAL = 16  # images of a shard that end their worker; with more, it is not the images


def drive(
    folder: JobFolder,
    workers: Sequence[Worker],
    track: Track = silent,
    pause: threading.Event | None = None,
) -> Manifest:
    """Have all shards computed that have no file yet, and write the manifest.

    The workers may be anything that computes a shard by its number: processes, machines.

    Args:
        folder: The job. The caller is alone with it, see `JobFolder.alone`.
        workers: Workers; they are closed at the end.
        track: Display of progress.
        pause: Once it is set, no further shard begins.

    Returns:
        The manifest, also if the job was done before.

    Raises:
        PausedError: It was paused before all shards had their file.
        EndoexitError: A shard cannot be computed. The files of the others stay.
    """
    pause = pause or threading.Event()
    job, done = folder.job, folder.done()
    todo = deque(shard for shard in range(job.shards) if shard not in done)
    files: dict[int, ShardFile] = {}
    with track("Predicting", job.images) as bar:
        for shard in sorted(done):
            files[shard] = describe(folder.file(shard), job.rows(shard))
            bar.advance(files[shard].images)
        try:
            files |= _all(folder, workers[: len(todo)], todo, bar, pause)
        finally:
            for worker in workers:
                worker.close()
    if len(files) < job.shards:
        raise PausedError(
            f"paused: {len(files)} of {job.shards} shards have their file. Run the same command "
            "again to continue."
        )
    folder.sweep()
    manifest = Manifest(
        images=job.images,
        failed=sum(file.failed for file in files.values()),
        shards=tuple(files[shard] for shard in range(job.shards)),
    )
    manifest.write(folder.path)
    return manifest


def _all(
    folder: JobFolder,
    workers: Sequence[Worker],
    todo: deque[int],
    bar: Bar,
    pause: threading.Event,
) -> dict[int, ShardFile]:
    stopped, files = threading.Event(), dict[int, ShardFile]()

    def work(worker: Worker) -> None:
        while todo and not (stopped.is_set() or pause.is_set()):
            try:
                shard = todo.popleft()
            except IndexError:  # another worker took the last one
                break
            try:
                files[shard] = compute(worker, shard, len(folder.job.rows(shard)))
            except PausedError:  # it has not begun
                break
            bar.advance(files[shard].images)
        worker.close()  # another one may wait for its place

    with ThreadPoolExecutor(max(1, len(workers)), thread_name_prefix="drive") as pool:
        futures = [pool.submit(work, worker) for worker in workers]
        try:
            for future in as_completed(futures):
                future.result()
        except BaseException:
            stopped.set()
            for worker in workers:  # ends the shards that they are at
                worker.close()
            raise
    return files


def compute(worker: Worker, shard: int, images: int) -> ShardFile:
    """Have a shard computed; an image that ends its worker each time becomes a row with its error.

    Args:
        worker: Worker.
        shard: Number of the shard.
        images: Number of its images.

    Raises:
        EndoexitError: The shard cannot be computed, or workers end for another reason.
    """
    for _ in range(_ATTEMPTS):
        try:
            return worker.compute(shard)
        except WorkerLostError as error:
            lost = error
    try:
        if fatal := _fatal(worker, shard, range(images)):
            return worker.compute(shard, fatal)
    except WorkerLostError as error:
        lost = error
    raise EndoexitError(
        f"the process at shard {shard} ended again and again ({lost}), and not because of one "
        "image: free memory, or give it fewer --workers. What is done is kept; run the job again."
    )


def _fatal(worker: Worker, shard: int, positions: range, fatal: int = 0) -> list[int]:
    """Return the positions of the images that end the worker that decodes them, by halving."""
    try:
        worker.decode(shard, positions)
    except WorkerLostError:
        if fatal >= _MOST_FATAL:
            raise
    else:
        return []
    if len(positions) == 1:
        return [positions.start]
    middle = len(positions) // 2
    first = _fatal(worker, shard, positions[:middle], fatal)
    return first + _fatal(worker, shard, positions[middle:], fatal + len(first))
