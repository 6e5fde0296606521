r"""`endoexit serve` next to LitServe with the same network whole, in batches, on this machine.

    pip install --constraint constraints.txt --no-deps --target .venv/peer litserve pyzmq \
        httptools uvloop watchfiles websockets
    python benchmarks/service/peer.py demo/bundle demo/images [--seconds 30] [--rounds 3]

Both answer the same requests with the same decoding, backend and batch size. LitServe runs every
image through all stages as one piece; it is tried with one worker on all cores and with one worker
for each core. `endoexit serve` also runs without early exits, stage by stage. All services are
started before, and each is loaded alone, one after the other, in several rounds: its capacity, then
arrivals by the clock at 0.5, 1 and 2 times the capacity of the better LitServe. The others are
stopped meanwhile, as LitServe's processes take processor time while they are idle. A good answer
is one before the deadline that the deadline did not cut.

Writes benchmarks/results/service_peer.json, or the file of `--out`. Exits with 1 if the service is
not ahead: in goodput at twice the capacity by what the exits save of the time of the whole network
as one piece, and in median latency at half.
"""

import argparse
import asyncio
import contextlib
import itertools
import json
import os
import socket
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from asking import arrive, ask_once, capacity_of, files_of, request_of, running, saturate, started

from endoexit.files import write_json
from endoexit.machine import describe_machine, library_versions, usable_cores
from endoexit.policy import fixed_exit
from endoexit.runtime.engine import Engine
from endoexit.runtime.session import open_session

ROOT = Path(__file__).resolve().parents[2]
RESULT = ROOT / "benchmarks" / "results" / "service_peer.json"
PACKAGES = ROOT / ".venv" / "peer"
SERVER = Path(__file__).with_name("peer_server.py")
FACTORS = (0.5, 1.0, 2.0)
BATCH = 16
OURS, OURS_WHOLE = "endoexit serve", "endoexit serve, whole network"
WHOLE = ("--threshold", 1)  # no confidence is as high before the final exit
TOLERANCE = 0.95
SETTLING_S = 0.3


def free_port() -> int:
    """Return a port that is free now."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
        return port


@contextlib.contextmanager
def peer_running(
    source: Path, request: bytes, packages: Path, workers: int, threads: int
) -> Iterator[tuple[psutil.Process, int]]:
    """Yield the process and the port of a LitServe that answers, and end it afterwards."""
    port = free_port()
    paths = [str(packages), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
    line = [sys.executable, SERVER, source, "--port", port, "--workers", workers,
            "--threads", threads]  # fmt: skip
    workers_left: list[psutil.Process] = []
    try:
        with started(line, "Uvicorn running|startup complete", env=environment) as (server, _):
            end = time.monotonic() + 60
            while asyncio.run(ask_once(port, request))[0] != "200":
                if time.monotonic() > end:
                    raise SystemExit("LitServe does not answer")
                time.sleep(0.2)
            workers_left += server.children(recursive=True)
            yield server, port
    finally:  # LitServe ends without its workers
        for process in workers_left:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()


def saving(source: Path, files: list[Path], rounds: int) -> float:
    """Return how many times faster the network is with its policy than whole."""
    engine = open_session(source).engine
    last = engine.backend.num_stages
    whole = Engine(engine.backend, fixed_exit(last, last), engine.preprocessing, fused=True)
    images = np.stack([engine.preprocessing.load(file.read_bytes()) for file in files])
    engine.backend.expect(BATCH)
    seconds: dict[str, list[float]] = {"policy": [], "whole": []}
    for _ in range(rounds + 1):  # the first is not counted
        for name, served in (("policy", engine), ("whole", whole)):
            begin = time.monotonic()
            served.predict(images)
            seconds[name].append(time.monotonic() - begin)
    medians = {name: statistics.median(times[1:]) for name, times in seconds.items()}
    return medians["whole"] / medians["policy"]


class Services:
    """The services, of which one at a time runs.

    Args:
        servers: Process and port of each, by its name.
    """

    def __init__(self, servers: dict[str, tuple[psutil.Process, int]]) -> None:
        self._servers = servers

    def __iter__(self) -> Iterator[tuple[str, int]]:
        """Yield name and port of each while it alone runs; all run afterwards."""
        try:
            for name, (_, port) in self._servers.items():
                for other, (process, _) in self._servers.items():
                    signal_all(process, stop=other != name)
                time.sleep(SETTLING_S)
                yield name, port
        finally:
            for process, _ in self._servers.values():
                signal_all(process, stop=False)


def signal_all(process: psutil.Process, *, stop: bool) -> None:
    """Stop a process and its children, or let them continue."""
    for each in (process, *process.children(recursive=True)):
        with contextlib.suppress(psutil.NoSuchProcess):  # a child that has ended meanwhile
            each.suspend() if stop else each.resume()


async def measure(
    services: Services, requests: list[bytes], *, connections: int, seconds: float, rounds: int
) -> dict[str, Any]:
    """Return what each service does, in every round."""
    for _, port in services:  # warm
        await saturate(port, requests, connections, min(3, seconds))
    capacities: dict[str, list[float]] = {}
    for _ in range(rounds):
        for name, port in services:
            measured = await capacity_of(port, requests, connections, seconds / 2)
            capacities.setdefault(name, []).append(measured)
    capacity = {name: statistics.median(measured) for name, measured in capacities.items()}
    rate = max(measured for name, measured in capacity.items() if name in peers_of(capacity))
    steps = []
    for number, factor in itertools.product(range(rounds), FACTORS):
        for name, port in services:
            seen = await arrive(port, requests, factor * rate, connections, seconds)
            p50, p99 = np.quantile(seen.seconds or [float("nan")], [0.5, 0.99]) * 1000
            step = {
                "round": number, "factor": factor, "service": name, "p50_ms": p50, "p99_ms": p99,
                "goodput": seen.good / seconds, "statuses": dict(seen.statuses),
                "unsent": seen.unsent,
            }  # fmt: skip
            print(json.dumps(step), file=sys.stderr)
            steps.append(step)
    return {"capacity": capacity, "rate": rate, "steps": steps}


def median(result: dict[str, Any], service: str, factor: float, figure: str) -> float:
    """Return the median of a figure over the rounds."""
    return statistics.median(
        step[figure]
        for step in result["steps"]
        if step["service"] == service and step["factor"] == factor
    )


def peers_of(capacity: dict[str, float]) -> list[str]:
    """Return the names of the other server's services."""
    return [name for name in capacity if name not in {OURS, OURS_WHOLE}]


def savings(result: dict[str, Any]) -> dict[str, float]:
    """Return the ratios of goodput at twice the capacity: what the exits save, and the lead."""
    goodput = {name: median(result, name, 2.0, "goodput") for name in result["capacity"]}
    return {
        "by_exits": goodput[OURS] / goodput[OURS_WHOLE],
        "over_peer": goodput[OURS] / max(goodput[name] for name in peers_of(goodput)),
    }


def missed(result: dict[str, Any]) -> list[str]:
    """Return in what the service is not ahead, in words."""
    saved = savings(result)
    p50 = min(median(result, name, 0.5, "p50_ms") for name in peers_of(result["capacity"]))
    ahead = {
        "goodput at twice the capacity, by what the exits save of the network": saved["over_peer"]
        >= result["saving_of_network"] * TOLERANCE,
        "median latency at half the capacity": median(result, OURS, 0.5, "p50_ms") <= p50,
    }
    return [name for name, kept in ahead.items() if not kept]


def main() -> None:
    """Measure, write the result, and say in what the service is not ahead."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", type=Path)
    parser.add_argument("images", type=Path)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--connections", type=int, default=200)
    parser.add_argument("--packages", type=Path, default=PACKAGES, help="folder of LitServe")
    parser.add_argument("--out", type=Path, default=RESULT)
    options = parser.parse_args()
    files = files_of(options.images)
    requests = list(map(request_of, files))
    cores = usable_cores()
    saved = saving(options.source, files, options.rounds)
    with contextlib.ExitStack() as stack:
        servers = {}
        for name, words in ((OURS, ()), (OURS_WHOLE, WHOLE)):
            servers[name] = stack.enter_context(running(options.source, *words))
        for workers, threads in sorted({(1, cores), (cores, 1)}):
            peer = peer_running(options.source, requests[0], options.packages, workers, threads)
            servers[f"LitServe, workers: {workers}"] = stack.enter_context(peer)
        numbers = {name: getattr(options, name) for name in ("connections", "seconds", "rounds")}
        result = asyncio.run(measure(Services(servers), requests, **numbers))
    result["saving_of_network"] = saved
    result["savings"] = savings(result)
    result["missed"] = missed(result)
    result["command"] = " ".join(sys.argv)
    result["machine"], result["versions"] = describe_machine(), library_versions()
    write_json(options.out, result)
    print("\n".join(f"not ahead: {name}" for name in result["missed"]) or "ahead in both")
    sys.exit(bool(result["missed"]))


if __name__ == "__main__":
    main()
