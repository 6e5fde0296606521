"""What a service does below and above its capacity, on this machine alone.

    python benchmarks/service/load.py demo/bundle demo/images [--seconds 60] [--connections 200]

Starts `endoexit serve` on a free port of loopback. It measures, one after the other:

- `endoexit predict` in throughput mode on the same image files: images a second, here and once more
  in the end; the better of both counts
- the capacity of the service: good answers a second when all connections always ask, for one image
  each; and images a second when a few connections always ask for sixteen
- arrivals by the clock at 0.5, 1, 2 and 10 times the capacity: statuses, latencies of the accepted
  requests, goodput, memory; at 10 times also with more connections than images may be inside
- how long the service takes back to the latency of an idle one

A good answer is one before the deadline that the deadline did not cut. A request that is due while
all connections wait for answers is never sent, and is counted apart. The client runs
on the same cores as the service, so figures are lower bounds. Writes
benchmarks/results/service_load.json, or the file of `--out`. Exits with 1 if a target is missed.
"""

import argparse
import asyncio
import json
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from asking import (
    arrive,
    capacity_of,
    files_of,
    form_of,
    idle_ms,
    images,
    memory_mb,
    request_of,
    running,
    saturate,
)

from endoexit.files import write_json
from endoexit.machine import describe_machine, library_versions
from endoexit.runtime.inputs import Inputs
from endoexit.runtime.predictor import predict_images
from endoexit.runtime.session import open_session

RESULT = Path(__file__).resolve().parents[1] / "results" / "service_load.json"
# Arrivals as a multiple of the capacity; connections as a multiple of those asked for.
STEPS = ((0.5, 1), (1.0, 1), (2.0, 1), (10.0, 1), (10.0, 2))
BATCH = 16
PREDICTIONS = 9
IMAGES_OF_A_FORM, FORMS = 16, 8  # as many as may be inside: more would be refused
PLATEAU = 0.1  # how far memory may be from its median while the service is full


def predicted_per_second(source: Path, folder: Path) -> float:
    """Return the images a second of `endoexit predict`: the median of the runs after the first."""
    engine = open_session(source).engine
    files = list(Inputs([str(folder)]))
    rates = []
    for _ in range(1 + PREDICTIONS):
        begin = time.monotonic()
        rows = sum(1 for _ in predict_images(engine, files, BATCH))
        rates.append(rows / (time.monotonic() - begin))
    return statistics.median(rates[1:])


async def watch(process: psutil.Process, memory: list[float]) -> None:
    """Note the memory of a service four times a second until it is cancelled."""
    while True:
        memory.append(memory_mb(process))
        await asyncio.sleep(0.25)


async def measure_step(
    process: psutil.Process, port: int, requests: list[bytes], rate: float, **load: Any
) -> dict[str, Any]:
    """Return what a service does while requests arrive at a rate."""
    before, memory = await images(port), list[float]()
    watching = asyncio.create_task(watch(process, memory))
    seen = await arrive(port, requests, rate, **load)
    watching.cancel()
    after = await images(port)
    quantiles = np.quantile(seen.seconds or [float("nan")], [0.5, 0.95, 0.99]) * 1000
    return {
        "arrivals_per_second": rate,
        "statuses": dict(seen.statuses),
        "unsent": seen.unsent,
        "p50_ms": quantiles[0], "p95_ms": quantiles[1], "p99_ms": quantiles[2],
        "goodput": seen.good / load["seconds"],
        "images": {name: after[name] - before[name] for name in after if name != "inside"},
        "inside_after": after["inside"],
        "memory_mb": {"least": min(memory), "median": float(np.median(memory)),
                      "most": max(memory)},
    }  # fmt: skip


async def measure(
    process: psutil.Process,
    port: int,
    requests: list[bytes],
    forms: list[bytes],
    *,
    connections: int,
    seconds: float,
) -> dict[str, Any]:
    """Return everything that is measured of a running service."""
    await saturate(port, requests, connections, min(5, seconds))  # warm
    idle = await idle_ms(port, requests)
    capacity = await capacity_of(port, requests, connections, max(2, seconds / 2))
    forms_per_second = await capacity_of(port, forms, FORMS, max(2, seconds / 2))
    steps = []
    for factor, crowd in STEPS:
        load = {"connections": crowd * connections, "seconds": seconds}
        step = await measure_step(process, port, requests, factor * capacity, **load)
        steps.append({"factor": factor, "connections": crowd * connections, **step})
        print(json.dumps(steps[-1]), file=sys.stderr)
    await asyncio.sleep(2)
    after = await idle_ms(port, requests)
    return {
        "idle_ms": idle,
        "capacity": capacity,
        "images_per_second_in_forms": IMAGES_OF_A_FORM * forms_per_second,
        "steps": steps,
        "idle_after_2_s_ms": after,
    }


def missed(result: dict[str, Any]) -> list[str]:
    """Return the targets that are missed, in words."""
    statuses = set().union(*(step["statuses"] for step in result["steps"]))
    full = [step for step in result["steps"] if step["factor"] >= 2]
    plateau = full[0]["memory_mb"]["median"]
    lost = [
        step
        for step in result["steps"]
        if step["statuses"].get("200", 0) != step["images"]["answered"] + step["images"]["cut"]
        or step["images"]["failed"] or step["images"]["cancelled"] or step["inside_after"]
    ]  # fmt: skip
    targets = {
        "only 200 and 429": statuses <= {"200", "429"},
        "every accepted request is answered": not lost,
        "goodput at 10 times >= 0.9 of the capacity": min(
            step["goodput"] for step in full if step["factor"] == 10
        )
        >= 0.9 * result["capacity"],
        "throughput of forms >= 0.9 of endoexit predict": result["images_per_second_in_forms"]
        >= 0.9 * result["predict_images_per_second"],
        "memory within 10 % of its plateau": all(
            (1 - PLATEAU) * plateau <= step["memory_mb"]["least"]
            and step["memory_mb"]["most"] <= (1 + PLATEAU) * plateau
            for step in full
        ),
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
    parser.add_argument("--out", type=Path, default=RESULT)
    options = parser.parse_args()
    files = files_of(options.images)
    requests = list(map(request_of, files))
    forms = [
        form_of(files[first : first + IMAGES_OF_A_FORM])
        for first in range(0, len(files) - IMAGES_OF_A_FORM + 1, IMAGES_OF_A_FORM)
    ] or [form_of((files * IMAGES_OF_A_FORM)[:IMAGES_OF_A_FORM])]
    predicted = predicted_per_second(options.source, options.images)
    with running(options.source) as (process, port):
        result = asyncio.run(
            measure(process, port, requests, forms, connections=options.connections,
                    seconds=options.seconds)
        )  # fmt: skip
    after = predicted_per_second(options.source, options.images)
    result["predict_images_per_second"] = max(predicted, after)
    result["missed"] = missed(result)
    result["command"] = " ".join(sys.argv)
    result["machine"], result["versions"] = describe_machine(), library_versions()
    write_json(options.out, result)
    print("\n".join(f"missed: {name}" for name in result["missed"]) or "all targets are met")
    sys.exit(bool(result["missed"]))


if __name__ == "__main__":
    main()
