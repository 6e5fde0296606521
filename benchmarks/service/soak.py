"""Whether a service stays as it is under load: memory, file descriptors, threads, processes.

    python benchmarks/service/soak.py demo/bundle demo/images [--minutes 5] [--rate 50]

Starts `endoexit serve` on a free port of loopback and sends requests by the clock. Besides, for
every ten of them one client hangs up in the middle of its request. The service is looked at every
second. What it has in the last quarter of the time is held against the second quarter, in which it
is warm.

Writes benchmarks/results/service_soak.json, or the file of `--out`, and exits with 1 if something
grows or a request gets a status other than 200, 429 and 504.
"""

import argparse
import asyncio
import contextlib
import sys
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from asking import arrive, files_of, request_of, running

from endoexit.files import write_json
from endoexit.machine import describe_machine, library_versions

RESULT = Path(__file__).resolve().parents[1] / "results" / "service_soak.json"
# What may be more in the end: memory by its share, the others by their number. A connection that
# has just been closed by its client still has its descriptor.
GROWTH = {"memory_mb": 0.1, "descriptors": 16, "threads": 0, "processes": 0}


def look(process: psutil.Process) -> dict[str, float]:
    """Return what a service has at this moment."""
    return {
        "memory_mb": process.memory_info().rss / 2**20,
        "descriptors": process.num_fds(),
        "threads": process.num_threads(),
        "processes": len(process.children(recursive=True)),
    }


async def hang_up(port: int, request: bytes, every_s: float) -> None:
    """Send half of a request and hang up, again and again, until it is cancelled."""
    while True:
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(request[: len(request) // 2])
            await writer.drain()
            writer.close()
        await asyncio.sleep(every_s)


async def watch(process: psutil.Process, looks: list[dict[str, float]]) -> None:
    """Look at a service every second until it is cancelled."""
    while True:
        looks.append(look(process))
        await asyncio.sleep(1)


async def soak(
    process: psutil.Process, port: int, requests: list[bytes], options: argparse.Namespace
) -> dict[str, Any]:
    """Return the statuses of all requests and the looks at the service."""
    looks: list[dict[str, float]] = []
    beside = [
        asyncio.create_task(watch(process, looks)),
        asyncio.create_task(hang_up(port, requests[0], 10 / options.rate)),
    ]
    seen = await arrive(port, requests, options.rate, options.connections, 60 * options.minutes)
    for task in beside:
        task.cancel()
    await asyncio.gather(*beside, return_exceptions=True)
    return {"statuses": dict(seen.statuses), "looks": looks}


def grown(looks: list[dict[str, float]]) -> dict[str, tuple[float, float]]:
    """Return what is more in the last quarter than in the second one, with both values."""
    quarter = max(1, len(looks) // 4)
    growth = {}
    for name, allowed in GROWTH.items():
        values = [look[name] for look in looks]
        before = float(np.median(values[quarter : 2 * quarter] or values))
        after = float(np.median(values[-quarter:]))
        if after > before + (allowed * before if name == "memory_mb" else allowed):
            growth[name] = (before, after)
    return growth


def main() -> None:
    """Measure, write the result, and say what has grown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", type=Path)
    parser.add_argument("images", type=Path)
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--rate", type=float, default=50, help="requests a second")
    parser.add_argument("--connections", type=int, default=20)
    parser.add_argument("--out", type=Path, default=RESULT)
    options = parser.parse_args()
    requests = [request_of(file) for file in files_of(options.images)]
    with running(options.source) as (process, port):
        result = asyncio.run(soak(process, port, requests, options))
    result["grown"] = grown(result["looks"])
    result["command"] = " ".join(sys.argv)
    result["machine"], result["versions"] = describe_machine(), library_versions()
    write_json(options.out, result)
    # A busy machine misses deadlines; that is not what this command is about.
    wrong = result["statuses"].keys() - {"200", "429", "504"}
    for name, (before, after) in result["grown"].items():
        print(f"{name}: {before:g} in the second quarter, {after:g} in the last")
    print("\n".join(f"status: {status}" for status in sorted(wrong)))
    print(f"{sum(result['statuses'].values())} requests: {result['statuses']}")
    sys.exit(bool(wrong or result["grown"]))


if __name__ == "__main__":
    main()
