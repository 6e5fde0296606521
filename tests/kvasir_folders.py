"""Phantom images in the layouts of Kvasir and HyperKvasir, as folders and as archives."""

import functools
import io
import shutil
import tempfile
import uuid
import zipfile
from pathlib import Path

from endoexit.datasets.catalog import RELEASES
from endoexit.phantom.render import render_phantom

KVASIR = [fact.name for fact in RELEASES["kvasir-v1"].classes]
# Names that the authors' fold files give to folders of the archive.
IN_FOLDS = {
    "cecum": "normal-cecum", "pylorus": "normal-pylorus", "z-line": "normal-z-line",
    "esophagitis-a": "oesophagitis-a", "esophagitis-b-d": "oesophagitis-b-d", "polyps": "polyp",
    "barretts-short-segment": "short-segment-barretts",
}  # fmt: skip
KINDS = {
    "landmark": "anatomical-landmarks", "finding": "pathological-findings",
    "quality": "quality-of-mucosal-views", "intervention": "therapeutic-interventions",
}  # fmt: skip


@functools.cache
def pictures(per_class: int, size: int = 48) -> dict[str, list[bytes]]:
    """Return JPEGs of each of Kvasir's classes."""
    with tempfile.TemporaryDirectory() as folder:
        phantom = render_phantom(Path(folder) / "phantom", per_class, size)
        return {name: [path.read_bytes() for path in sorted((phantom / name).glob("*.jpg"))]
                for name in KVASIR}  # fmt: skip


def named(number: int) -> str:
    """Return a file name like the authors': always the same for a number."""
    return f"{uuid.uuid5(uuid.NAMESPACE_OID, str(number))}.jpg"


def kvasir_files(top: str = "kvasir-dataset/", per_class: int = 2) -> dict[str, bytes]:
    """Return the files of Kvasir by path."""
    numbers = iter(range(10**6))
    return {
        f"{top}{name}/{named(next(numbers))}": picture
        for name, jpegs in pictures(per_class).items()
        for picture in jpegs
    }


def hyperkvasir_files(
    top: str = "labeled-images/", per_class: int = 2, classes: int = 23
) -> dict[str, bytes]:
    """Return the files of HyperKvasir's labelled part: nested folders and the CSV of labels."""
    shown, files = [*pictures(per_class * 3).values()], {}
    rows = ["Video file,Organ,Finding,Classification"]
    numbers = iter(range(10**6))
    for place, fact in enumerate(RELEASES["hyperkvasir"].classes[:classes]):
        folder = f"{fact.tract}-gi-tract/{KINDS[fact.kind]}/{fact.name}"
        part = per_class * (place // len(shown))  # other pictures for other classes
        for picture in shown[place % len(shown)][part : part + per_class]:
            name = named(next(numbers))
            files[f"{top}{folder}/{name}"] = picture
            rows.append(f"{name[:-4]},{fact.tract.title()} GI,{fact.name},{KINDS[fact.kind]}")
    files[f"{top}image-labels.csv"] = ("\r\n".join(rows) + "\r\n").encode()
    return files


def fold_file(files: dict[str, bytes], folds: int = 2) -> bytes:
    """Return the authors' fold file of images: semicolons, CRLF, their names of the classes."""
    rows = ["file-name;class-name;split-index"]
    images = [path.split("/") for path in files if path.endswith(".jpg")]
    for number, parts in enumerate(images):
        rows.append(f"{parts[-1]};{IN_FOLDS.get(parts[-2], parts[-2])};{number % folds}")
    return ("\r\n".join(rows) + "\r\n").encode()


def as_zip(files: dict[str, bytes]) -> bytes:
    """Return an archive of files."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as opened:
        for path, content in files.items():
            opened.writestr(path, content)
    return stream.getvalue()


def write(files: dict[str, bytes], folder: Path) -> Path:
    """Write files into a new folder and return it."""
    shutil.rmtree(folder, ignore_errors=True)
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    return folder
