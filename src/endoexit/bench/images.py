"""The images that a benchmark runs on: those of the user, else rendered ones."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from endoexit.errors import ImageError, counted
from endoexit.images.preprocessing import Preprocessing
from endoexit.images.reference import ImageRef
from endoexit.naming import naming
from endoexit.phantom.render import CLASSES, render_phantom
from endoexit.progress import Track
from endoexit.runtime.engine import Images
from endoexit.runtime.inputs import Inputs

MOST = 512  # each goes through the network once to see where it exits
PER_CLASS = 3


@dataclass(frozen=True)
class BenchImages:
    """Preprocessed images.

    Attributes:
        images: Images, uint8 (N, S, S, 3).
        words: Number of images and what they are.
        synthetic: Whether they are rendered ones.
    """

    images: Images
    words: str
    synthetic: bool


def load_images(paths: Sequence[str], preprocessing: Preprocessing, track: Track) -> BenchImages:
    """Return the images of paths, or of the phantom when there are none.

    Of more than `MOST` files, so many are taken, evenly over all.

    Args:
        paths: Files, folders and globs.
        preprocessing: Preprocessing of the network.
        track: What shows progress.

    Raises:
        DataError: A folder without images.
        ImageError: One of them cannot be read.
    """
    if not paths:
        return _rendered(preprocessing, track)
    references = list(Inputs(paths))
    rows = np.unique(
        np.linspace(0, len(references) - 1, min(len(references), MOST)).round().astype(int)
    )
    words = counted(len(rows), "image")
    if len(rows) < len(references):
        words += f" of {len(references)}, evenly over all,"
    return BenchImages(
        _load({int(row): references[row] for row in rows}, preprocessing, track),
        f"{words} from {', '.join(paths)}",
        synthetic=False,
    )


def _rendered(preprocessing: Preprocessing, track: Track) -> BenchImages:
    side = min(max(preprocessing.size, 32), 256)
    count = PER_CLASS * len(CLASSES)
    with tempfile.TemporaryDirectory() as folder, track("rendering images", count) as bar:
        phantom = render_phantom(Path(folder) / "phantom", PER_CLASS, side, 0, bar.advance)
        paths = sorted(phantom.rglob("*.jpg"))
        images = _load(dict(enumerate(map(ImageRef, paths))), preprocessing, track)
    return BenchImages(images, f"{count} SYNTHETIC images, rendered by this program", True)


def _load(references: Mapping[int, ImageRef], preprocessing: Preprocessing, track: Track) -> Images:
    images = []
    with track("reading images", len(references)) as bar:
        for position, image in references.items():
            try:
                images.append(preprocessing.load(image))
            except ImageError as error:
                raise error.named(naming().mention(str(image), position)) from error
            bar.advance()
    return np.stack(images)
