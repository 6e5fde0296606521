"""The connection to a cluster of Ray. Ray is imported when a cluster is asked for, never before."""

import contextlib
import importlib.util
import os
import re
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any

from endoexit.errors import EndoexitError, UsageError, counted
from endoexit.offline import stay_offline

LOCAL, AUTO = "local", "auto"
_ANSWER_S = 5.0
_CONNECT_S = 60.0  # on a busy machine Ray needs half of it, and some of its starts fail
_STARTS = 3
_PLACE = re.compile(r"\[?([\w.:-]+?)\]?:(\d{1,5})")


@contextlib.contextmanager
def connected(address: str) -> Iterator[Any]:
    """Connect this process to a cluster, and yield the module `ray`.

    What was begun on the cluster ends with the connection.

    Args:
        address: HOST:PORT of the head of the cluster, on one of whose nodes this process runs;
            "auto" for the cluster that was started on this machine; "local" to start one on this
            machine, which ends with the connection.

    Raises:
        UsageError: Ray is not installed, or the address has another form.
        EndoexitError: The cluster cannot be reached or started.
    """
    ray = require_ray()
    check_address(address)
    used = threading.Event()
    try:
        _connect(ray, address, used)
        yield ray
    finally:
        ray.shutdown()
        used.set()


def require_ray() -> Any:
    """Return the module `ray`.

    Raises:
        UsageError: It is not installed.
    """
    if importlib.util.find_spec("ray") is None:
        raise UsageError("Ray is not installed: pip install 'endoexit[ray]'.")
    stay_offline()  # it looks at its switches when it is imported
    import ray  # noqa: PLC0415  (slow to import, and an extra)

    return ray


def check_address(address: str) -> None:
    """Refuse an address that no cluster has.

    Raises:
        UsageError: It is none.
    """
    place = _PLACE.fullmatch(address)
    if address in {LOCAL, AUTO} or (place and int(place[2]) < 2**16):
        return
    if address.startswith("ray://"):
        raise UsageError(
            "ray:// connects from outside of a cluster, which sends all data through one process: "
            "run the command on a node of the cluster, with the address HOST:PORT of its head."
        )
    raise UsageError(
        f"{address!r} is no address of a cluster: give HOST:PORT of its head, auto for the "
        "cluster of this machine, or local to start one here."
    )


def room_for(ray: Any, threads: int) -> int:
    """Return how many processes of so many threads the nodes of a cluster have CPUs for.

    Raises:
        UsageError: No node has so many CPUs.
    """
    cpus = [int(node["Resources"].get("CPU", 0)) for node in ray.nodes() if node["Alive"]]
    room = sum(number // threads for number in cpus)
    if not room:
        raise UsageError(
            f"no node of the cluster has {counted(threads, 'CPU')} (the largest has "
            f"{max(cpus, default=0)}): lower --threads, or start nodes with more (`ray start "
            "--num-cpus`)."
        )
    return room


def _connect(ray: Any, address: str, used: threading.Event) -> None:
    if address not in {LOCAL, AUTO}:
        _require_answer(address)
    for left in reversed(range(_STARTS)):
        try:
            _within(_CONNECT_S, lambda: ray.init(address=address, **_options(address)), used)
        except Exception as error:  # Ray raises many kinds, down to AssertionError
            ray.shutdown()
            if address != LOCAL or not left:
                raise EndoexitError(_why(address, error)) from error
        else:
            return


def _options(address: str) -> dict[str, Any]:
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    return options | ({"include_dashboard": False} if address == LOCAL else {})


def _require_answer(address: str) -> None:
    """Refuse an address at which no cluster answers: Ray itself would wait for minutes."""
    import grpc  # noqa: PLC0415

    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), _ANSWER_S).close()
    except OSError as error:
        raise EndoexitError(_why(address, error)) from error
    if os.environ.get("RAY_USE_TLS", "0") != "0":  # its channels need certificates
        return
    with grpc.insecure_channel(address) as channel:
        try:
            grpc.channel_ready_future(channel).result(_ANSWER_S)
        except grpc.FutureTimeoutError as error:
            raise EndoexitError(_why(address, "what answers there is no Ray")) from error


def _within(seconds: float, work: Callable[[], object], used: threading.Event) -> None:
    """Do work in a thread, because Ray cannot be interrupted; raise what it raises.

    Args:
        seconds: Time that it may take.
        work: Function without arguments.
        used: Event at which the thread ends: the system kills what Ray started with it.

    Raises:
        TimeoutError: It takes longer. Its thread is left alone.
    """
    ended: Future[None] = Future()

    def run() -> None:
        try:
            work()
        except BaseException as error:
            ended.set_exception(error)
            return
        ended.set_result(None)
        used.wait()

    threading.Thread(target=run, name="connect", daemon=True).start()
    ended.result(seconds)


def _why(address: str, reason: object) -> str:
    said = str(reason).strip().partition("\n")[0] or type(reason).__name__
    if address == LOCAL:
        return f"Ray cannot be started on this machine ({said}): free memory, and run it again."
    place = "of this machine" if address == AUTO else f"at {address}"
    return (
        f"the cluster of Ray {place} cannot be reached ({said}): start it with `ray start "
        "--head`, join it from this machine with `ray start --address`, and use the same versions "
        "of Ray and Python on all nodes."
    )
