"""Load without end, audit logs and pairs of models: parts of `faults.py`."""

import asyncio
import contextlib
import itertools
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
from asking import Connection, Seen

from endoexit.artifacts.bundle import open_source
from endoexit.artifacts.run import RunConfig, write_run
from endoexit.policy import threshold_policy
from endoexit.runtime.prediction import Prediction
from endoexit.runtime.session import open_session

PATIENT = "?deadline_ms=10000"  # what a fault costs is not to be hidden by a missed deadline
PATIENCE_S = 60.0
TOLERANCE = 1e-3  # of a probability, which depends a little on the size of its batch


class Load:
    """Requests without end on several connections, until it is stopped.

    Args:
        port: Port of the service.
        requests: Requests that are sent, one after the other.
        connections: Number of connections.
    """

    def __init__(self, port: int, requests: list[bytes], connections: int) -> None:
        self.seen = Seen()
        self._ending = False
        turn = itertools.cycle(requests)
        self._tasks = [
            asyncio.create_task(self._ask_on(port, turn, place)) for place in range(connections)
        ]

    async def _ask_on(self, port: int, turn: "itertools.cycle[bytes]", place: int) -> None:
        await asyncio.sleep(0.002 * place)
        connection = Connection(port)
        while not self._ending:
            begin = time.monotonic()
            status, body = await connection.ask(next(turn))
            self.seen.add(status, body, time.monotonic() - begin)
            if status == "no answer":
                return
            if status != "200":
                await asyncio.sleep(0.02)
        connection.close()

    async def stop(self) -> Seen:
        """Return what came back, when all connections have their last answer."""
        self._ending = True
        await asyncio.gather(*self._tasks)
        return self.seen


async def until(holds: Callable[[], Any], seconds: float = 20) -> bool:
    """Return whether something holds before the time is over."""
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            return False
        await asyncio.sleep(0.02)
    return True


def alive(processes: list[psutil.Process]) -> list[int]:
    """Return the identifiers of those processes that still run."""
    left = []
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                left.append(process.pid)
    return left


def lines_of(log: Path) -> tuple[list[dict[str, Any]], int]:
    """Return the lines of an audit log, and how many of them are not whole."""
    whole, cut = [], 0
    for line in log.read_text(encoding="utf-8").splitlines():
        try:
            whole.append(json.loads(line))
        except ValueError:
            cut += bool(line)
    return whole, cut


@dataclass(frozen=True)
class Expected:
    """What a model says about an image.

    Attributes:
        prediction: Answer of Python.
        classes: Names in the order of its probabilities.
    """

    prediction: Prediction
    classes: tuple[str, ...]

    def agrees(self, result: dict[str, Any]) -> bool:
        """Return whether an answer of a service is this one."""
        probabilities = [result["probabilities"][name] for name in self.classes]
        same = np.allclose(probabilities, self.prediction.probabilities, atol=TOLERANCE)
        return bool(same) and result["exit"] == self.prediction.exit


def two_runs(source: Path, folder: Path) -> list[Path]:
    """Write two runs of the network of a source, with random weights, and return their folders."""
    config = open_source(source).config
    fields = {
        name: getattr(config, name) for name in ("model", "overrides", "classes", "preprocessing")
    }
    runs = []
    for seed in range(2):
        torch.manual_seed(seed)
        model = config.network.build().eval()
        run = write_run(folder / f"random-{seed}", RunConfig(**fields), model).path
        threshold_policy(len(model.stages), 1.5 / len(config.classes)).write(run / "policy.json")
        runs.append(run)
    return runs


def answers_alone(path: Path, files: list[Path]) -> tuple[str, dict[Path, Expected]]:
    """Return the hash of a model's weights, and what it says about each image."""
    session = open_session(path)
    engine = session.engine
    images = np.stack([engine.preprocessing.load(file.read_bytes()) for file in files])
    answers = [Expected(prediction, session.classes) for prediction in engine.predict(images)]
    return session.source.weights_sha256, dict(zip(files, answers, strict=True))
