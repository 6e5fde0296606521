"""What a job of `endoexit archive` costs next to `endoexit predict`, and what kills do to it.

    python benchmarks/archive.py BUNDLE [--parts rate plan kills] [--images 100000] [--turns 3]
        [--paths 1000000] [--kills 30] [--workers 1] [--threads 2]

Renders images of the phantom, repeats them under different names as files and as members of a tar,
and measures, each in a new process from start to end:

- `rate`: `endoexit predict` on the files and a job on the tar, alternately: images a second,
  medians; overhead a row; memory of a worker and of the driver, highest and growth at the end
- `plan`: `endoexit archive plan` of that many members of a tar, files in folders, and listed paths
  (the same files, named again and again): time, highest memory
- `kills`: jobs whose driver or worker is killed (SIGKILL) at random moments, and begun again each
  time: whether their rows are those of a job that was not, none lost, none twice

Writes each part into benchmarks/results/archive.json and a table of docs/archives.md. Exits with 1
if a target is missed that was measured at the sizes above.
"""

import argparse
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from archive_kills import measure_kills
from archive_material import Memory, endoexit, write_images, write_tar
from endoexit.errors import counted
from endoexit.files import read_json, write_json
from endoexit.machine import describe_machine, library_versions, share_at_work, usable_cores
from tables import RESULTS, ROOT, markdown_table, replace_between, without_places

RESULT, PAGE = RESULTS / "archive.json", ROOT / "docs" / "archives.md"
FULL = {"images": 100_000, "paths": 1_000_000, "kills": 30}
SIZES = {
    "rate": ("images", "turns", "side", "workers", "threads"),
    "plan": ("paths", "plan_files"),
    "kills": ("kills", "kill_images", "kill_shard", "life_seconds", "side"),
}
WORDS = {"tar": "members of a tar", "folders": "files in folders", "list": "listed paths"}
TARGETS = {"rate": 0.9, "worker_mb": 600.0, "plan_seconds": 60.0}


def measure_rate(bundle: Path, folder: Path, given: Any) -> dict[str, Any]:
    """Measure `predict` on files and a job on a tar of the same images, alternately."""
    (folder / "rate").mkdir()
    files, archive = write_images(folder / "rate", given.images, given.side)
    seconds: dict[str, list[float]] = {"predict": [], "run": []}
    memories = []
    for turn in range(given.turns):
        out, job = folder / f"predicted-{turn}.parquet", folder / f"job-{turn}"
        line = ("predict", bundle, files, "--out", out, "--threads", given.threads)
        seconds["predict"].append(endoexit(*line, memory=Memory()))
        endoexit("archive", "plan", bundle, archive, "--out", job)
        memories.append(Memory())
        share = ("--workers", given.workers, "--threads", max(1, given.threads // given.workers))
        seconds["run"].append(endoexit("archive", "run", job, *share, memory=memories[-1]))
    pairs = list(zip(seconds["predict"], seconds["run"], strict=True))
    predict, run = (statistics.median(times) for times in seconds.values())
    return {
        "seconds": seconds,
        "predict_images_per_second": given.images / predict,
        "archive_images_per_second": given.images / run,
        "ratio": statistics.median(predict / run for predict, run in pairs),
        "ratios": [predict / run for predict, run in pairs],
        "overhead_ms_a_row": 1000 * (run - predict) / given.images,
        "worker_mb": max(max(memory.worker) for memory in memories),
        "worker_growth_mb": max(memory.growth() for memory in memories),
        "driver_mb": max(max(memory.driver) for memory in memories),
    }


def measure_plan(bundle: Path, folder: Path, given: Any) -> dict[str, Any]:
    """Measure the plans of a tar, of folders and of a list; images are never decoded by a plan."""
    (folder / "plan").mkdir()
    content, count = [b"no image: a plan does not look"], given.paths
    files, _ = write_images(folder / "plan", given.plan_files, 32)
    listed = folder / "paths.txt"
    paths = sorted(map(str, files.rglob("*.jpg")))
    with listed.open("w") as stream:
        stream.writelines(f"{paths[number % len(paths)]}\n" for number in range(count))
    sources: dict[str, tuple[list[Path | str], Path | None]] = {
        "tar": ([write_tar(folder / "many.tar", content, count)], None),
        "folders": ([files] * (count // given.plan_files), None),
        "list": (["-"], listed),
    }
    measured = {}
    for name, (arguments, stdin) in sources.items():
        job, memory = folder / f"planned-{name}", Memory()
        line = ("archive", "plan", bundle, *arguments, "--out", job)
        seconds = endoexit(*line, stdin=stdin, memory=memory)
        status = endoexit("archive", "status", job)
        measured[name] = {
            "seconds": seconds, "status_seconds": status, "mb": max(memory.driver),
        }  # fmt: skip
    return measured


MEASURES = {"rate": measure_rate, "plan": measure_plan, "kills": measure_kills}


def rate_lines(rate: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Return the rows of the table about images a second and memory."""
    images = f"{rate['sizes']['images']:,}"
    return [
        (f"`predict` on {images} files, images a second",
         f"{rate['predict_images_per_second']:.0f}", ""),
        ("a job on the same images in a tar, images a second",
         f"{rate['archive_images_per_second']:.0f}", ""),
        (f"ratio of the two, median of {counted(len(rate['ratios']), 'turn')} (range)",
         f"{rate['ratio']:.2f} ({min(rate['ratios']):.2f}–{max(rate['ratios']):.2f})",
         f"≥ {TARGETS['rate']:g} for 100,000"),
        ("overhead a row, ms", f"{rate['overhead_ms_a_row']:.3f}", ""),
        ("highest memory of a worker, MB", f"{rate['worker_mb']:.0f}",
         f"≤ {TARGETS['worker_mb']:g}"),
        ("its growth over the last quarter of a job, MB", f"{rate['worker_growth_mb']:.0f}", ""),
    ]  # fmt: skip


def plan_lines(plan: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Return the rows of the table about the plan."""
    paths = plan["sizes"]["paths"]
    lines = [
        (f"plan of {paths:,} {words}, s", f"{plan[name]['seconds']:.1f}",
         f"≤ {TARGETS['plan_seconds']:g} for 1,000,000")
        for name, words in WORDS.items()
    ]  # fmt: skip
    return [
        *lines,
        ("highest memory of a plan, MB", f"{max(plan[name]['mb'] for name in WORDS):.0f}", ""),
    ]


def kill_lines(kills: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Return the row of the table about kills: of all jobs that were begun."""
    struck, jobs = kills["struck"], counted(kills["jobs"], "job")
    rows = " and ".join(f"{count:,}" for count in sorted(set(kills["rows"])))
    return [
        (f"rows of each of {jobs} of {kills['sizes']['kill_images']:,} images, after "
         f"{counted(struck['driver'], 'kill')} of the driver and {struck['worker']} of a worker",
         f"{rows}, {'the same' if kills['same_rows'] else 'OTHERS'}", "the same"),
    ]  # fmt: skip


LINES = {"rate": rate_lines, "plan": plan_lines, "kills": kill_lines}


def table(result: dict[str, Any]) -> str:
    """Return the table of the page: of all parts that were measured."""
    parts = [part for part in MEASURES if part in result]
    lines = [line for part in parts for line in LINES[part](result[part])]
    machine = result[parts[0]]["machine"]
    loads = ", ".join(f"{result[part]['other_work']:.0%} before `{part}`" for part in parts)
    commands = ", ".join(dict.fromkeys(f"`{result[part]['command']}`" for part in parts))
    note = (
        f"Measured on {machine['processor']}, {machine['cores']} cores, of which other work took "
        f"{loads}; it went on meanwhile. Made by {commands}."
    )
    return markdown_table(("what", "measured", "target"), lines) + "\n\n" + note


def missed(result: dict[str, Any]) -> list[str]:
    """Return the targets that were missed; those of full sizes count at full sizes alone."""
    misses = []
    if (kills := result.get("kills")) and (not kills["same_rows"] or kills["faults"]):
        misses.append("the rows after kills")
    if rate := result.get("rate"):
        if rate["worker_mb"] > TARGETS["worker_mb"]:
            misses.append("the memory of a worker")
        if rate["sizes"]["images"] >= FULL["images"] and rate["ratio"] < TARGETS["rate"]:
            misses.append("the rate")
    if (plan := result.get("plan")) and plan["sizes"]["paths"] >= FULL["paths"]:
        misses += [f"the plan of {words}" for name, words in WORDS.items()
                   if plan[name]["seconds"] > TARGETS["plan_seconds"]]  # fmt: skip
    return misses


def arguments() -> argparse.Namespace:
    """Return what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle", type=Path, nargs="?", help="run or bundle")
    parser.add_argument("--parts", nargs="+", choices=tuple(MEASURES), default=tuple(MEASURES))
    for name, value in FULL.items():
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--side", type=int, default=96, help="side of the images in pixels")
    parser.add_argument("--workers", type=int, default=max(1, usable_cores() // 2))
    parser.add_argument("--threads", type=int, default=usable_cores(), help="of all workers")
    parser.add_argument("--plan-files", type=int, default=20_000)
    parser.add_argument("--kill-images", type=int, default=15_000)
    parser.add_argument("--kill-shard", type=int, default=64, help="images of a shard")
    parser.add_argument("--life-seconds", type=float, default=15, help="longest life")
    parser.add_argument("--folder", type=Path, help="folder for the images; else a temporary one")
    parser.add_argument("--table-only", action="store_true")
    return parser.parse_args()


def measure(given: argparse.Namespace, part: str) -> dict[str, Any]:
    """Measure a part."""
    facts = {
        "command": without_places(f"python benchmarks/archive.py {' '.join(sys.argv[1:])}"),
        "model": given.bundle.name,
        "sizes": {name: getattr(given, name) for name in SIZES[part]},
        "machine": describe_machine(),
        "versions": library_versions(),
        "other_work": share_at_work(5),
    }
    with tempfile.TemporaryDirectory(dir=given.folder) as name:
        return facts | MEASURES[part](given.bundle, Path(name), given)


def main() -> None:
    """Measure, or write the table again."""
    given = arguments()
    if given.bundle is None and not given.table_only:
        sys.exit("name a run or a bundle, such as demo/bundle")
    for part in () if given.table_only else given.parts:
        measured = measure(given, part)
        others = read_json(RESULT) if RESULT.is_file() else {}
        write_json(RESULT, others | {part: measured})
    result = read_json(RESULT)
    replace_between(PAGE, "archive", table(result))
    for target in missed(result):
        sys.exit(f"missed: {target}")


if __name__ == "__main__":
    main()
