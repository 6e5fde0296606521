"""What a job of `endoexit archive` costs next to `endoexit predict`, and what kills do to it.

    python benchmarks/archive.py BUNDLE [--images 100000] [--paths 1000000] [--kills 30]
        [--kill-images 20000] [--workers 1] [--side 96]

Renders images of the phantom, repeats them under different names as files and as members of a tar,
and measures, each in a new process from start to end:

- `endoexit predict` on the files, and a job on the tar: images a second, overhead a row
- the memory of a worker and of the driver while the job runs: highest, growth in the last half
- `endoexit archive plan` of a list of paths, which all exist: time, highest memory
- a job whose driver or worker is killed (SIGKILL) at random moments and continued each time:
  whether its rows are those of a job that was not, none lost, none twice

Writes benchmarks/results/archive.json and a table of docs/archives.md. Exits with 1 if a target is
missed that was measured at the sizes above.
"""

import argparse
import io
import os
import random
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from endoexit.archiving.plan import JobFolder
from endoexit.archiving.reading import faults_of, rows_of
from endoexit.errors import counted
from endoexit.files import read_json, write_json
from endoexit.machine import describe_machine, library_versions, share_at_work, usable_cores
from endoexit.phantom.render import render_phantom
from tables import RESULTS, ROOT, markdown_table, replace_between

RESULT, PAGE = RESULTS / "archive.json", ROOT / "docs" / "archives.md"
FULL = {"images": 100_000, "paths": 1_000_000, "kills": 30}
TARGETS = {"rate": 0.9, "worker_mib": 600.0, "plan_seconds": 60.0}
MIB = 2**20
Watch = Callable[[psutil.Process], None]


@dataclass
class Memory:
    """Resident memory of a process and of its children, MiB, at each look."""

    driver: list[float] = field(default_factory=list)
    worker: list[float] = field(default_factory=list)

    def look(self, process: psutil.Process) -> None:
        """Note what is in use now."""
        try:
            self.driver.append(process.memory_info().rss / MIB)
            sizes = [child.memory_info().rss / MIB for child in process.children()]
            self.worker += [max(sizes)] if sizes else []
        except psutil.NoSuchProcess:
            return

    def growth(self) -> float:
        """Return how much more the largest worker has at the end than at half time, MiB."""
        half = self.worker[len(self.worker) // 2 :]
        return half[-1] - half[0] if half else 0.0


def endoexit(*arguments: object, stdin: Path | None = None, watch: Watch | None = None) -> float:
    """Run a command in a new process; return the seconds that it took."""
    command = [sys.executable, "-m", "endoexit", *map(str, arguments)]
    begin = time.perf_counter()
    with (stdin or Path(os.devnull)).open("rb") as stream:
        process = subprocess.Popen(command, stdin=stream, stdout=subprocess.DEVNULL)
    while process.poll() is None:
        if watch is not None:
            watch(psutil.Process(process.pid))
        time.sleep(0.05)
    seconds = time.perf_counter() - begin
    assert process.returncode == 0, command
    return seconds


def write_images(folder: Path, count: int, side: int) -> tuple[Path, Path]:
    """Write rendered images as files, a thousand in a folder, and as a tar with the same names."""
    rendered = sorted(render_phantom(folder / "phantom", 25, side).glob("*/*.jpg"))
    contents = [path.read_bytes() for path in rendered]
    files, archive = folder / "files", folder / "images.tar"
    with tarfile.open(archive, "w") as tar:
        for number in range(count):
            content = contents[number % len(contents)]
            name = f"{number // 1000:04}/{number:07}.jpg"
            (files / name).parent.mkdir(parents=True, exist_ok=True)
            (files / name).write_bytes(content)
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return files, archive


def measure_rate(
    bundle: Path, folder: Path, files: Path, archive: Path, given: Any
) -> dict[str, Any]:
    """Measure `predict` on the files and a job on the tar, twice alternately; keep the faster."""
    memory, seconds = Memory(), dict[str, list[float]]()
    for turn in range(2):
        out, job = folder / f"predicted-{turn}.parquet", folder / f"job-{turn}"
        took = endoexit("predict", bundle, files, "--out", out)
        seconds.setdefault("predict", []).append(took)
        seconds.setdefault("plan", []).append(
            endoexit("archive", "plan", bundle, archive, "--out", job)
        )
        took = endoexit("archive", "run", job, "--workers", given.workers, watch=memory.look)
        seconds.setdefault("run", []).append(took)
    best = {name: min(times) for name, times in seconds.items()}
    return {
        "seconds": seconds,
        "predict_images_per_second": given.images / best["predict"],
        "archive_images_per_second": given.images / best["run"],
        "ratio": best["predict"] / best["run"],
        "overhead_ms_a_row": 1000 * (best["run"] - best["predict"]) / given.images,
        "worker_mib": max(memory.worker),
        "worker_growth_mib": memory.growth(),
        "driver_mib": max(memory.driver),
    }


def measure_plan(bundle: Path, folder: Path, files: Path, count: int) -> dict[str, Any]:
    """Measure the plan of a list of paths; the files are named again and again."""
    paths = sorted(str(path) for path in files.rglob("*.jpg"))
    listed, memory = folder / "paths.txt", Memory()
    with listed.open("w") as stream:
        stream.writelines(f"{paths[number % len(paths)]}\n" for number in range(count))
    line = ("archive", "plan", bundle, "-", "--out", folder / "listed")
    seconds = endoexit(*line, stdin=listed, watch=memory.look)
    status = endoexit("archive", "status", folder / "listed")
    return {"seconds": seconds, "status_seconds": status, "mib": max(memory.driver)}


def rows(job: Path) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of a job without their times."""
    for row in rows_of(JobFolder.open(job)):
        answer = row.prediction
        yield (row.index, str(row.image), row.error and row.error.fault,
               answer and (answer.label, answer.exit, answer.probabilities.tolist()))  # fmt: skip


def measure_kills(bundle: Path, folder: Path, archive: Path, given: Any) -> dict[str, Any]:
    """Kill a job at random moments until that many kills have struck; compare its rows."""
    whole, job, dice = folder / "whole", folder / "killed", random.Random(0)  # noqa: S311
    for path in (whole, job):
        endoexit("archive", "plan", bundle, archive, "--out", path, "--shard-images", 64)
    undisturbed = endoexit("archive", "run", whole, "--threads", 1)
    struck = {"driver": 0, "worker": 0}
    begin = time.perf_counter()
    while sum(struck.values()) < given.kills:
        command = [sys.executable, "-m", "endoexit", "archive", "run", str(job), "--threads", "1"]
        driver = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        time.sleep(dice.uniform(0.2, 3 + 2 * undisturbed / given.kills))
        process = psutil.Process(driver.pid)
        workers = process.children() if driver.poll() is None else []
        whom = dice.choice(["driver", "worker"])
        if driver.poll() is not None:
            break  # the job was done before all kills
        if whom == "worker" and workers:
            workers[0].send_signal(signal.SIGKILL)
            struck["worker"] += 1
            time.sleep(dice.uniform(0, 2))
        if driver.poll() is None:
            driver.kill()
            struck["driver"] += 1
        driver.wait()
        psutil.wait_procs(workers)
    endoexit("archive", "run", job, "--threads", 1)
    same = list(rows(job)) == list(rows(whole))
    return {
        "struck": struck,
        "seconds": time.perf_counter() - begin,
        "undisturbed_seconds": undisturbed,
        "rows": sum(1 for _ in rows(job)),
        "same_rows": same,
        "faults": faults_of(JobFolder.open(job)),
    }


def table(result: dict[str, Any]) -> str:
    """Return the table of the page."""
    sizes, rate, plan, kills = (result[name] for name in ("sizes", "rate", "plan", "kills"))
    lines = [
        (f"`predict` on {sizes['images']:,} files, images a second",
         f"{rate['predict_images_per_second']:.0f}", ""),
        ("a job on the same images in a tar, images a second",
         f"{rate['archive_images_per_second']:.0f}", ""),
        ("ratio of the two", f"{rate['ratio']:.2f}", f"≥ {TARGETS['rate']:g}"),
        ("overhead a row, ms", f"{rate['overhead_ms_a_row']:.3f}", ""),
        ("highest memory of a worker, MiB", f"{rate['worker_mib']:.0f}",
         f"≤ {TARGETS['worker_mib']:g}"),
        ("its growth over the last half of a job, MiB", f"{rate['worker_growth_mib']:.0f}", ""),
        (f"plan of {sizes['paths']:,} listed paths, s", f"{plan['seconds']:.1f}",
         f"≤ {TARGETS['plan_seconds']:g} for 1,000,000"),
        ("highest memory of the plan, MiB", f"{plan['mib']:.0f}", ""),
        (f"rows after {sum(kills['struck'].values())} kills, of {sizes['kill_images']:,} images",
         f"{kills['rows']:,}, {'the same' if kills['same_rows'] else 'OTHERS'}", "the same"),
    ]  # fmt: skip
    note = (
        f"Measured with {counted(sizes['workers'], 'worker')} on {result['machine']['processor']}, "
        f"{result['machine']['cores']} cores, of which other work took "
        f"{result['other_work']:.0%} before it began. Made by `{result['command']}`."
    )
    return markdown_table(("what", "measured", "target"), lines) + "\n\n" + note


def missed(result: dict[str, Any]) -> list[str]:
    """Return the targets that were missed; those of full sizes count at full sizes alone."""
    sizes, rate, plan, kills = (result[name] for name in ("sizes", "rate", "plan", "kills"))
    misses = []
    if not kills["same_rows"] or kills["faults"]:
        misses.append("the rows after kills")
    if rate["worker_mib"] > TARGETS["worker_mib"]:
        misses.append("the memory of a worker")
    if sizes["images"] >= FULL["images"] and rate["ratio"] < TARGETS["rate"]:
        misses.append("the rate")
    if sizes["paths"] >= FULL["paths"] and plan["seconds"] > TARGETS["plan_seconds"]:
        misses.append("the plan")
    return misses


def main() -> None:
    """Measure, or write the table again."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle", type=Path, nargs="?", help="run or bundle")
    for name, value in FULL.items():
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--kill-images", type=int, default=20_000)
    parser.add_argument("--workers", type=int, default=max(1, usable_cores() // 2))
    parser.add_argument("--side", type=int, default=96, help="side of the images in pixels")
    parser.add_argument("--folder", type=Path, help="folder for the images; else a temporary one")
    parser.add_argument("--table-only", action="store_true")
    given = parser.parse_args()
    if not given.table_only:
        write_json(RESULT, measure(given))
    result = read_json(RESULT)
    replace_between(PAGE, "archive", table(result))
    for target in missed(result):
        sys.exit(f"missed: {target}")


def measure(given: argparse.Namespace) -> dict[str, Any]:
    """Measure everything."""
    if given.bundle is None:
        sys.exit("name a run or a bundle, such as demo/bundle")
    sizes = ("images", "paths", "kills", "kill_images", "workers", "side")
    result: dict[str, Any] = {
        "command": f"python benchmarks/archive.py {' '.join(sys.argv[1:])}",
        "model": given.bundle.name,
        "sizes": {name: getattr(given, name) for name in sizes},
        "machine": describe_machine(),
        "versions": library_versions(),
        "other_work": share_at_work(),
    }
    with tempfile.TemporaryDirectory(dir=given.folder) as name:
        folder = Path(name)
        files, archive = write_images(folder, given.images, given.side)
        result["rate"] = measure_rate(given.bundle, folder, files, archive, given)
        result["plan"] = measure_plan(given.bundle, folder, files, given.paths)
        if given.kill_images != given.images:
            (folder / "few").mkdir()
            _, archive = write_images(folder / "few", given.kill_images, given.side)
        result["kills"] = measure_kills(given.bundle, folder, archive, given)
    return result


if __name__ == "__main__":
    main()
