"""Hostile DICOM files: none ends the process that reads it, each is one error, in bounds.

    python benchmarks/dicom_mutations.py [--files 10000] [--clips 100]

Measured are:

- mutated files: objects of the tests in every compression, in which bytes are changed, put in,
  taken out or cut off, or lengths are made extreme. Each is read as `predict` reads it, and as
  `--dicom-out` does, with and without identity. A separate process reads them, so that its end
  would be seen
- mutated videos in objects, each read to its end
- files that lie: sizes, nesting, frames, elements, codestreams that contradict their header. Each
  in a fresh process, whose memory is measured, and that of the process of its codecs

Writes benchmarks/results/dicom_mutations.json and a table of docs/dicom.md. Exits with 1 if a
process ended, something else than an `ImageError` was raised, or a bound was passed.
"""

import argparse
import contextlib
import io
import itertools
import json
import os
import resource
import struct
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from endoexit.errors import ImageError
from endoexit.files import read_json, write_json
from endoexit.images.decode import read_image
from endoexit.images.dicom import worker
from endoexit.images.frames import FrameChoice
from endoexit.images.preprocessing import Preprocessing
from endoexit.machine import describe_machine, library_versions, machine_words
from endoexit.runtime.outputs.dicom.source import Identity, read_source
from tables import RESULTS, ROOT, markdown_table, replace_between

RESULT, PAGE = RESULTS / "dicom_mutations.json", ROOT / "docs" / "dicom.md"
GOLDEN = ROOT / "tests" / "golden" / "dicom"
SEEDS = (
    "vl-endoscopic-jpeg.dcm", "vl-endoscopic-j2k.dcm", "vl-endoscopic-jls.dcm",
    "vl-endoscopic-rle.dcm", "vl-endoscopic-rgb.dcm", "SC_rgb_jpeg_gdcm.dcm",
    "SC_rgb_rle_2frame.dcm", "SC_rgb_gdcm_KY.dcm", "SC_rgb_jls_lossy_line.dcm",
    "SC_ybr_full_422_uncompressed.dcm", "image_dfl.dcm", "ExplVR_BigEnd.dcm",
)  # fmt: skip
CLIPS = ("video-endoscopic-h264.dcm", "video-endoscopic-h264-fragmented.dcm")
IDENTITIES: tuple[Identity, ...] = ("drop", "keep")
CHUNK = 500
MOST_S, MOST_BYTES = 5.0, 2**30


def mutated(data: bytes, random: np.random.Generator) -> bytes:
    """Return a file with one kind of damage; half of it is in the header."""
    changed = bytearray(data)
    first = 128 if random.random() < 0.5 else len(data) // 3
    last = min(len(data), 1200) if first == 128 else len(data)
    at = int(random.integers(first, last))
    kind = random.integers(5)
    if kind == 0:
        for place in random.integers(first, last, random.integers(1, 9)):
            changed[place] = random.integers(256)
    elif kind == 1:
        extreme = random.choice([0, 1, 0x7FFFFFFF, 0xFFFFFFFE, 0xFFFFFFFF, 0xFFFF])
        changed[at : at + 4] = struct.pack("<I", int(extreme))
    elif kind == 2:
        changed[at:at] = random.bytes(int(random.integers(1, 64)))
    elif kind == 3:
        del changed[at : at + int(random.integers(1, 64))]
    else:
        del changed[at:]
    return bytes(changed)


def outcome_of(work: Callable[[], object]) -> tuple[str, float]:
    """Return what became of a file, and the seconds that it took."""
    begin = time.perf_counter()
    try:
        work()
        kind = "read"
    except ImageError as error:
        kind = error.kind
    except Exception as error:  # a fault of ours: counted by the name of its class
        kind = f"fault: {type(error).__name__}"
    return kind, time.perf_counter() - begin


def read_everything(data: bytes) -> None:
    """Read a file as `predict` with `--dicom-out` does, up to four frames of it."""
    for identity in IDENTITIES:
        with contextlib.suppress(ImageError):  # the pixels may be whole
            read_source(data, identity, b"k" * 32)
    for frame in itertools.islice(FrameChoice(every=1).numbers(lambda: data), 4):
        read_image(data, frame=frame)


def read_clip(path: Path) -> None:
    """Read a video to its end."""
    from endoexit.images.video.clip import Clip  # noqa: PLC0415  images need no videos

    with Clip(path, Preprocessing(size=32)) as clip:
        for _ in clip.frames():
            pass
        if clip.fault is not None:
            raise clip.fault


def read_images(begin: int, end: int) -> None:
    """Read mutated files in this process; print a line for each."""
    seeds = [(GOLDEN / name).read_bytes() for name in SEEDS]
    for number in range(begin, end):
        data = mutated(seeds[number % len(seeds)], np.random.default_rng(number))
        before = worker._shared._process
        kind, spent = outcome_of(lambda data=data: read_everything(data))  # type: ignore[misc]
        ended = before is not None and worker._shared._process is not before
        print(json.dumps([kind, spent, ended]), flush=True)
    worker._shared.close()
    print(json.dumps(peaks()), flush=True)


def read_clips(begin: int, end: int) -> None:
    """Read mutated videos in this process; print a line for each."""
    with tempfile.TemporaryDirectory() as name:
        for number in range(begin, end):
            data = (GOLDEN / CLIPS[number % len(CLIPS)]).read_bytes()
            file = Path(name) / "clip.dcm"
            file.write_bytes(mutated(data, np.random.default_rng(number)))
            print(json.dumps([*outcome_of(lambda file=file: read_clip(file)), False]), flush=True)  # type: ignore[misc]
    print(json.dumps(peaks()), flush=True)


def read_liar(path: Path) -> None:
    """Read one file in this process; print what became of it."""
    kind, spent = outcome_of(lambda: read_image(path))
    worker._shared.close()
    print(json.dumps([kind, spent, *peaks()]))


def peaks() -> list[int]:
    """Return the largest memory of this process and of those that it started, in bytes.

    That of the others counts what they had before their program began: it is at least ours.
    """
    status = Path("/proc/self/status").read_text(encoding="ascii")
    ours = int(status.partition("VmHWM:")[2].split()[0])
    return [1024 * ours, 1024 * resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss]


def apart(*arguments: object) -> tuple[list[Any], int]:
    """Run this script in another process; return its lines and its exit code."""
    line = [sys.executable, __file__, *map(str, arguments)]
    done = subprocess.run(line, check=False, stdout=subprocess.PIPE, env=dict(os.environ))
    return [json.loads(text) for text in done.stdout.decode().splitlines()], done.returncode


def many(part: str, count: int) -> dict[str, Any]:
    """Read many mutated files in processes whose end is noticed."""
    kinds: Counter[str] = Counter()
    spent, ended, codecs, memory = [], [], 0, [0, 0]
    number = 0
    while number < count:
        goal = min(number + CHUNK, count)
        lines, code = apart("--part", part, number, goal)
        if code == 0:
            memory = [max(pair) for pair in zip(memory, lines.pop(), strict=True)]
        kinds.update(kind for kind, _, _ in lines)
        spent += [seconds for _, seconds, _ in lines]
        codecs += sum(gone for _, _, gone in lines)
        number += len(lines)
        if code != 0:
            ended.append(number)  # the file that it was reading
            number += 1
    return {
        "files": count,
        "ended": ended,
        "outcomes": dict(sorted(kinds.items())),
        "seconds_p99": float(np.quantile(spent, 0.99)),
        "seconds_most": max(spent),
        "codec_processes_replaced": codecs,
        "bytes": memory[0],
        "bytes_of_codecs": memory[1],
    }


def liars(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield files that lie about themselves, with what they claim."""
    import pydicom  # noqa: PLC0415
    from pydicom.dataset import Dataset  # noqa: PLC0415
    from pydicom.sequence import Sequence  # noqa: PLC0415

    def made(name: str, change: Callable[[Dataset], object], seed: str) -> tuple[str, Path]:
        data_set = pydicom.dcmread(GOLDEN / seed)
        change(data_set)
        stream = io.BytesIO()
        data_set.save_as(stream)
        return raw(name, stream.getvalue())

    def raw(name: str, data: bytes) -> tuple[str, Path]:
        path = folder / f"{len(list(folder.iterdir()))}.dcm"
        path.write_bytes(data)
        return name, path

    def nest(data_set: Dataset) -> None:
        inner = Dataset()
        for _ in range(200):
            item = Dataset()
            item.ReferencedSeriesSequence = Sequence([inner])
            inner = item
        data_set.ReferencedSeriesSequence = Sequence([inner])

    def resized(data_set: Dataset) -> None:
        data_set.Rows, data_set.Columns = 7000, 7000

    plain = (GOLDEN / "vl-endoscopic-rgb.dcm").read_bytes()
    begin = plain.index(b"\xe0\x7f\x10\x00")  # of the pixels
    element, length = b"\x09\x00\x01\x10UN\0\0", b"\0\0\0\0"
    siz, sof = b"\xff\x4f\xff\x51", b"\xff\xf7"
    j2k = (GOLDEN / "vl-endoscopic-j2k.dcm").read_bytes()
    jls = (GOLDEN / "vl-endoscopic-jls.dcm").read_bytes()
    at = j2k.index(siz) + 8
    wide = j2k[:at] + struct.pack(">II", 60000, 60000) + j2k[at + 8 :]
    at = jls.index(sof) + 5
    high = jls[:at] + struct.pack(">HH", 60000, 60000) + jls[at + 4 :]
    yield "65535×65535 pixels", GOLDEN / "lies-65535x65535.dcm"
    yield "48 kB that inflate to 48 MB", GOLDEN / "deflate-48MB-of-zeros.dcm"
    yield "pixels that are cut off", GOLDEN / "MR_truncated.dcm"
    yield "fragments that are broken", GOLDEN / "SC_rgb_jpeg.dcm"
    yield made("sequences 200 deep", nest, "vl-endoscopic-rgb.dcm")
    yield made("100,000 frames for one", lambda d: setattr(d, "NumberOfFrames", 100_000), SEEDS[0])
    for seed in ("vl-endoscopic-j2k.dcm", "vl-endoscopic-jls.dcm", "vl-endoscopic-rle.dcm",
                 "SC_rgb_jpeg_gdcm.dcm"):  # fmt: skip
        words = f"7000×7000 pixels, {seed.rpartition('-')[2].removesuffix('.dcm')}"
        yield made(words.replace("SC_rgb_jpeg_gdcm", "lossless JPEG"), resized, seed)
    yield raw("a codestream of 60000×60000, JPEG 2000", wide)
    yield raw("a codestream of 60000×60000, JPEG-LS", high)
    many = (element + length) * 2_000_000
    yield raw("two million elements", plain[:begin] + many + plain[begin:])
    yield raw("a length of 4 GB", plain[:begin] + element + b"\xfe\xff\xff\xff" + plain[begin:])
    yield raw("an encrypted envelope", bytes.fromhex("3082010006092a864886f70d010703") + bytes(99))


def measure(given: argparse.Namespace) -> dict[str, Any]:
    """Measure everything."""
    result: dict[str, Any] = {
        "command": f"python benchmarks/dicom_mutations.py {' '.join(sys.argv[1:])}".strip(),
        "machine": describe_machine(),
        "versions": library_versions(),
        "images": many("images", given.files),
        "clips": many("clips", given.clips),
        "liars": {},
    }
    with tempfile.TemporaryDirectory() as name:
        for words, path in liars(Path(name)):
            lines, code = apart("--liar", path)
            kind, spent, memory, codecs = lines[0] if code == 0 else ("ended", 0.0, 0, 0)
            facts = {"outcome": kind, "seconds": spent, "bytes": memory, "bytes_of_codecs": codecs}
            result["liars"][words] = facts
    return result


def table(result: dict[str, Any]) -> str:
    """Return the tables of the page."""
    rows = [
        (f"mutated {what}", f"{part['files']}", f"{len(part['ended'])}",
         f"{part['outcomes'].get('read', 0)}", f"{_errors(part)}", f"{_faults(part)}",
         f"{part['seconds_most']:.2f} s", _mib(part["bytes"]), _mib(part["bytes_of_codecs"]))
        for what, part in (("objects", result["images"]), ("videos in objects", result["clips"]))
    ]  # fmt: skip
    many_files = markdown_table(
        ("what was read", "files", "processes that ended", "still read", "one error each",
         "other errors", "longest", "memory of the reader", "memory of the codecs"), rows,
    )  # fmt: skip
    lines = [
        (words, facts["outcome"], f"{facts['seconds']:.2f} s", _mib(facts["bytes"]),
         _mib(facts["bytes_of_codecs"]))
        for words, facts in result["liars"].items()
    ]  # fmt: skip
    single = markdown_table(
        ("what a file claims or is", "error", "time", "memory", "memory of the codecs"), lines
    )
    note = (
        f"More than {MOST_S:g} s or {MOST_BYTES // 2**30} GiB would count as a failure. Processes "
        f"of the codecs were replaced {result['images']['codec_processes_replaced']} times. "
        "Measured on "
        f"{machine_words(result['machine'])}. Made by `{result['command']}`."
    )
    return f"{many_files}\n\n{single}\n\n{note}"


def _mib(size: int) -> str:
    return f"{size / 2**20:.0f} MiB" if size else "–"


def _faults(part: dict[str, Any]) -> int:
    return sum(count for kind, count in part["outcomes"].items() if kind.startswith("fault"))


def _errors(part: dict[str, Any]) -> int:
    return sum(part["outcomes"].values()) - part["outcomes"].get("read", 0) - _faults(part)


def faults(result: dict[str, Any]) -> list[str]:
    """Return what is wrong with a result."""
    said = []
    for what in ("images", "clips"):
        part = result[what]
        if part["ended"] or _faults(part):
            said.append(f"{what}: {len(part['ended'])} ended, {_faults(part)} other errors")
        if (
            part["seconds_most"] > MOST_S
            or max(part["bytes"], part["bytes_of_codecs"]) > MOST_BYTES
        ):
            said.append(f"{what}: a bound was passed")
    for words, facts in result["liars"].items():
        if facts["outcome"] in ("read", "ended") or facts["outcome"].startswith("fault"):
            said.append(f"{words}: {facts['outcome']}")
        if facts["seconds"] > MOST_S or max(facts["bytes"], facts["bytes_of_codecs"]) > MOST_BYTES:
            said.append(f"{words}: a bound was passed")
    return said


def main() -> None:
    """Measure, or write the table again, or read files for the process that measures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--clips", type=int, default=100)
    parser.add_argument("--out", type=Path, help="write the figures there, and no table")
    parser.add_argument("--table-only", action="store_true")
    parser.add_argument("--part", nargs=3, help=argparse.SUPPRESS)
    parser.add_argument("--liar", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.part:
        kind, begin, end = given.part
        (read_images if kind == "images" else read_clips)(int(begin), int(end))
        return
    if given.liar:
        read_liar(given.liar)
        return
    if not given.table_only:
        write_json(given.out or RESULT, measure(given))
    result = read_json(given.out or RESULT)
    if given.out is None:
        replace_between(PAGE, "dicom-mutations", table(result))
    else:
        print(table(result))
    if said := faults(result):
        sys.exit("; ".join(said))


if __name__ == "__main__":
    main()
