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

import imagecodecs
import numpy as np
import simplejpeg
from PIL import Image

from endoexit.bench.ratios import spread
from endoexit.images.decode import read_image
from endoexit.images.preprocessing import Preprocessing
from endoexit.phantom.render import CLASSES, render_phantom
from endoexit.progress import Track
from endoexit.runtime.backends.choice import has_bf16
from runtime_networks import (
    export_once,
    held,
    milliseconds,
    phantom_images,
    random_run,
)

WIDE, HIGH, QUALITY = 1280, 1024, 90
AT_MOST_MS, GREY_LEVELS, START_S, IMPORTS_S, HELP_S = 2.0, 2.0, 1.0, 1.0, 0.3
OURS, LIMIT = "endoexit (simplejpeg, reduced size)", "brightness at an eighth alone"
COMMAND = str(Path(sys.executable).with_name("endoexit"))

Square = np.ndarray
Reader = Callable[[bytes], Square]


def measure_reading(folder: Path, size: int, rounds: int, track: Track) -> dict[str, Any]:
    """Time reading JPEGs in several ways, in turns; hold the pixels against those of prediction."""
    view = Preprocessing(size=size)
    jpegs = large_jpegs(folder)
    readers = _readers(view)

    works = readers | {LIMIT: _luminance}
    times: dict[str, list[float]] = {name: [] for name in works}
    with track(f"timing readers, {size}×{size}", rounds) as bar:
        for turn in range(rounds):
            for name, read in works.items():
                read(jpegs[turn % len(jpegs)])
                begin = time.process_time()  # other work on the machine does not count
                read(jpegs[turn % len(jpegs)])
                times[name].append((time.process_time() - begin) * 1000)
            bar.advance()
    ours = [view.load(data).astype(int) for data in jpegs]
    full = [readers["endoexit, full size"](data).astype(int) for data in jpegs]
    differences = {
        name: [[float(np.abs(read(data).astype(int) - other).mean())
                for data, other in zip(jpegs, others, strict=True)] for others in (ours, full)]
        for name, read in readers.items()
    }  # fmt: skip
    return {
        "image": f"{WIDE}×{HIGH}, JPEG of quality {QUALITY}, {len(jpegs)} rendered images",
        "kibibytes": round(statistics.mean(map(len, jpegs)) / 2**10),
        "size": size,
        "rounds": rounds,
        "milliseconds": {name: milliseconds(values) for name, values in times.items()},
        "mean_grey_levels": {
            name: {"from_endoexit": round(statistics.mean(from_ours), 3),
                   "from_full_size": round(statistics.mean(from_full), 3)}
            for name, (from_ours, from_full) in differences.items()
        },
        "targets": [
            held(
                f"JPEG of 1280×1024 to the network's square of {size}×{size}, ms on one core",
                spread(times[OURS]),
                AT_MOST_MS,
            ),
            held(
                f"the same: mean difference from full decoding, grey levels, {size}×{size}",
                spread(differences[OURS][1]),
                GREY_LEVELS,
            ),
        ],
        "not_installed": [
            name for name in ("cv2", "kornia_rs") if importlib.util.find_spec(name) is None
        ],
    }  # fmt: skip


def _luminance(data: bytes) -> Square:
    """Decode as little as can be: the brightness at an eighth of the size."""
    return np.asarray(simplejpeg.decode_jpeg(data, "GRAY", min_factor=8))


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


def _readers(view: Preprocessing) -> dict[str, Reader]:
    """Return ways to the network's square, those of other libraries where they are installed."""
    side = view.size

    def by_pillow(data: bytes) -> Square:
        with Image.open(io.BytesIO(data)) as image:
            image.draft("RGB", (side, side))
            return view.apply(np.asarray(image.convert("RGB")))

    readers: dict[str, Reader] = {
        OURS: view.load,
        "endoexit, full size": lambda data: view.apply(read_image(data)),
        "simplejpeg, reduced size": lambda data: view.apply(
            simplejpeg.decode_jpeg(data, min_height=side, min_width=side)
        ),
        "simplejpeg, reduced size, fast": lambda data: view.apply(
            simplejpeg.decode_jpeg(
                data, min_height=side, min_width=side, fastdct=True, fastupsample=True
            )
        ),
        "Pillow, reduced size": by_pillow,
        "imagecodecs, full size": lambda data: view.apply(imagecodecs.jpeg8_decode(data)),
    }
    if importlib.util.find_spec("cv2") is not None:
        import cv2  # noqa: PLC0415

        cv2.setNumThreads(1)
        eighth = min(WIDE, HIGH) // 8 >= side
        flag = cv2.IMREAD_REDUCED_COLOR_8 if eighth else cv2.IMREAD_REDUCED_COLOR_4

        def with_opencv(data: bytes) -> Square:
            small = cv2.imdecode(np.frombuffer(data, np.uint8), flag)
            square = cv2.resize(small, (side, side), interpolation=cv2.INTER_AREA)
            return np.asarray(cv2.cvtColor(square, cv2.COLOR_BGR2RGB))

        readers["OpenCV, reduced size"] = with_opencv
    if importlib.util.find_spec("kornia_rs") is not None:
        from kornia_rs import io as rust  # noqa: PLC0415

        readers["kornia-rs, full size"] = lambda data: view.apply(
            np.asarray(rust.decode_image_jpegturbo(data, "rgb"))
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
    starts = {
        "`endoexit --help`, start to end, s": [COMMAND, "--help"],
        "`import endoexit`, start to end, s": [sys.executable, "-c", "import endoexit"],
    }
    starting: dict[str, list[float]] = {what: [] for what in starts}
    for _ in range(rounds):
        for what, words in starts.items():
            begin = time.perf_counter()
            subprocess.run(words, check=True, capture_output=True)
            starting[what].append(time.perf_counter() - begin)
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
            *(held(what, spread(times), HELP_S) for what, times in starting.items()),
        ],
    }
