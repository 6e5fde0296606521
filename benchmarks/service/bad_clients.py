"""Clients that hang up, and clients that are too many: parts of `faults.py`."""

import asyncio
import contextlib
import random
import resource
import time
from collections import Counter
from pathlib import Path
from typing import Any

from asking import ask_once, images, request_of, running, saturate
from under_load import PATIENCE_S, PATIENT, until

Found = dict[str, Any]
LONGEST_REST_S = 0.25  # a hundred clients then hang up about as often as a service answers


async def hang_up(
    source: Path, files: list[Path], folder: Path, *, connections: int, seconds: float
) -> Found:
    """Let half of the clients hang up, at any moment of their requests."""
    del folder
    requests = [request_of(file, PATIENT) for file in files]
    lines = [request_of(file, PATIENT, "Accept: application/x-ndjson\r\n") for file in files]
    with running(source) as (process, port):
        await saturate(port, requests, 1, 0.3)
        descriptors = process.num_fds()
        end = time.monotonic() + seconds
        gone = 0

        async def leave(seed: int) -> None:
            nonlocal gone
            moments = random.Random(seed)  # noqa: S311  a seed for figures that repeat
            while time.monotonic() < end:
                request = moments.choice([*requests, *lines])
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(request[: moments.choice([80, len(request) // 2, len(request)])])
                with contextlib.suppress(OSError, TimeoutError):
                    await writer.drain()
                    await asyncio.wait_for(reader.read(200), moments.random() * 0.05)
                writer.transport.abort()
                gone += 1
                await asyncio.sleep(moments.random() * LONGEST_REST_S)

        leaving = [asyncio.create_task(leave(seed)) for seed in range(connections)]
        _, kept = await saturate(port, requests, connections, seconds)
        await asyncio.gather(*leaving)
        counts = await images(port)
        end = time.monotonic() + 20
        while counts["inside"] and time.monotonic() < end:
            await asyncio.sleep(0.05)
            counts = await images(port)
        _, after = await saturate(port, requests, 1, min(seconds, 2))
        closed = await until(lambda: process.num_fds() <= descriptors + 2)
    checks = {
        "the others are answered": set(kept.statuses) <= {"200", "429"},
        "no image of the others stays inside": counts["inside"] == 0,
        "nothing is lost": counts["accepted"]
        == sum(counts[name] for name in ("answered", "cut", "failed", "cancelled")),
        "some were cancelled": counts["cancelled"] > 0,
        "the next requests are answered": set(after.statuses) == {"200"},
        "no descriptor stays open": closed,
    }
    return {"checks": checks, "hung_up": gone, "images": counts, "statuses": dict(kept.statuses)}


async def crowd(
    source: Path, files: list[Path], folder: Path, *, connections: int, seconds: float
) -> Found:
    """Open thousands of connections, to a service that may have 1024 files open at first."""
    del seconds
    many, log = 2000 + 80 * connections, folder / "log"
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(1024, hard), hard))
    seen: Counter[str] = Counter()
    config = folder / "serve.yaml"  # a busy machine takes long to read a head
    config.write_text("limits: {head_s: 60, keep_alive_s: 60}\n")
    try:
        with running(source, "--config", config, log=log) as (_, port):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            room = asyncio.Semaphore(min(3000, hard - 200))

            async def come() -> None:
                async with room:
                    reader, writer = await asyncio.open_connection("127.0.0.1", port)
                    with contextlib.suppress(OSError):
                        writer.write(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
                    head = await asyncio.wait_for(reader.read(2000), PATIENCE_S)
                    polite = b"retry-after" in head.lower() or head[9:12] == b"200"
                    seen[head[9:12].decode() if polite else "impolite"] += 1
                    await asyncio.sleep(1)
                    writer.close()

            came = await asyncio.gather(*(come() for _ in range(many)), return_exceptions=True)
            status, _ = await ask_once(port, request_of(files[0], PATIENT))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    faults = Counter(type(fault).__name__ for fault in came if fault is not None)
    checks = {
        "none waits in vain": not faults.keys() - {"ConnectionResetError"},
        # One that sends its request a second after it was refused finds the connection closed.
        "all but a few are answered or refused politely": seen["200"] + seen["503"] >= 0.95 * many,
        "some are refused": seen["503"] > 0,
        "the next request is answered": status == "200",
        "the log stays short": len(log.read_text().splitlines()) < 20,
    }
    return {"checks": checks, "seen": dict(seen), "faults": dict(faults)}
