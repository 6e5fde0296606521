"""Measure which images int8 should take its ranges from: how many, and turned copies of them.

    python benchmarks/int8_ranges.py RUN

All layers of the run are quantised with ranges from images of train alone. What each exit then
loses is measured on calibrate, never on test. A turned copy is flipped, turned by a multiple of 90
degrees, or both. The table of docs/deploying.md is written again.
"""

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from endoexit.artifacts.run import open_run
from endoexit.cli.console import progress
from endoexit.exporting.quantise import Int8, calibration_images
from endoexit.exporting.stage_files import OpenVinoStages, Stage
from endoexit.exporting.stages import write_stages
from endoexit.files import read_json, write_json
from endoexit.machine import describe_machine, library_versions
from endoexit.runtime.session import BATCH_SIZE, Session, open_session
from tables import RESULTS, ROOT, markdown_table, replace_between

RESULT = RESULTS / "int8_ranges.json"
PAGE = ROOT / "docs" / "deploying.md"
WAYS = {  # number of images of train, and whether each has a turned copy
    "64": (64, False),
    "256": (256, False),
    "256, each with a turned copy": (256, True),
    "1024": (1024, False),
    "1024, each with a turned copy": (1024, True),
}


def turned(images: np.ndarray, seed: int = 0) -> np.ndarray:
    """Return copies of images (N, 3, S, S), each flipped or turned, or both, at random."""
    choices = np.random.default_rng(seed).integers(1, 8, len(images))
    copies = []
    for image, choice in zip(images, choices.tolist(), strict=True):
        copy = np.rot90(image, choice % 4, axes=(1, 2))
        copies.append(copy[:, :, ::-1] if choice >= 4 else copy)
    return np.stack(copies)


def accuracies(stages: list[Stage], images: np.ndarray, labels: np.ndarray) -> list[float]:
    """Return the accuracy of each exit on normalised images (N, 3, S, S)."""
    right = np.zeros((len(stages), len(images)), bool)
    for start in range(0, len(images), BATCH_SIZE):
        rows = slice(start, start + BATCH_SIZE)
        state = [np.ascontiguousarray(images[rows].transpose(0, 2, 3, 1))]
        for number, stage in enumerate(stages):
            *state, logits = stage(state)
            right[number, rows] = logits.argmax(axis=1) == labels[rows]
    return [round(float(each), 4) for each in right.mean(axis=1)]


def measure(session: Session) -> dict[str, Any]:
    """Return the accuracy on calibrate of every exit, in f32 and with ranges of each way."""
    manifest, view = session.manifest, session.preprocessing
    cohort = manifest.cohort("calibrate")
    images = view.normalise(np.asarray(session.images(cohort)))
    known = session.logits("calibrate")
    before = (known.logits.argmax(axis=2) == known.labels).mean(axis=1)
    rows = {}
    for name, (count, copies) in WAYS.items():
        chosen = calibration_images(manifest, view, session.cache, count)
        if copies:
            chosen = np.concatenate([chosen, turned(chosen)])
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary) / "stages"
            write_stages(session, folder, "openvino", Int8(chosen))
            files = OpenVinoStages(folder)
            stages = [files.run(number + 1, exact=False) for number in range(len(before))]
            rows[name] = {
                "images": len(chosen),
                "accuracy": accuracies(stages, images, known.labels),
            }
    return {
        "size": view.size,
        "calibrate_images": len(cohort),
        "accuracy_f32": [round(float(each), 4) for each in before],
        "ways": rows,
    }


def page(document: dict[str, Any]) -> str:
    """Return the table of all networks that were measured."""
    parts = []
    for network, part in document["networks"].items():
        exact = part["accuracy_f32"]
        parts.append(
            f"`{network}`, {part['size']}×{part['size']}, all layers in int8, plain: points of "
            f"accuracy that each exit loses on the {part['calibrate_images']} images of calibrate, "
            "by the images of train that show the ranges."
        )
        names = [*(f"exit {number}" for number in range(1, len(exact))), "final exit"]
        rows = [
            (way, *(f"{100 * (was - now):.1f}"
                    for was, now in zip(exact, row["accuracy"], strict=True)))
            for way, row in part["ways"].items()
        ]  # fmt: skip
        parts.append(markdown_table(("images", *names), rows))
    return "\n\n".join(parts)


def main() -> None:
    """Measure, keep the result, write the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path)
    run = open_run(parser.parse_args().run)
    with tempfile.TemporaryDirectory() as results:
        session = open_session(run, out=Path(results), track=progress)
        measured = measure(session)
    about = {"machine": describe_machine(), "versions": library_versions()}
    document = read_json(RESULT) if RESULT.is_file() else {"networks": {}}
    document["networks"][run.config.model] = about | measured
    write_json(RESULT, document)
    replace_between(PAGE, "ranges", page(document))


if __name__ == "__main__":
    main()
