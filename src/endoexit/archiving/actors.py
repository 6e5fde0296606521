"""A worker that is an actor on a node of a cluster of Ray.

Requests and answers are a few bytes. The actor reads images and writes files itself, so no pixel
gets into the object store.
"""

import logging
import os
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from endoexit.archiving.document import ShardFile
from endoexit.archiving.plan import JobFolder
from endoexit.archiving.requests import (
    Answerer,
    Document,
    checked,
    compute_request,
    decode_request,
)
from endoexit.archiving.workers import WorkerLostError
from endoexit.errors import EndoexitError, PausedError
from endoexit.offline import stay_offline

_LOOK_S = 0.5
_PATIENCE_S = 30.0  # in which the head of the cluster notices that a node is gone
_STARTS = 3
log = logging.getLogger("endoexit.archiving")


class ShardActor:
    """The actor, in a process on a node.

    Args:
        job: Folder of the job.
        threads: Number of threads of the network.
    """

    def __init__(self, job: str, threads: int) -> None:
        stay_offline()
        os.environ["OMP_NUM_THREADS"] = str(threads)  # before torch is imported
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
        self._answerer = Answerer(Path(job), threads)

    def node(self) -> tuple[str, str]:
        """Return the identifier and the address of its node."""
        import ray  # noqa: PLC0415

        return ray.get_runtime_context().get_node_id(), ray.util.get_node_ip_address()

    def answer(self, request: Document) -> Document:
        """Return the answer to a request; see `Answerer`."""
        return self._answerer.answer(request)


class ClusterWorker:
    """A worker on any node of a cluster; if its node is lost, it starts again on another one.

    Args:
        ray: The module `ray`, connected.
        folder: The job; its folder and its images are there for all nodes.
        threads: Number of threads of the network, and of CPUs that are asked for.
        pause: Event after which it does not wait for free CPUs any more.
    """

    def __init__(self, ray: Any, folder: JobFolder, threads: int, pause: threading.Event) -> None:
        self._ray = ray
        self._folder = folder
        self._threads = threads
        self._pause = pause
        self._actor: Any = None
        self._node, self._address = "", ""
        self._closing = threading.Lock()
        self._closed = False

    def compute(self, shard: int, fatal: Sequence[int] = ()) -> ShardFile:
        """See `Worker`."""
        request = compute_request(shard, fatal, self._visible(shard))
        return ShardFile.model_validate(self._ask(request))

    def decode(self, shard: int, positions: range) -> None:
        """See `Worker`."""
        self._ask(decode_request(shard, positions))

    def close(self) -> None:
        """See `Worker`."""
        with self._closing:
            self._closed = True
            self._end()

    def _visible(self, shard: int) -> list[int]:
        """Return positions of images that this machine sees as planned, one for each folder."""
        first: dict[str, int] = {}
        images = self._folder.planned(shard)
        for position, image in enumerate(images):
            place = image.path if image.member else os.path.dirname(image.path)  # noqa: PTH120
            first.setdefault(place, position)
        base = self._folder.job.base
        return [position for position in first.values() if images[position].is_as_planned(base)]

    def _ask(self, request: Document) -> Document:
        lost = self._ray.exceptions.RayActorError
        while True:
            actor = self._running()
            try:
                answer: Document = self._ray.get(actor.answer.remote(request))
                return checked(answer, f"on the node {self._address}: ")
            except lost as error:
                self._end()
                if not self._is_without_node(error):
                    raise WorkerLostError(f"an actor on the node {self._address}") from error
                log.warning("the node %s is lost; others do its shard", self._address)

    def _is_without_node(self, error: Exception) -> bool:
        """Return whether an actor was lost with its node, not by itself."""
        unsure = isinstance(error, self._ray.exceptions.ActorUnavailableError)
        end = time.monotonic() + (_PATIENCE_S if unsure else 0)
        while not self._closed:
            if self._node not in self._nodes():
                return True
            if time.monotonic() >= end:
                return False
            time.sleep(_LOOK_S)
        return False

    def _nodes(self) -> set[str]:
        return {node["NodeID"] for node in self._ray.nodes() if node["Alive"]}

    def _running(self) -> Any:
        for left in reversed(range(_STARTS)):
            if self._actor is None:
                try:
                    self._start()
                except self._ray.exceptions.RayActorError as error:
                    self._end()
                    if self._closed or not left:
                        raise self._not_started(error) from error
                    continue
            return self._actor
        raise AssertionError("unreachable: the last start returns or raises")

    def _start(self) -> None:
        with self._closing:
            if self._closed:
                raise WorkerLostError("it was closed")
            made = self._ray.remote(ShardActor).options(
                num_cpus=self._threads,
                max_restarts=0,  # a lost shard is the driver's matter
                scheduling_strategy="SPREAD",
            )
            self._actor = made.remote(str(self._folder.path.absolute()), self._threads)
        self._node, self._address = self._ray.get(self._placed(self._actor.node.remote()))

    def _placed(self, node: Any) -> Any:
        """Return the answer of an actor that has begun: it waits for free CPUs before."""
        told = time.monotonic() + _PATIENCE_S
        while not self._ray.wait([node], timeout=_LOOK_S)[0]:
            if self._pause.is_set():
                self._end()
                raise PausedError("paused: no CPUs were free.")
            if time.monotonic() > told:
                log.warning("waiting for %d free CPUs on one node of the cluster", self._threads)
                told = float("inf")
        return node

    def _not_started(self, error: Exception) -> Exception:
        if self._closed:
            return WorkerLostError("it was closed")
        reason = str(error).strip().splitlines()
        return EndoexitError(
            f"a worker cannot start on the cluster ({reason[-1] if reason else error}): install "
            "the same endoexit on all nodes, and look into the logs of Ray."
        )

    def _end(self) -> None:
        actor, self._actor = self._actor, None
        if actor is not None:
            self._ray.kill(actor)
