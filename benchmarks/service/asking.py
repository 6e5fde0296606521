"""A service to ask, its clients, and load by the clock: parts of the commands next to this file."""

import asyncio
import contextlib
import itertools
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil

KINDS = {".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".png": "image/png"}
DEADLINE_S = 1.0  # of a request that names none; a client that waits longer has given up
CUT = b'"deadline":"cut"'


@dataclass
class Seen:
    """What came back of requests.

    Attributes:
        statuses: Number of answers of each status.
        seconds: Seconds since a request was due, of those with status 200.
        good: Number of these that came before the deadline and were not cut.
        unsent: Number of requests that were not sent, as no connection was free when they were due.
    """

    statuses: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    good: int = 0
    unsent: int = 0

    def add(self, status: str, body: bytes, seconds: float) -> None:
        """Count an answer."""
        self.statuses[status] += 1
        if status == "200":
            self.seconds.append(seconds)
            self.good += seconds <= DEADLINE_S and CUT not in body


class Connection:
    """One connection that is kept; it is opened again if the service has closed it."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, request: bytes) -> tuple[str, bytes]:
        """Return status and body of the answer; a status of words if there is none."""
        kept = self._streams is not None
        try:
            if self._streams is None:
                self._streams = await asyncio.open_connection("127.0.0.1", self._port)
            return await self._ask(*self._streams, request)
        except (OSError, asyncio.IncompleteReadError):
            self.close()
            # Closed as idle in the moment before: the service has not taken the request.
            return await self.ask(request) if kept else ("no answer", b"")

    def close(self) -> None:
        """Close the connection."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None

    async def _ask(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes
    ) -> tuple[str, bytes]:
        writer.write(request)
        await writer.drain()
        head = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
        body = await reader.readexactly(int(length[1])) if length else b""
        if b"connection: close" in head.lower():
            self.close()
        return head[9:12].decode(), body


def files_of(folder: Path) -> list[Path]:
    """Return at most 200 files of images below a folder."""
    return [path for path in sorted(folder.rglob("*")) if path.suffix in KINDS][:200]


def request_of(file: Path, query: str = "", more: str = "") -> bytes:
    """Return the request that sends a file, with more headers."""
    body = file.read_bytes()
    head = (
        f"POST /v1/predict{query} HTTP/1.1\r\nHost: localhost\r\n"
        f"Content-Type: {KINDS[file.suffix]}\r\nContent-Length: {len(body)}\r\n{more}\r\n"
    )
    return head.encode() + body


def form_of(files: Sequence[Path]) -> bytes:
    """Return the request that sends several files as a form."""
    parts = (
        b'--part\r\nContent-Disposition: form-data; name="file"; filename="image"\r\n'
        b"Content-Type: %s\r\n\r\n%s\r\n" % (KINDS[file.suffix].encode(), file.read_bytes())
        for file in files
    )
    body = b"".join(parts) + b"--part--\r\n"
    head = (
        "POST /v1/predict HTTP/1.1\r\nHost: localhost\r\n"
        f"Content-Type: multipart/form-data; boundary=part\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


@contextlib.contextmanager
def started(
    line: Sequence[object],
    ready: str,
    *,
    env: Mapping[str, str] | None = None,
    log: Path | None = None,
) -> Iterator[tuple[psutil.Process, str]]:
    """Yield the process of a command when its output says that it is ready, and that output.

    Args:
        line: Command with its arguments.
        ready: Pattern of what it prints then.
        env: Environment, where it is not that of this process.
        log: File that keeps the output; None for one that is removed.

    Raises:
        SystemExit: The command has ended before.
    """
    # The output goes to a file, which never fills up as a pipe would.
    with (
        tempfile.NamedTemporaryFile() if log is None else log.open("wb") as output,
        subprocess.Popen(list(map(str, line)), stdout=output, stderr=output, env=env) as made,
    ):
        try:
            while True:
                text = Path(output.name).read_text(encoding="utf-8", errors="replace")
                if made.poll() is not None:
                    raise SystemExit(f"{line[0]} has ended:\n{text}")
                if re.search(ready, text):
                    break
                time.sleep(0.05)
            yield psutil.Process(made.pid), text
        finally:
            made.terminate()


@contextlib.contextmanager
def running(
    source: Path,
    *options: object,
    env: Mapping[str, str] | None = None,
    log: Path | None = None,
) -> Iterator[tuple[psutil.Process, int]]:
    """Yield the process and the port of a service that is ready, and end it afterwards."""
    line = [sys.executable, "-m", "endoexit", "serve", source, "--port", 0, *options]
    with started(line, " ready: ", env=env, log=log) as (process, text):
        match = re.search(r"listening on \S+:(\d+)", text)
        assert match is not None
        yield process, int(match[1])


async def saturate(
    port: int, requests: list[bytes], connections: int, seconds: float
) -> tuple[float, Seen]:
    """Return the good answers a second when every connection asks as soon as it is answered."""
    turn, seen = itertools.cycle(requests), Seen()
    end = time.monotonic() + seconds

    async def ask_on() -> None:
        connection = Connection(port)
        while (begin := time.monotonic()) < end:
            status, body = await connection.ask(next(turn))
            seen.add(status, body, time.monotonic() - begin)
            if status != "200":
                await asyncio.sleep(0.05)
        connection.close()

    await asyncio.gather(*(ask_on() for _ in range(connections)))
    return seen.good / seconds, seen


async def capacity_of(port: int, requests: list[bytes], connections: int, seconds: float) -> float:
    """Return the good answers a second of a service that is always full.

    Raises:
        SystemExit: There was none, so no load is a multiple of it.
    """
    rate, _ = await saturate(port, requests, connections, seconds)
    if not rate:
        raise SystemExit(f"no good answer in {seconds:g} s: the machine is too busy to measure.")
    return rate


async def arrive(
    port: int, requests: list[bytes], rate: float, connections: int, seconds: float
) -> Seen:
    """Send requests by the clock, at the moments of a Poisson process.

    A request that is due while all connections wait for answers is not sent: a queue of the client
    would make every later request old before the service sees it. The time of a request counts from
    the moment at which it was due.
    """
    seen, asking = Seen(), set[asyncio.Task[None]]()
    free = [Connection(port) for _ in range(connections)]

    async def ask(connection: Connection, request: bytes, moment: float) -> None:
        status, body = await connection.ask(request)
        seen.add(status, body, time.monotonic() - moment)
        free.append(connection)

    turn, random = itertools.cycle(requests), np.random.default_rng(0)
    moment = begin = time.monotonic()
    while moment < begin + seconds:
        await asyncio.sleep(max(0.0, moment - time.monotonic()))
        request = next(turn)
        if free:
            task = asyncio.create_task(ask(free.pop(), request, moment))
            asking.add(task)
            task.add_done_callback(asking.discard)
        else:
            seen.unsent += 1
        moment += random.exponential(1 / rate)
    await asyncio.gather(*asking)
    for connection in free:
        connection.close()
    return seen


async def idle_ms(port: int, requests: list[bytes], count: int = 20) -> float:
    """Return the median latency of requests one after the other, in milliseconds."""
    connection, times = Connection(port), []
    for request in itertools.islice(itertools.cycle(requests), count):
        begin = time.monotonic()
        await connection.ask(request)
        times.append(1000 * (time.monotonic() - begin))
    connection.close()
    return float(np.median(times))


async def ask_once(port: int, request: bytes) -> tuple[str, bytes]:
    """Return status and body of the answer to one request."""
    connection = Connection(port)
    answer = await connection.ask(request)
    connection.close()
    return answer


async def metrics(port: int) -> str:
    """Return the metrics of a service."""
    _, body = await ask_once(port, b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
    return body.decode()


async def images(port: int) -> dict[str, int]:
    """Return the images that a service has taken in, what became of them, and those inside."""
    text = await metrics(port)
    counts = dict(re.findall(r'^endoexit_images_total\{outcome="(\w+)"\} (\S+)$', text, re.M))
    for name, metric in (("accepted", "accepted_images_total"), ("inside", "inside_images")):
        (counts[name],) = re.findall(rf"^endoexit_{metric} (\S+)$", text, re.M)
    return {name: int(float(value)) for name, value in counts.items()}


def memory_mb(process: psutil.Process) -> float:
    """Return the resident memory of a process and of those that it started."""
    total = 0
    for member in [process, *process.children(recursive=True)]:
        with contextlib.suppress(psutil.NoSuchProcess):
            total += member.memory_info().rss
    return total / 2**20
