"""What `endoexit video` costs and how steady it is, on clips of the phantom with known labels.

    python benchmarks/video.py SOURCE [--seconds 60] [--scenes 24] [--frames 1500] [--threads 2]

SOURCE must know classes of the phantom, such as `demo/bundle`. Measured are:

- a clip of 1280×720 at 25 frames a second, by the clock: dropped frames, lag
- the same clip as fast as it goes: frames a second
- clips of scenes whose true labels are known, with jitter of the camera, frozen and dark times:
  stages that ran, changes of the answered and of the shown label a minute, the delay from a true
  change to the frame that shows it, the share of frames that show the true label; with the default
  rules, with all rules, with each of them switched off alone, and with none

Writes benchmarks/results/video.json and a table of docs/video.md. With `--out
benchmarks/results/video_fine_tuned.json` the rates of a second network get a column there: one that
was fine-tuned on the images of the demo, exits behind 3, 5 and 6, for 6 epochs, at most one point
of accuracy lost on calibrate, exported. A short form takes a minute: `--seconds 3 --scenes 3
--frames 75`. Exits with 1 if a target is missed.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray
from PIL import Image

from endoexit.errors import counted
from endoexit.files import read_json, write_json
from endoexit.machine import describe_machine, library_versions, share_at_work
from endoexit.phantom.camera import Device, Frame, capture
from endoexit.phantom.findings import PAINTERS
from endoexit.phantom.surface import MARGIN, Surface, shade
from endoexit.policy.temporal.settings import ALL_OFF, RULES, TemporalSettings
from endoexit.runtime.session import Session, open_session
from endoexit.watching.run import FRAMES, watch_clip
from tables import RESULTS, ROOT, markdown_table, replace_between

RESULT, PAGE = RESULTS / "video.json", ROOT / "docs" / "video.md"
FINE_TUNED = RESULTS / "video_fine_tuned.json"
FPS, SIDE, WIDE, HIGH = 25, 256, 1280, 720
TARGETS = {"seconds": 60, "lag_p99_ms": 120.0, "frames_a_second": 60.0}

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Truth:
    """Frames of a clip, and the true label of each; None for a dark frame."""

    frames: list[Pixels]
    labels: list[str | None]


def scene(label: str, count: int, random: np.random.Generator) -> Iterator[Pixels]:
    """Yield frames of one rendered scene, as a camera that moves a little sees it."""
    surface = Surface(round(SIDE * MARGIN), float(random.uniform(0.1, 0.6)), random)
    PAINTERS[label](surface)
    lit = shade(surface, tuple(random.uniform(-0.3, 0.3, 2)), 0.2)
    device = Device.draw(random)
    first = Frame.first(0.3, random)
    path = np.cumsum(random.normal(0, 0.004, (count, 2)), axis=0)
    for number in range(count):
        frame = Frame(
            (float(path[number, 0]), float(path[number, 1])), first.zoom,
            first.brightness * float(random.uniform(0.98, 1.02)),
            first.blur * float(random.uniform(0.8, 1.6)),
        )  # fmt: skip
        yield capture(lit, device, frame, SIDE, random)


def render(classes: list[str], scenes: int, per_scene: int, seed: int = 0) -> Truth:
    """Render scenes of different classes one after another; some freeze, some go dark."""
    random = np.random.default_rng(seed)
    frames: list[Pixels] = []
    labels: list[str | None] = []
    label = ""
    for number in range(scenes):
        label = str(random.choice([each for each in classes if each != label]))
        seen = list(scene(label, per_scene, random))
        if number % 3 == 1:  # the picture is frozen for the last third
            frozen = len(seen) * 2 // 3
            seen[frozen:] = [seen[frozen]] * (len(seen) - frozen)
        told: list[str | None] = [label] * len(seen)
        if number % 3 == 2:  # the light fails for a moment
            dark = len(seen) // 2
            for at in range(dark, min(dark + 5, len(seen))):
                seen[at], told[at] = (seen[at] * 0.05).astype(np.uint8), None
        frames += seen
        labels += told
    return Truth(frames, labels)


def encode(path: Path, frames: list[Pixels], size: tuple[int, int]) -> Path:
    """Write frames as H.264 at 25 frames a second."""
    with av.open(path, "w") as output:
        stream = output.add_stream("libx264", rate=FPS, options={"crf": "20", "preset": "fast"})
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        for pixels in frames:
            shown = Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC)
            output.mux(stream.encode(av.VideoFrame.from_image(shown)))
        output.mux(stream.encode())
    return path


def settings_of_all() -> dict[str, TemporalSettings]:
    """Return the rules of each line of the table."""
    everything = ALL_OFF.switched(dict.fromkeys(RULES, True))
    without = {
        f"all but {name.replace('_', ' ')}": everything.switched({name: False}) for name in RULES
    }
    return {"default": TemporalSettings(), "all": everything, **without, "none": ALL_OFF}


def compare(shown: list[str | None], labels: list[str | None]) -> dict[str, float | None]:
    """Return how what was shown goes with the truth.

    A true change counts as seen if its label is shown before the next one; its delay is the time
    from its first frame to the first frame that shows it.
    """
    known = [at for at, label in enumerate(labels) if label is not None]
    changes = [at for before, at in pairwise(known) if labels[before] != labels[at]]
    delays, missed = [], 0
    for begin, end in zip(changes, [*changes[1:], len(labels)], strict=True):
        first = next((at for at in range(begin, end) if shown[at] == labels[begin]), None)
        missed += first is None
        delays += [] if first is None else [(first - begin) / FPS]
    return {
        "true_changes": len(changes),
        "missed_changes": missed,
        "delay_s": float(np.mean(delays)) if delays else None,
        "longest_delay_s": max(delays) if delays else None,
        "right": float(np.mean([shown[at] == labels[at] for at in known])),
    }


def measure_rules(session: Session, truth: Truth, folder: Path) -> dict[str, Any]:
    """Watch the labelled clip under each set of rules."""
    clip = encode(folder / "labelled.mp4", truth.frames, (SIDE, SIDE))
    lines: dict[str, Any] = {}
    for name, settings in settings_of_all().items():
        out = folder / name.replace(" ", "-")
        out.mkdir()
        summary = watch_clip(session, clip, settings, out).summary
        shown = pq.read_table(out / FRAMES)["shown"].to_pylist()
        lines[name] = {
            "stages_share": summary.counts.stages_share,
            "computed": summary.counts.computed / summary.counts.frames,
            "answer_changes_a_minute": summary.answer_changes_a_minute,
            "shown_changes_a_minute": summary.shown_changes_a_minute,
            **compare(shown, truth.labels),
        }
    return lines


def measure_rate(session: Session, truth: Truth, folder: Path, given: Any) -> dict[str, Any]:
    """Watch a large clip as fast as it goes, and one by the clock."""
    count = max(given.frames, given.seconds * FPS)
    frames = [truth.frames[at % len(truth.frames)] for at in range(count)]
    fast = encode(folder / "fast.mp4", frames[: given.frames], (WIDE, HIGH))
    slow = encode(folder / "live.mp4", frames[: given.seconds * FPS], (WIDE, HIGH))
    results = {}
    for name, clip, live in (("fast", fast, False), ("live", slow, True)):
        out = folder / name
        out.mkdir()
        summary = watch_clip(session, clip, TemporalSettings(), out, live=live).summary
        results[name] = {
            "frames": summary.counts.frames,
            "frames_a_second": summary.frames_a_second,
            "network_ms": summary.network_ms,
            "dropped": summary.counts.dropped,
            "lag": None if summary.lag is None else summary.lag.model_dump(),
        }
    return results


def rates_table(results: list[dict[str, Any]]) -> str:
    """Return the table of rates, with a column for each network."""
    seconds = results[0]["sizes"]["seconds"]
    rates = [(result["rate"]["live"], result["rate"]["fast"]) for result in results]
    rows = [
        (f"{seconds} s of {WIDE}×{HIGH} at {FPS} frames a second, by the clock: dropped frames",
         *(str(live["dropped"]) for live, _ in rates), "0"),
        ("lag, median, ms", *(f"{live['lag']['p50']:.0f}" for live, _ in rates), ""),
        ("lag, 99 %, ms", *(f"{live['lag']['p99']:.0f}" for live, _ in rates),
         f"≤ {TARGETS['lag_p99_ms']:g}"),
        ("sustained frames a second", *(f"{fast['frames_a_second']:.1f}" for _, fast in rates),
         f"≥ {TARGETS['frames_a_second']:g}"),
    ]  # fmt: skip
    return markdown_table(("what", *(f"`{each['model']}`" for each in results), "target"), rows)


def table(result: dict[str, Any]) -> str:
    """Return the tables of the page: rates of two networks, and rules of one."""
    fine_tuned = [read_json(FINE_TUNED)] if FINE_TUNED.is_file() else []
    rates = rates_table([result, *fine_tuned])
    lines = [
        (name, f"{100 * line['stages_share']:.1f} %", f"{line['answer_changes_a_minute']:.1f}",
         f"{line['shown_changes_a_minute']:.1f}",
         "–" if line["delay_s"] is None else f"{1000 * line['delay_s']:.0f} ms",
         f"{line['missed_changes']} of {line['true_changes']}", f"{100 * line['right']:.1f} %")
        for name, line in result["rules"].items()
    ]  # fmt: skip
    rules = markdown_table(
        ("rules", "stages that ran", "changes of answers a minute", "changes shown a minute",
         "mean delay of true changes", "true changes not shown", "frames that show the true label"),
        lines,
    )  # fmt: skip
    note = (
        f"Synthetic clips; rules with the network `{result['model']}`. Measured with "
        f"{counted(result['threads'], 'thread')} on {result['machine']['processor']}, "
        f"{result['machine']['cores']} cores, of which other work took "
        f"{result['other_work']:.0%} before it began. Made by "
        + " and ".join(f"`{each['command']}`" for each in (result, *fine_tuned))
        + "."
    )
    return f"{rates}\n\n{rules}\n\n{note}"


def missed(result: dict[str, Any]) -> list[str]:
    """Return the targets that were missed; a short clip by the clock counts for nothing."""
    live, fast = result["rate"]["live"], result["rate"]["fast"]
    misses = []
    if result["sizes"]["seconds"] >= TARGETS["seconds"]:
        misses += ["no dropped frame"] if live["dropped"] else []
        misses += ["the lag"] if live["lag"]["p99"] > TARGETS["lag_p99_ms"] else []
        too_slow = fast["frames_a_second"] < TARGETS["frames_a_second"]
        misses += ["the frames a second"] if too_slow else []
    return misses


def main() -> None:
    """Measure, or write the tables again."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", type=Path, nargs="?", help="run or bundle")
    parser.add_argument("--seconds", type=int, default=60, help="of the clip by the clock")
    parser.add_argument("--frames", type=int, default=1500, help="of the clip without a clock")
    parser.add_argument("--scenes", type=int, default=24, help="of the labelled clip, 3 s each")
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--threshold", type=float, default=None)
    parser.add_argument("--out", type=Path, help="write the figures there, and no table")
    parser.add_argument("--table-only", action="store_true")
    given = parser.parse_args()
    if not given.table_only:
        write_json(given.out or RESULT, measure(given))
    result = read_json(given.out or RESULT)
    if given.out is None or given.out.resolve() == FINE_TUNED:
        replace_between(PAGE, "video", table(read_json(RESULT)))
    else:
        print(table(result))
    for target in missed(result):
        sys.exit(f"missed: {target}")


def measure(given: argparse.Namespace) -> dict[str, Any]:
    """Measure everything."""
    if given.source is None:
        sys.exit("name a run or a bundle, such as demo/bundle")
    session = open_session(given.source, threshold=given.threshold, threads=given.threads)
    classes = [label for label in PAINTERS if label in session.classes]
    if len(classes) < 2:
        sys.exit(f"{given.source} knows no classes of the phantom: take that of `make demo`")
    result: dict[str, Any] = {
        "command": f"python benchmarks/video.py {' '.join(sys.argv[1:])}",
        "model": session.source.config.model,
        "threads": session.backend.threads,
        "sizes": {name: getattr(given, name) for name in ("seconds", "frames", "scenes")},
        "machine": describe_machine(),
        "versions": library_versions(),
        "other_work": share_at_work(),
    }
    truth = render(classes, given.scenes, 3 * FPS)
    with tempfile.TemporaryDirectory() as name:
        result["rate"] = measure_rate(session, truth, Path(name), given)
        result["rules"] = measure_rules(session, truth, Path(name))
    return result


if __name__ == "__main__":
    main()
