"""The phantom: a SYNTHETIC set of endoscopy-like images in eight classes, for demos and tests."""

import csv
import io
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from filelock import FileLock
from PIL import Image

from endoexit.errors import DataError, EndoexitError, UsageError
from endoexit.files import csv_line, remedy_of, sha256_bytes, why_refused
from endoexit.phantom.camera import Device, Frame, capture
from endoexit.phantom.findings import PAINTERS
from endoexit.phantom.origin import MARK, SETTINGS_FILE
from endoexit.phantom.surface import MARGIN, Array, Surface, shade

CLASSES = tuple(PAINTERS)
TABLE_FILE = "phantom.csv"

# Raise this whenever the same settings would give other pictures.
VERSION = 1

_README = """SYNTHETIC IMAGES: no patient, no endoscope.

Rendered by endoexit ({settings}). The eight classes carry the names of Kvasir's,
and mirror them roughly; nothing that is measured here says anything about medicine.

phantom.csv names for each image its label, its group (the imagined patient; pictures of
one patient, among them near-copies like those of a video, must stay together), and its
difficulty from 0 (plain) to 1 (hard to tell from its neighbouring class).
"""


@dataclass(frozen=True)
class _Settings:
    """All that decides the pictures."""

    images_per_class: int
    size: int
    seed: int
    version: int = VERSION


@dataclass(frozen=True)
class _Picture:
    """One picture to take: which patient, which of the scenes there, which frame of it."""

    label: str
    patient: int
    scene: int
    frame: int

    @property
    def group(self) -> str:
        return f"{self.label}-p{self.patient:04}"

    @property
    def path(self) -> str:
        return f"{self.label}/p{self.patient:04}-s{self.scene}-f{self.frame}.jpg"


def render_phantom(
    directory: Path,
    images_per_class: int = 180,
    size: int = 160,
    seed: int = 0,
    advance: Callable[[int], None] = lambda _: None,
) -> Path:
    """Render the phantom into a folder, whole or not at all.

    The folder gets one folder of JPEGs per class, `phantom.csv` (path, label,
    group, difficulty), `README.txt`, which says that it is synthetic, and
    `phantom.json`, its settings. Each JPEG says so too, in a comment that stays
    with it when it is copied. A complete folder of the same settings is left
    as it is; one that misses files is rendered again. The same settings give the
    same pictures.

    Args:
        directory: Folder to write; made if it does not exist.
        images_per_class: Number of images in each of the eight classes.
        size: Side of the square images in pixels, 32 to 1024.
        seed: Random seed of everything.
        advance: Function that is called with a number of images done.

    Returns:
        The folder.

    Raises:
        UsageError: An argument is out of range.
        DataError: The folder holds something else, or a phantom of other settings.
        EndoexitError: It cannot be written.
    """
    if images_per_class < 1 or not 32 <= size <= 1024 or seed < 0:
        raise UsageError(
            "a phantom needs images_per_class of 1 or more, size from 32 to 1024 and seed of 0 or "
            f"more, got {images_per_class}, {size} and {seed}."
        )
    directory = Path(directory)
    settings = _Settings(images_per_class, size, seed)
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(directory.with_name(f".{directory.name}.lock")):
            if not _is_complete(directory, settings):
                _render(directory, settings, advance)
    except OSError as error:
        raise EndoexitError(
            f"cannot write the phantom {directory}: {why_refused(directory, error)}; "
            f"{remedy_of(error)}."
        ) from error
    return directory


def _is_complete(directory: Path, settings: _Settings) -> bool:
    """Tell whether nothing is to be done; refuse a folder that is not this phantom's."""
    if not directory.exists() or (directory.is_dir() and not any(directory.iterdir())):
        return False
    try:
        document = json.loads((directory / SETTINGS_FILE).read_text(encoding="utf-8"))
        digest, kept = document["csv_sha256"], document["settings"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{directory} exists and is not a phantom: choose another folder."
        ) from error
    if kept != asdict(settings):
        raise DataError(
            f"{directory} holds a phantom of other settings ({_describe(kept)}): "
            "choose another folder or remove it."
        )
    try:
        table = (directory / TABLE_FILE).read_bytes()
    except FileNotFoundError:
        return False
    rows = csv.DictReader(io.StringIO(table.decode("utf-8", errors="replace")))
    return sha256_bytes(table) == digest and all(
        (directory / row["path"]).is_file() for row in rows
    )


def _describe(settings: dict[str, object]) -> str:
    return ", ".join(f"{name} {value}" for name, value in settings.items())


def _render(directory: Path, settings: _Settings, advance: Callable[[int], None]) -> None:
    """Render into a temporary folder, then rename it. The caller holds the lock."""
    work = directory.with_name(f".{directory.name}.part")
    shutil.rmtree(work, ignore_errors=True)  # left by a killed process
    try:
        lines = [csv_line(("path", "label", "group", "difficulty"))]
        for label in CLASSES:
            (work / label).mkdir(parents=True)
            for picture, difficulty, jpeg in _pictures(label, settings):
                (work / picture.path).write_bytes(jpeg)
                row = (picture.path, label, picture.group, f"{difficulty:.3f}")
                lines.append(csv_line(row))
                advance(1)
        text = "".join(lines)
        (work / TABLE_FILE).write_text(text, encoding="utf-8", newline="\n")
        (work / "README.txt").write_text(
            _README.format(settings=_describe(asdict(settings))), encoding="utf-8"
        )
        facts = {"settings": asdict(settings), "csv_sha256": sha256_bytes(text.encode())}
        (work / SETTINGS_FILE).write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
        _put(work, directory)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _put(work: Path, directory: Path) -> None:
    """Move a finished phantom into place; files of others in the folder stay.

    The settings come first and the table last: a folder that is interrupted in
    between is known as a phantom that misses something.
    """
    if not directory.exists():
        work.rename(directory)
        return
    (work / SETTINGS_FILE).replace(directory / SETTINGS_FILE)
    for label in CLASSES:
        shutil.rmtree(directory / label, ignore_errors=True)
        (work / label).rename(directory / label)
    for name in ("README.txt", TABLE_FILE):
        (work / name).replace(directory / name)


def _plan(label: str, settings: _Settings) -> list[_Picture]:
    """Share a class's pictures out to patients: up to 3 scenes each, some in several frames."""
    random = np.random.default_rng((settings.seed, CLASSES.index(label)))
    plan: list[_Picture] = []
    patient = 0
    while len(plan) < settings.images_per_class:
        for scene in range(int(random.integers(1, 4))):
            frames = 1 if random.random() < 0.85 else int(random.integers(2, 4))
            plan += [_Picture(label, patient, scene, frame) for frame in range(frames)]
        patient += 1
    return plan[: settings.images_per_class]


def _pictures(label: str, settings: _Settings) -> Iterator[tuple[_Picture, float, bytes]]:
    """Yield each picture of a class, its difficulty and its JPEG bytes."""
    number = CLASSES.index(label)
    for picture in _plan(label, settings):
        patient = (settings.seed, number, picture.patient)
        random = np.random.default_rng((*patient, picture.scene, picture.frame))
        if picture.frame == 0:
            device = Device.draw(np.random.default_rng(patient))
            scene, difficulty = _scene(label, settings.size, random)
            frame = Frame.first(difficulty, random)
        else:
            frame = frame.next(random)
        pixels = capture(scene, device, frame, settings.size, random)
        stream = io.BytesIO()
        Image.fromarray(pixels).save(stream, "JPEG", quality=90, comment=MARK)
        yield picture, difficulty, stream.getvalue()


def _scene(label: str, size: int, random: np.random.Generator) -> tuple[Array, float]:
    """Paint and light one scene; return it with its difficulty."""
    difficulty = float(random.random())
    surface = Surface(round(size * MARGIN), difficulty, random)
    PAINTERS[label](surface)
    lamp = (surface.between(-0.35, 0.35), surface.between(-0.35, 0.35))
    return shade(surface, lamp, surface.between(0, 0.4 + 0.6 * difficulty)), difficulty
