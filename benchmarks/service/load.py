"""What a service does below and above its capacity, on this machine alone.

    python benchmarks/service/load.py demo/bundle demo/images [--seconds 60] [--connections 200]

Starts `endoexit serve` on a free port of loopback. It measures, one after the other:

- `endoexit predict` in throughput mode on the same image files: images a second
- the capacity of the service: as many requests of one image as it answers, over all connections
- arrivals by the clock at 0.5, 1, 2 and 10 times the capacity: statuses, latencies of the accepted
  ones, goodput (answers before the deadline), memory. The time of a request counts from the moment
  at which it was due, so a slow service does not slow its own load down
- how long the service takes back to the latency of an idle one

The client runs on the same cores as the service, so figures are lower bounds. Writes
benchmarks/results/service_load.json and exits with 1 if a target is missed.
"""

import argparse
import asyncio
import contextlib
import itertools
import json
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from endoexit.files import write_json
from endoexit.machine import describe_machine, library_versions
from endoexit.runtime.inputs import Inputs
from endoexit.runtime.predictor import predict_images
from endoexit.runtime.session import open_session

RESULT = Path(__file__).resolve().parents[1] / "results" / "service_load.json"
FACTORS = (0.5, 1.0, 2.0, 10.0)
BATCH = 16
KINDS = {".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".png": "image/png"}


@dataclass
class Seen:
    """What came back: statuses, and for answers the seconds since they were due."""

    statuses: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    cut: int = 0


class Connection:
    """One connection that is kept; it is opened again if the service closes it."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, request: bytes) -> tuple[str, bytes]:
        """Return status and body of the answer; a status of words if there is none."""
        for attempt in (1, 2):
            try:
                if self._streams is None:
                    self._streams = await asyncio.open_connection("127.0.0.1", self._port)
                return await self._ask(*self._streams, request)
            except (OSError, asyncio.IncompleteReadError):
                self._streams = None  # closed as idle, perhaps: once more
                if attempt == 2:
                    return "no answer", b""
        raise AssertionError

    async def _ask(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes
    ) -> tuple[str, bytes]:
        writer.write(request)
        await writer.drain()
        head = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
        body = await reader.readexactly(int(length[1])) if length else b""
        if b"connection: close" in head.lower():
            writer.close()
            self._streams = None
        return head[9:12].decode(), body


def files_of(folder: Path) -> list[Path]:
    """Return at most 200 files of images below a folder."""
    return [path for path in sorted(folder.rglob("*")) if path.suffix in KINDS][:200]


@contextlib.contextmanager
def running(source: Path, *options: str) -> Iterator[tuple[psutil.Process, int]]:
    """Yield the process and the port of a service that is ready, and end it afterwards."""
    script = str(Path(sys.executable).with_name("endoexit"))
    line = [script, "serve", str(source), "--port", "0", *options]
    # Its log goes to a file, which never fills up as a pipe would.
    with (
        tempfile.TemporaryFile("w+") as log,
        subprocess.Popen(line, stderr=log, text=True) as service,
    ):
        try:
            while True:
                log.seek(0)
                text = log.read()
                if service.poll() is not None:
                    raise SystemExit(f"the service has ended:\n{text}")
                if " ready: " in text:
                    break
                time.sleep(0.1)
            match = re.search(r"listening on \S+:(\d+)", text)
            assert match is not None
            yield psutil.Process(service.pid), int(match[1])
        finally:
            service.terminate()


def request_of(file: Path) -> bytes:
    """Return the request that sends a file."""
    body = file.read_bytes()
    head = (
        f"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: {KINDS[file.suffix]}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def saturate(port: int, requests: list[bytes], connections: int, seconds: float) -> float:
    """Return the answers a second when every connection asks again as soon as it is answered."""
    turn, end, answers = itertools.cycle(requests), time.monotonic() + seconds, 0

    async def ask_on() -> None:
        nonlocal answers
        connection = Connection(port)
        while time.monotonic() < end:
            status, _ = await connection.ask(next(turn))
            answers += status == "200"
            if status == "429":
                await asyncio.sleep(0.05)

    await asyncio.gather(*(ask_on() for _ in range(connections)))
    return answers / seconds


async def arrive(
    port: int, requests: list[bytes], rate: float, connections: int, seconds: float
) -> Seen:
    """Send requests by the clock, at the moments of a Poisson process."""
    seen, due = Seen(), asyncio.Queue[tuple[float, bytes] | None]()

    async def ask_on() -> None:
        connection = Connection(port)
        while (item := await due.get()) is not None:
            moment, request = item
            status, body = await connection.ask(request)
            seen.statuses[status] += 1
            if status == "200":
                seen.seconds.append(time.monotonic() - moment)
                seen.cut += b'"deadline":"cut"' in body

    asking = [asyncio.create_task(ask_on()) for _ in range(connections)]
    turn, random = itertools.cycle(requests), np.random.default_rng(0)
    moment = begin = time.monotonic()
    while moment < begin + seconds:
        wait = moment - time.monotonic()
        await asyncio.sleep(max(0.0, wait))
        due.put_nowait((moment, next(turn)))
        moment += random.exponential(1 / rate)
    for _ in asking:
        due.put_nowait(None)
    await asyncio.gather(*asking)
    return seen


async def idle_ms(port: int, requests: list[bytes], count: int = 20) -> float:
    """Return the median latency of requests one after the other."""
    connection, times = Connection(port), []
    for request in itertools.islice(itertools.cycle(requests), count):
        begin = time.monotonic()
        await connection.ask(request)
        times.append(1000 * (time.monotonic() - begin))
    return float(np.median(times))


def predicted_per_second(source: Path, images: Path) -> float:
    """Return the images a second of `endoexit predict`, the second of two runs."""
    engine = open_session(source).engine
    files = list(Inputs([str(images)]))
    for _ in range(2):
        begin = time.monotonic()
        rows = sum(1 for _ in predict_images(engine, files, BATCH))
        rate = rows / (time.monotonic() - begin)
    return rate


async def measure(
    process: psutil.Process, port: int, requests: list[bytes], options: argparse.Namespace
) -> dict[str, Any]:
    """Return everything that is measured of a running service."""
    await saturate(port, requests, options.connections, 5)  # warm
    idle = await idle_ms(port, requests)
    capacity = await saturate(port, requests, options.connections, options.seconds / 2)
    steps = []
    for factor in FACTORS:
        seen = await arrive(port, requests, factor * capacity, options.connections, options.seconds)
        quantiles = np.quantile(seen.seconds, [0.5, 0.95, 0.99]) * 1000
        step = {
            "factor": factor,
            "arrivals_per_second": factor * capacity,
            "statuses": dict(seen.statuses),
            "p50_ms": quantiles[0], "p95_ms": quantiles[1], "p99_ms": quantiles[2],
            "goodput": len(seen.seconds) / options.seconds,
            "cut": seen.cut,
            "memory_mb": process.memory_info().rss / 2**20,
        }  # fmt: skip
        print(json.dumps(step), file=sys.stderr)
        steps.append(step)
    await asyncio.sleep(2)
    after = await idle_ms(port, requests)
    return {"idle_ms": idle, "capacity": capacity, "steps": steps, "idle_after_2_s_ms": after}


def missed(result: dict[str, Any]) -> list[str]:
    """Return the targets that are missed, in words."""
    steps = {step["factor"]: step for step in result["steps"]}
    memory = [step["memory_mb"] for step in result["steps"]]
    statuses = set().union(*(step["statuses"] for step in result["steps"]))
    targets = {
        "only 200 and 429": statuses <= {"200", "429"},
        "goodput at 10 times >= 0.9 of the capacity": steps[10.0]["goodput"]
        >= 0.9 * result["capacity"],
        "throughput >= 0.9 of endoexit predict": result["capacity"]
        >= 0.9 * result["predict_images_per_second"],
        "memory within 10 % of its plateau": memory[-1] <= 1.1 * memory[1],
        "idle latency again after 2 s": result["idle_after_2_s_ms"] <= 1.5 * result["idle_ms"],
    }
    return [name for name, kept in targets.items() if not kept]


def main() -> None:
    """Measure, write the result, and say which targets are missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", type=Path)
    parser.add_argument("images", type=Path)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--connections", type=int, default=200)
    options = parser.parse_args()
    files = files_of(options.images)
    predicted = predicted_per_second(options.source, options.images)
    with running(options.source) as (process, port):
        result = asyncio.run(measure(process, port, list(map(request_of, files)), options))
    result["predict_images_per_second"] = predicted
    result["missed"] = missed(result)
    result["command"] = " ".join(sys.argv)
    result["machine"], result["versions"] = describe_machine(), library_versions()
    write_json(RESULT, result)
    print("\n".join(f"missed: {name}" for name in result["missed"]) or "all targets are met")
    sys.exit(bool(result["missed"]))


if __name__ == "__main__":
    main()
