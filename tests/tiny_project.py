"""A small project made in seconds: pictures, manifest, recipe, run; and the command line."""

import contextlib
import io
import os
import subprocess
import sys
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
from PIL import Image

from endoexit.cli.main import main
from endoexit.data.manifest import write_manifest
from endoexit.data.rows import ROLES, ManifestRow
from endoexit.evaluation.latency import keeping_threads

RECIPE = """\
epochs: 2
batch_size: 8
image: {size: 64, canvas: 64, early_size: 32, early_share: 0.5}
model: {width: 16, heads: [1, 2, 4, 8], depths: [1, 1, 1, 1], drop_path: 0.1}
optimizer: {lr: 2.0e-3}
augment: {crop_scale: [0.5, 1.0], brightness: 0.2}
weight_average: 0.9
precision: 32-true
"""
COLOURS = {"blue": (40, 60, 200), "green": (40, 180, 60), "red": (200, 50, 40)}


def make_manifest(folder: Path, per_class: int = 20) -> Path:
    """Draw pictures whose class is their colour, under noise, and a manifest of all roles."""
    rng = np.random.default_rng(0)
    rows = []
    for name, colour in COLOURS.items():
        (folder / "images" / name).mkdir(parents=True)
        for i in range(per_class):
            noise = rng.normal(0, 40, (72, 80, 3)) + rng.normal(0, 30, (1, 1, 3))
            pixels = np.clip(np.array(colour) + noise, 0, 255).astype(np.uint8)
            path = f"images/{name}/{i:03}.png"
            Image.fromarray(pixels).save(folder / path)
            rows.append(
                ManifestRow(path, name, f"{name}-{i}", ROLES[max(0, i - per_class + 9) // 2])
            )
    return write_manifest(folder / "manifest.csv", rows, folder).path


def write_recipe(folder: Path, text: str = RECIPE) -> Path:
    """Write the recipe of tiny trainings."""
    path = folder / "tiny.yaml"
    path.write_text(text)
    return path


def endoexit(*arguments: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run the command line and return what it printed.

    It runs in this process, which spares the seconds in which another one imports torch.
    """
    printed, notes = io.StringIO(), io.StringIO()
    line = ["endoexit", *map(str, arguments)]
    with (
        contextlib.chdir(cwd or Path.cwd()),
        mock.patch.object(sys, "argv", line),
        mock.patch.dict(os.environ),
        contextlib.redirect_stdout(printed),
        contextlib.redirect_stderr(notes),
        keeping_threads(),
        pytest.raises(SystemExit) as end,
    ):
        main()
    return subprocess.CompletedProcess(
        line, int(end.value.code or 0), printed.getvalue(), notes.getvalue()
    )


def endoexit_process(*arguments: object, **options: object) -> subprocess.CompletedProcess[str]:
    """Run the command line in a process of its own and return what it printed.

    For what only a real process has: its environment, its streams, its limits, its children.
    """
    return subprocess.run(
        command(*arguments), check=False, capture_output=True, text=True, **options
    )


def interruptible(*line: object) -> list[str]:
    """Return a command that hears Ctrl-C even below a job in the background, which ignores it."""
    start = (
        "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_DFL); "
        "os.execv(sys.argv[1], sys.argv[1:])"
    )
    return [sys.executable, "-c", start, *map(str, line)]


def command(*arguments: object) -> list[str]:
    """Return the command line as a list for a subprocess."""
    return [str(Path(sys.executable).with_name("endoexit")), *map(str, arguments)]


def train(manifest: Path, run: Path, *arguments: object, model: str = "ee_hifuse_nano") -> Path:
    """Train a tiny network; the folder of the run is returned."""
    recipe = write_recipe(manifest.parent)
    done = endoexit(
        "train", manifest, "--model", model, "--recipe", recipe, "--out", run, "--threads", 1,
        *arguments,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return run
