"""What happens around the network, for `cpu_runtime.py`: reading a JPEG, starting a process."""

import importlib.util
import io
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from endoexit.bench.ratios import spread
from endoexit.evaluation.turns import Work, take_turns
from endoexit.images.decode import read_image
from endoexit.images.preprocessing import Preprocessing
from endoexit.phantom.render import CLASSES, render_phantom
from endoexit.progress import Track
from endoexit.runtime.backends.choice import has_bf16
from runtime_networks import SIZE, export_once, held, milliseconds, phantom_images, random_run

WIDE, HIGH, QUALITY = 1280, 1024, 90
AT_MOST_MS, GREY_LEVELS, START_S, IMPORTS_S = 8.0, 2.0, 2.5, 1.0
COMMAND = str(Path(sys.executable).with_name("endoexit"))

Square = np.ndarray
Reader = Callable[[bytes], Square]


def measure_preprocessing(folder: Path, rounds: int, track: Track) -> dict[str, Any]:
    """Time reading JPEGs in several ways, and hold the pixels against full decoding."""
    preprocessing = Preprocessing(size=SIZE)
    jpegs = large_jpegs(folder)
    readers = _readers(preprocessing)

    def reading(read: Reader) -> Work:
        return lambda turn: preprocessing.normalise(read(jpegs[turn % len(jpegs)])[None])

    with track("timing readers", rounds) as bar:
        works = {name: reading(read) for name, read in readers.items()}
        times = take_turns(works, rounds, bar, untimed=1)
    full = [readers["endoexit, full size"](data) for data in jpegs]
    differences = {
        name: [
            float(np.abs(read(data).astype(int) - whole.astype(int)).mean())
            for data, whole in zip(jpegs, full, strict=True)
        ]
        for name, read in readers.items()
    }
    reduced = "endoexit, reduced size"
    return {
        "image": f"{WIDE}×{HIGH}, JPEG of quality {QUALITY}, {len(jpegs)} rendered images",
        "kibibytes": round(statistics.mean(map(len, jpegs)) / 2**10),
        "to": f"float32 (1, 3, {SIZE}, {SIZE})",
        "rounds": rounds,
        "milliseconds": {name: milliseconds(values) for name, values in times.items()},
        "mean_grey_levels_from_full_size": {
            name: round(statistics.mean(values), 3) for name, values in differences.items()
        },
        "targets": [
            held("JPEG of 1280×1024 to tensor, ms on one core", spread(times[reduced]), AT_MOST_MS),
            held(
                "mean difference from full decoding, grey levels",
                spread(differences[reduced]),
                GREY_LEVELS,
            ),
        ],
        "not_installed": [
            name for name in ("cv2", "simplejpeg") if importlib.util.find_spec(name) is None
        ],
    }


def large_jpegs(folder: Path) -> list[bytes]:
    """Return one image of each class as a camera's JPEG."""
    render_phantom(folder / "large", 1, HIGH)
    contents = []
    for path in sorted((folder / "large").rglob("*.jpg")):
        stream = io.BytesIO()
        image = Image.open(path).resize((WIDE, HIGH), Image.Resampling.BICUBIC)
        image.save(stream, "JPEG", quality=QUALITY)
        contents.append(stream.getvalue())
    return contents


def _readers(preprocessing: Preprocessing) -> dict[str, Reader]:
    """Return ways to the network's square, those of other libraries where they are installed."""
    readers: dict[str, Reader] = {
        "endoexit, reduced size": preprocessing.load,
        "endoexit, full size": lambda data: preprocessing.apply(read_image(data)),
    }
    if importlib.util.find_spec("cv2") is not None:
        import cv2  # noqa: PLC0415

        cv2.setNumThreads(1)

        def with_opencv(data: bytes) -> Square:
            coded = np.frombuffer(data, np.uint8)
            small = cv2.imdecode(coded, cv2.IMREAD_REDUCED_COLOR_4)
            square = cv2.resize(small, (SIZE, SIZE), interpolation=cv2.INTER_AREA)
            return cv2.cvtColor(square, cv2.COLOR_BGR2RGB)

        readers["OpenCV, reduced size"] = with_opencv
    if importlib.util.find_spec("simplejpeg") is not None:
        import simplejpeg  # noqa: PLC0415

        readers["simplejpeg, reduced size"] = lambda data: preprocessing.apply(
            simplejpeg.decode_jpeg(data, min_height=SIZE, min_width=SIZE, min_factor=1)
        )
    return readers


def measure_start(folder: Path, threads: int, rounds: int) -> dict[str, Any]:
    """Time `endoexit predict BUNDLE one.jpg` as a process, and its imports."""
    manifest = phantom_images(folder)
    precision = "bf16" if has_bf16("openvino") else "f32"
    run = random_run("ee_hifuse_nano", folder / "run")
    bundle = export_once(run, folder / precision, "openvino", precision, manifest=manifest)
    image = str(manifest.cohort("train").images[0].path)
    command = [COMMAND, "predict", str(bundle), image, "--threads", str(threads), "--json"]
    seconds = []
    for number in range(rounds + 1):
        begin = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        if number:  # the first one reads the files from the disk
            seconds.append(time.perf_counter() - begin)
    imports, torch_came = [], False
    for _ in range(rounds):
        done = subprocess.run(
            [sys.executable, "-X", "importtime", *command],
            check=True, capture_output=True, text=True,
        )  # fmt: skip
        rows = re.findall(r"^import time:\s+(\d+) \|\s+\d+ \|\s*(\S+)", done.stderr, re.MULTILINE)
        imports.append(sum(int(microseconds) for microseconds, _ in rows) / 1e6)
        torch_came = torch_came or any(name.split(".")[0] == "torch" for _, name in rows)
    return {
        "network": "ee_hifuse_nano",
        "classes": len(CLASSES),
        "bundle": f"openvino {precision}",
        "rounds": rounds,
        "imports_torch": torch_came,
        "targets": [
            held("`endoexit predict BUNDLE one.jpg`, start to end, s", spread(seconds), START_S),
            held("of which imports, s", spread(imports), IMPORTS_S),
        ],
    }
