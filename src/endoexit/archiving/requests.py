"""Requests to a worker and its answers, as documents: the same for any kind of worker."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from endoexit.archiving.plan import JobFolder
from endoexit.archiving.shard import ShardWork
from endoexit.errors import EndoexitError, WriteError

Document = dict[str, Any]


def compute_request(shard: int, fatal: Sequence[int], visible: Sequence[int] = ()) -> Document:
    """Return the request for a shard.

    Args:
        shard: Number of the shard.
        fatal: Positions in the shard of images that are not read.
        visible: Positions of images that the driver sees as they were planned.
    """
    return {"compute": shard, "fatal": list(fatal), "visible": list(visible)}


def decode_request(shard: int, positions: range) -> Document:
    """Return the request to read some images of a shard and forget them."""
    return {"decode": shard, "first": positions.start, "stop": positions.stop}


class Answerer:
    """Answers requests; the model is opened with the first one.

    Args:
        job: Folder of the job.
        threads: Number of threads of the network.
    """

    def __init__(self, job: Path, threads: int) -> None:
        self._job = job
        self._threads = threads
        self._work: ShardWork | None = None

    def answer(self, request: Document) -> Document:
        """Return the answer to a request, or the error that a user can act on."""
        try:
            self._work = self._work or ShardWork(JobFolder.open(self._job), self._threads)
            return _do(self._work, request)
        except EndoexitError as error:
            return {"error": str(error), "write": isinstance(error, WriteError)}


def checked(answer: Document, place: str = "") -> Document:
    """Return an answer that is none of an error.

    Args:
        answer: Answer.
        place: Words that say where the worker is, before the text of its error.

    Raises:
        EndoexitError: The worker met it.
    """
    if "error" in answer:
        raise (WriteError if answer["write"] else EndoexitError)(place + answer["error"])
    return answer


def _do(work: ShardWork, request: Document) -> Document:
    if "compute" in request:
        work.require_visible(request["compute"], request["visible"])
        return work.compute(request["compute"], request["fatal"]).model_dump()
    work.decode(request["decode"], range(request["first"], request["stop"]))
    return {}
