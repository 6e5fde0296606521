"""A service in a process of its own, and what tests ask of it."""

import contextlib
import io
import os
import re
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from PIL import Image

from endoexit.policy import threshold_policy
from endoexit.policy.answers import Answers
from tiny import tiny_photos, tiny_run
from tiny_project import command

CALIBRATED = Answers(
    exits=(40, 30, 20, 10),
    labels=(50, 30, 20),
    confidence_edges=(0.7, 0.9),
    confidences=(20, 30, 50),
)


def make_run(folder: Path, threshold: float = 0.6, seed: int = 0) -> Path:
    """Write a run of random weights, with a policy that knows its answers on calibrate."""
    run = tiny_run(folder, seed=seed).path
    policy = threshold_policy(4, threshold)
    policy.replaced(calibrated=CALIBRATED, goal="a policy of tests").write(run / "policy.json")
    return run


def png(pixels: np.ndarray) -> bytes:
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "PNG")
    return content.getvalue()


PHOTOS = [png(pixels) for pixels in tiny_photos()]


class Server:
    """A service on a free port of loopback.

    Args:
        source: Run or bundle.
        arguments: More options of the command.
        env: Environment, where it is not that of the tests.
        within: Command that runs the service, and ends as it.
    """

    def __init__(
        self,
        source: Path | str,
        *arguments: object,
        env: dict[str, str] | None = None,
        within: Sequence[str] = (),
    ) -> None:
        environment = dict(os.environ) if env is None else env
        line = [*within, *command("serve", source, "--port", 0, "--threads", 1, *arguments)]
        self.process = subprocess.Popen(
            line, stderr=subprocess.PIPE, text=True, env=environment | {"OMP_NUM_THREADS": "1"}
        )
        self.log = ""
        self.port = int(self.until(r"listening on \w+://\S+:(\d+)")[1])
        self.url = f"http://127.0.0.1:{self.port}"

    def until(self, pattern: str, seconds: float = 120) -> re.Match[str]:
        """Read the log until a line matches."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            line = self.process.stderr.readline()
            self.log += line
            if match := re.search(pattern, line):
                return match
            assert line, f"the service ended with {self.process.wait()}:\n{self.log}"
        raise AssertionError(f"no {pattern!r} in:\n{self.log}")

    def ready(self) -> "Server":
        self.until("ready: ")
        return self

    def client(self, **options: Any) -> httpx.Client:
        return httpx.Client(base_url=self.url, timeout=60, trust_env=False, **options)

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def wait(self, seconds: float = 60) -> int:
        """Wait for the end; return the exit code, with the rest of the log read."""
        _, rest = self.process.communicate(timeout=seconds)
        self.log += rest
        return self.process.returncode

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()


@contextlib.contextmanager
def serving(source: Path, *arguments: object):
    server = Server(source, *arguments)
    try:
        yield server.ready()
    finally:
        server.close()


def post(client: httpx.Client, content: Any, **options: Any) -> httpx.Response:
    headers = {"content-type": "image/png"} | options.pop("headers", {})
    return client.post("/v1/predict", content=content, headers=headers, **options)


def form(contents: list[bytes], name: str = "image.png") -> list[tuple[str, Any]]:
    return [("file", (name, content, "image/png")) for content in contents]


def metric(client: httpx.Client, name: str) -> float:
    """Return the value of a line of the metrics."""
    for line in client.get("/metrics").text.splitlines():
        if line.startswith(name + " "):
            return float(line.rpartition(" ")[2])
    return 0.0


def counts(client: httpx.Client) -> dict[str, float]:
    """Return accepted images, what became of them, and those inside."""
    text = client.get("/metrics").text
    values = dict(re.findall(r'^endoexit_images_total{outcome="(\w+)"} (\S+)$', text, re.MULTILINE))
    values["accepted"] = re.search(r"^endoexit_accepted_images_total (\S+)$", text, re.M)[1]
    values["inside"] = re.search(r"^endoexit_inside_images (\S+)$", text, re.M)[1]
    return {name: float(value) for name, value in values.items()}


def balanced(client: httpx.Client) -> dict[str, float]:
    """Return the counts, after checking that no image is missing."""
    seen = counts(client)
    ended = sum(seen[name] for name in ("answered", "cut", "failed", "cancelled"))
    assert seen["accepted"] == ended + seen["inside"]
    return seen


def terminate(server: Server) -> int:
    server.signal(signal.SIGTERM)
    return server.wait()
