"""What writing answers as DICOM objects costs: a report of 1000 frames, captures of large images.

    python benchmarks/dicom_out.py [--rounds 5]

Measured are, each as the median of the rounds:

- a structured report on 1000 frames of one object, built and written to a file; the first time,
  when the libraries are imported too; and where its frames are 1000 captures
- a capture of an image of 1280×720 pixels

The reports are read back by highdicom, and `dciodvfy` checks them where it is installed. Writes
benchmarks/results/dicom_out.json and a table of docs/dicom.md. Exits with 1 if the target is missed
or an error is found.
"""

import argparse
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from endoexit.files import read_json, write_json
from endoexit.machine import describe_machine, library_versions, machine_words, share_at_work
from endoexit.runtime.outputs.dicom.answers import Answer, ModelFacts, Status
from endoexit.runtime.outputs.dicom.capture import SOP_CLASS, capture
from endoexit.runtime.outputs.dicom.report import report
from endoexit.runtime.outputs.dicom.source import Reference, SourceFile, fresh_uid
from tables import RESULTS, ROOT, markdown_table, replace_between

RESULT, PAGE = RESULTS / "dicom_out.json", ROOT / "docs" / "dicom.md"
FRAMES, HIGH, WIDE = 1000, 720, 1280
TARGET_S = 5.0
LIBRARIES = ("highdicom", "pydicom")

VIDEO = Reference("1.2.840.10008.5.1.4.1.1.77.1.1.1", fresh_uid(), fresh_uid(), frames=FRAMES)
SOURCE = SourceFile(fresh_uid(), VIDEO, dropped=True)
MODEL = ModelFacts(
    "efficientnet_lite0", "0.1.0", "0123456789abcdef" * 4, "openvino-f32", 4,
    ("adenoma", "hyperplastic", "normal"), "policy.json: guarantee", "fedcba9876543210" * 4,
    ("accuracy loss of at most 1 % on new images, with probability 0.95",),
)  # fmt: skip


def answers() -> list[Answer]:
    """Return an answer for each frame, of every outcome."""
    outcomes: tuple[Status, ...] = ("answered", "answered", "answered", "unsure", "not read")
    made = []
    for frame in range(FRAMES):
        status = outcomes[frame % len(outcomes)]
        answer = Answer(frame + 1, frame, status, image=VIDEO)
        if status == "answered":
            answer = replace(answer, label=MODEL.classes[frame % 3], probability=0.9)
        made.append(answer if status == "not read" else replace(answer, exit=frame % 4 + 1))
    return made


def seconds(work: Callable[[], Any], rounds: int) -> list[float]:
    """Return how long each round took."""
    spent = []
    for _ in range(rounds):
        begin = time.perf_counter()
        work()
        spent.append(time.perf_counter() - begin)
    return spent


def check(file: Path) -> dict[str, Any]:
    """Return what other programs say of a report."""
    import highdicom as hd  # noqa: PLC0415  so that the first report imports it

    read = hd.sr.srread(file)
    groups = read.content.get_image_measurement_groups()  # type: ignore[attr-defined]
    errors = None
    if (program := shutil.which("dciodvfy")) is not None:
        done = subprocess.run([program, str(file)], check=False, capture_output=True, text=True)
        errors = (done.stdout + done.stderr).count("Error")
    return {"groups": len(groups), "bytes": file.stat().st_size, "dciodvfy_errors": errors}


def measure(given: argparse.Namespace) -> dict[str, Any]:
    """Measure everything."""
    result: dict[str, Any] = {
        "command": f"python benchmarks/dicom_out.py {' '.join(sys.argv[1:])}".strip(),
        "rounds": given.rounds,
        "machine": describe_machine(),
        "versions": library_versions() | {name: version(name) for name in LIBRARIES},
        "other_work": share_at_work(),
    }
    whole, captured = answers(), []
    series = fresh_uid()
    for answer in whole:
        captured.append(replace(answer, image=Reference(SOP_CLASS, fresh_uid(), series)))
    pixels = np.random.default_rng(0).integers(0, 256, (HIGH, WIDE, 3), dtype=np.uint8)
    with tempfile.TemporaryDirectory() as name:
        file = Path(name) / "report.dcm"

        def written(these: list[Answer]) -> None:
            file.write_bytes(report(these, SOURCE, MODEL, fresh_uid(), 1))

        def captured_once() -> None:
            made_as = Reference(SOP_CLASS, fresh_uid(), series)
            (Path(name) / "capture.dcm").write_bytes(
                capture(pixels, whole[0], SOURCE, MODEL, made_as)
            )

        result["first_report_s"] = seconds(lambda: written(whole), 1)
        result["report_s"] = seconds(lambda: written(whole), given.rounds)
        result["report"] = check(file)
        result["report_on_captures_s"] = seconds(lambda: written(captured), given.rounds)
        result["report_on_captures"] = check(file)
        captured_once()  # which loads the font
        result["capture_s"] = seconds(captured_once, given.rounds)
    return result


def table(result: dict[str, Any]) -> str:
    """Return the table of the page."""
    target = f"≤ {TARGET_S:g} s"
    rows = [
        (f"report on {FRAMES} frames of one object", "report_s", target),
        ("the same, with the import of the libraries", "first_report_s", ""),
        (f"report on {FRAMES} captures", "report_on_captures_s", target),
        (f"capture of {WIDE}×{HIGH} pixels", "capture_s", ""),
    ]
    lines = [
        (what, _words(statistics.median(result[key])), _words(max(result[key])), goal)
        for what, key, goal in rows
    ]
    errors = result["report"]["dciodvfy_errors"]
    said = "`dciodvfy` was not installed" if errors is None else f"`dciodvfy` finds {errors} errors"
    return (
        markdown_table(("what is built and written", "median", "longest", "target"), lines)
        + f"\n\nA report on {FRAMES} frames has {result['report']['bytes'] / 1e6:.1f} MB; {said}. "
        f"{result['rounds']} rounds on {machine_words(result['machine'])}, of which other work "
        f"took {result['other_work']:.0%} before it began; highdicom "
        f"{result['versions']['highdicom']}. Made by `{result['command']}`."
    )


def _words(spent: float) -> str:
    return f"{spent:.2f} s" if spent >= 1 else f"{1000 * spent:.0f} ms"


def faults(result: dict[str, Any]) -> list[str]:
    """Return what is wrong with a result."""
    said = []
    for key in ("report", "report_on_captures"):
        if statistics.median(result[f"{key}_s"]) > TARGET_S:
            said.append(f"{key} took more than {TARGET_S:g} s")
        if result[key]["groups"] != FRAMES:
            said.append(f"{key} has {result[key]['groups']} groups")
        if result[key]["dciodvfy_errors"]:
            said.append(f"dciodvfy finds errors in {key}")
    return said


def main() -> None:
    """Measure, or write the table again."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, help="write the figures there, and no table")
    parser.add_argument("--table-only", action="store_true")
    given = parser.parse_args()
    if not given.table_only:
        write_json(given.out or RESULT, measure(given))
    result = read_json(given.out or RESULT)
    if given.out is None:
        replace_between(PAGE, "dicom-out", table(result))
    else:
        print(table(result))
    if said := faults(result):
        sys.exit("; ".join(said))


if __name__ == "__main__":
    main()
