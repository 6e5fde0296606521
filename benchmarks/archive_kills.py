"""What kills at random moments do to a job, for `archive.py`."""

import random
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import psutil

from archive_material import command_of, endoexit, rows, write_images
from endoexit.archiving.plan import JobFolder
from endoexit.archiving.reading import faults_of

_WORKER = "endoexit.archiving.worker"
_END_SECONDS = 60  # within which the workers of a killed driver have to end by themselves


class Killed:
    """A job that is begun again after each kill.

    Args:
        bundle: Run or bundle.
        folder: Folder for jobs.
        archive: Tar with the images.
        shard_images: Number of images of a shard.

    Attributes:
        struck: Number of kills of drivers, and of workers.
        jobs: Jobs that were begun; another one begins if one is done before the last kill.
        at: Shards that were done at each kill.
        gave_up: Number of drivers that ended with an error, as workers ended again and again.
    """

    def __init__(self, bundle: Path, folder: Path, archive: Path, shard_images: int) -> None:
        self._bundle, self._folder, self._archive = bundle, folder, archive
        self._shard_images = shard_images
        self.struck = {"driver": 0, "worker": 0}
        self.jobs = [self.plan()]
        self.at: list[int] = []
        self.gave_up = 0
        self._driver: subprocess.Popen[bytes] | None = None

    def plan(self) -> Path:
        """Plan a job of the same images; return its folder."""
        job = Path(self._folder, f"job-{time.monotonic_ns()}")
        line = ("archive", "plan", self._bundle, self._archive, "--out", job)
        endoexit(*line, "--shard-images", self._shard_images)
        return job

    def live(self, seconds: float, whom: str) -> None:
        """Let the job run for some seconds, then kill its driver or its worker."""
        driver = self._running()
        try:
            code = driver.wait(seconds)
        except subprocess.TimeoutExpired:
            self._kill(driver, whom)
            return
        self._driver = None
        if code:
            self.gave_up += 1
        else:
            self.jobs.append(self.plan())

    def end(self) -> None:
        """Let the last job come to its end."""
        if self._driver is not None:
            self._kill(self._driver, "driver", count=0)
        endoexit("archive", "run", self.jobs[-1], "--threads", 1)

    def _running(self) -> "subprocess.Popen[bytes]":
        if self._driver is None:
            command = command_of("archive", "run", self.jobs[-1], "--threads", 1)
            self._driver = subprocess.Popen(
                command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
        return self._driver

    def _kill(self, driver: "subprocess.Popen[bytes]", whom: str, count: int = 1) -> None:
        try:
            children = psutil.Process(driver.pid).children()
            workers = [child for child in children if _WORKER in child.cmdline()]
        except psutil.NoSuchProcess:  # it ends now
            return
        if whom == "worker" and not workers:
            return  # none has started yet
        self.at += [len(JobFolder.open(self.jobs[-1]).done())] * count
        self.struck[whom] += count
        if whom == "worker":
            workers[0].send_signal(signal.SIGKILL)
            return
        driver.kill()
        driver.wait()
        self._driver = None
        _, left = psutil.wait_procs(workers, timeout=_END_SECONDS)
        assert not left, "a worker outlived its driver"


def measure_kills(bundle: Path, folder: Path, given: Any) -> dict[str, Any]:
    """Kill jobs at random moments until that many kills have struck; compare their rows."""
    dice = random.Random(0)  # noqa: S311
    (folder / "kills").mkdir()
    _, archive = write_images(folder / "kills", given.kill_images, given.side)
    killed = Killed(bundle, folder / "kills", archive, given.kill_shard)
    whole = killed.plan()
    undisturbed = endoexit("archive", "run", whole, "--threads", 1)
    begin = time.perf_counter()
    while sum(killed.struck.values()) < given.kills:
        killed.live(dice.uniform(0, given.life_seconds), dice.choice(["driver", "worker"]))
    killed.end()
    expected = list(rows(whole))
    return {
        "struck": killed.struck,
        "shards": JobFolder.open(whole).job.shards,
        "shards_done_at_kills": killed.at,
        "drivers_that_gave_up": killed.gave_up,
        "jobs": len(killed.jobs),
        "seconds": time.perf_counter() - begin,
        "undisturbed_seconds": undisturbed,
        "rows": [sum(1 for _ in rows(job)) for job in killed.jobs],
        "same_rows": all(list(rows(job)) == expected for job in killed.jobs),
        "faults": [fault for job in killed.jobs for fault in faults_of(JobFolder.open(job))],
    }
