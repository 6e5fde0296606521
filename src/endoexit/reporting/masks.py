"""How much of the attention falls on the finding, where someone outlined it."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from endoexit.data.frame import field_of_view
from endoexit.errors import DataError, ImageError
from endoexit.evaluation.estimates import Estimate
from endoexit.evaluation.figures import percent_with_interval
from endoexit.evaluation.intervals import GroupBootstrap
from endoexit.images.decode import read_image
from endoexit.images.formats import IMAGE_SUFFIXES
from endoexit.images.preprocessing import Preprocessing
from endoexit.images.reference import ImageRef
from endoexit.progress import Track
from endoexit.reporting.material import Absent, ExitAttention, Material
from endoexit.reporting.pictures import resized
from endoexit.reporting.style import (
    INK,
    QUIET,
    Picture,
    draw,
    exit_style,
    percent_and_ends,
    percent_axis,
)

FOLDER = "masks"
MOST = 300  # images that are looked at; of more, evenly spread ones
_BATCH = 16

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Masks:
    """Outlines of the finding, as images of the same name.

    Attributes:
        folder: Folder that they are in.
        paths: Masks by the path of their image, relative to the root.
    """

    folder: Path
    paths: dict[str, Path]

    def of(self, image: str) -> Path | None:
        """Return the mask of an image, given its path relative to the root; None without one."""
        return self.paths.get(image)


def find_masks(folder: Path | None, root: Path | Absent, images: Sequence[str]) -> Masks | Absent:
    """Find the masks: in `folder`, else in `masks` in or next to the folder of the images.

    A mask has the path of its image, whatever the suffixes. One that lies directly in the folder
    may also have the bare name of an image in a subfolder, if no other image has that name.

    Args:
        folder: Folder that was named; None for none.
        root: Folder of the images.
        images: Images that were evaluated, relative to the root.

    Raises:
        DataError: A folder was named and is not there.
    """
    if folder is not None and not folder.is_dir():
        raise DataError(f"there is no folder {folder}: name the folder of the masks.")
    places = [folder] if folder else []
    if not folder and not isinstance(root, Absent):
        places = [root / FOLDER, root.parent / FOLDER]
    for place in places:
        paths: dict[str, Path] = {}
        for path in sorted(place.rglob("*")) if place.is_dir() else ():
            if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file():
                paths[_plain(path.relative_to(place))] = path
        if paths:
            return Masks(place, _assign(paths, images))
    return Absent(
        "There are no masks of the finding: a folder of images with the names of the photographs, "
        "white where the finding is, can be named with --masks."
    )


def _plain(path: Path) -> str:
    return path.with_suffix("").as_posix()


def _assign(masks: dict[str, Path], images: Sequence[str]) -> dict[str, Path]:
    """Return image to mask; a mask that could be of several images is of none."""
    paths = {image: _plain(Path(image)) for image in images}
    same_path = Counter(paths.values())
    same_name = Counter(Path(plain).name for plain in paths.values())
    assigned = {}
    for image, plain in paths.items():
        name = Path(plain).name
        if plain in masks and same_path[plain] == 1:
            assigned[image] = masks[plain]
        elif name in masks and same_name[name] == 1:
            assigned[image] = masks[name]
    return assigned


def read_mask(path: Path, preprocessing: Preprocessing, like: ImageRef) -> Mask:
    """Return a mask (S, S), cut and scaled as the image it belongs to.

    Raises:
        ImageError: It cannot be read, or is of another size than its image.
    """
    mask, image = read_image(path), read_image(like.path, frame=like.frame)
    if mask.shape != image.shape:
        raise ImageError(
            f"is {mask.shape[1]}×{mask.shape[0]} pixels, its image "
            f"{image.shape[1]}×{image.shape[0]}: give it the size of its image.",
            f"the mask {path}",
        )
    return np.asarray(preprocessing.view.apply(mask).max(axis=2) >= 128)


@dataclass(frozen=True)
class InMask:
    """The attention of one exit, over the images with a mask.

    Attributes:
        name: Name of the exit.
        kind: Kind of the attention.
        inside: Mean share of the attention inside the mask.
        area: Mean share of the field of view that the mask covers.
        gain: Difference of the two, on the same images.
        images: Number of images; those without any attention are left out.
    """

    name: str
    kind: str
    inside: Estimate
    area: Estimate
    gain: Estimate
    images: int


@dataclass(frozen=True)
class MaskStudy:
    """All exits, and which images they were asked about.

    Attributes:
        exits: Result for each exit.
        with_mask: Number of evaluated images that have a mask.
        used: Number of these that were looked at.
        unusable: Number of masks or images that could not be read, or did not fit.
        folder: Folder of the masks.
    """

    exits: tuple[InMask, ...]
    with_mask: int
    used: int
    unusable: int
    folder: str


def study_masks(material: Material, masks: Masks, track: Track) -> MaskStudy | Absent:
    """Measure, for each exit, the share of its attention that falls inside the masks."""
    if isinstance(material.attention, Absent):
        return material.attention
    if isinstance(material.images, Absent):
        return material.images
    paths = material.evaluation.images.paths
    indices = [index for index, path in enumerate(paths) if masks.of(path)]
    if not indices:
        return Absent(f"None of the masks in {masks.folder.name} is of an evaluated image.")
    step = max(1.0, len(indices) / MOST)
    chosen = [indices[int(place * step)] for place in range(int(len(indices) / step))]
    shares: list[NDArray[np.float64]] = []
    used: list[int] = []
    with track("attention on masks", len(chosen)) as bar:
        for start in range(0, len(chosen), _BATCH):
            some = chosen[start : start + _BATCH]
            read = _read(material, masks, material.images, some)
            if read:
                exits = material.attention(np.stack([seen for _, seen, _ in read]))
                viewed = material.preprocessing.viewed
                shares.append(_shares(exits, [(viewed(seen), mask) for _, seen, mask in read]))
                used += [index for index, _, _ in read]
            bar.advance(len(some))
    if not used:
        return Absent(f"None of the {len(chosen)} masks in {masks.folder.name} could be used.")
    table = np.concatenate(shares, axis=1)
    groups = [material.evaluation.images.groups[index] for index in used]
    kinds = [look.kind for look in exits]
    rows = tuple(
        _in_mask(material.exit_name(number), kind, table[number - 1], table[-1], groups)
        for number, kind in enumerate(kinds, start=1)
    )
    return MaskStudy(rows, len(indices), len(used), len(chosen) - len(used), masks.folder.name)


def _read(
    material: Material, masks: Masks, root: Path, indices: Sequence[int]
) -> list[tuple[int, NDArray[np.uint8], Mask]]:
    usable = []
    for index in indices:
        image = ImageRef.parse(material.evaluation.images.paths[index]).under(root)
        path = masks.of(material.evaluation.images.paths[index])
        try:
            seen = material.preprocessing.load(image)
            mask = read_mask(path or image.path, material.preprocessing, image)
        except (ImageError, OSError):
            continue
        if mask.any():
            usable.append((index, seen, mask))
    return usable


def _shares(
    exits: list[ExitAttention], pairs: list[tuple[NDArray[np.uint8], Mask]]
) -> NDArray[np.float64]:
    """Return (M + 1, B): the share inside for each exit, NaN without attention; the mask's area."""
    table = np.full((len(exits) + 1, len(pairs)), np.nan)
    for column, (seen, mask) in enumerate(pairs):
        field = field_of_view(seen)
        size = (seen.shape[1], seen.shape[0])
        for row, look in enumerate(exits):
            share = share_inside(resized(look.maps[column], size), mask, field)
            table[row, column] = np.nan if share is None else share
        table[-1, column] = (mask & field).sum() / max(1, field.sum())
    return table


def share_inside(values: NDArray[np.float32], mask: Mask, field: Mask) -> float | None:
    """Return the share of a map that falls inside a mask, within the field of view.

    None where there is nothing in the field at all.
    """
    total = float(values[field].sum())
    return float(values[mask & field].sum()) / total if total > 0 else None


def _in_mask(
    name: str,
    kind: str,
    inside: NDArray[np.float64],
    area: NDArray[np.float64],
    groups: Sequence[str],
) -> InMask:
    there = np.isfinite(inside)
    if not there.any():
        nothing = Estimate(value=None, reason="no attention on any of the images")
        return InMask(name, kind, nothing, nothing, nothing, 0)
    bootstrap = GroupBootstrap(np.array(groups)[there])
    return InMask(
        name,
        kind,
        bootstrap.mean(inside[there]),
        bootstrap.mean(area[there]),
        bootstrap.mean(inside[there] - area[there]),
        int(there.sum()),
    )


def mask_figure(material: Material, study: MaskStudy) -> Picture:
    """Draw the share of the attention inside the masks next to the masks' share of the field."""
    shown = [measured for measured in study.exits if measured.inside.value is not None]
    alt = "Share of the attention inside the masks. " + "; ".join(
        f"{measured.name} {percent_with_interval(measured.inside)} % of a field share of "
        f"{percent_with_interval(measured.area)} %"
        for measured in shown
    ) + "."  # fmt: skip

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        for place, measured in enumerate(shown):
            style = exit_style(place + 1)
            value, low, high = percent_and_ends(measured.inside)
            axes.errorbar(
                place, value, [[value - low], [high - value]], fmt=style.marker, color=style.colour,
                markeredgecolor=INK, markersize=8, capsize=3, elinewidth=1.3, zorder=3,
            )  # fmt: skip
            area = 100 * (measured.area.value or 0.0)
            axes.hlines(
                area, place - 0.3, place + 0.3, color=QUIET, linestyle=(0, (3, 2)),
                label="" if place else "mask’s share of the field",
            )  # fmt: skip
        axes.set_xticks(range(len(shown)), [measured.name for measured in shown])
        axes.set_xlim(-0.6, len(shown) - 0.4)
        axes.set_ylim(bottom=0)
        axes.set_ylabel("attention inside the mask (%)")
        axes.tick_params(axis="x", length=0)
        percent_axis(axes)
        figure.legend(loc="outside upper left")

    return draw(
        "attention-in-masks", (4.6, 3.2), paint, alt=alt,
        caption=f"{study.used} {material.evaluation.role} images with a mask; 95 % intervals over "
        "groups. An exit that looked everywhere alike would lie on the dashed line.",
        source=f"weights and {study.folder}/", synthetic=material.synthetic,
    )  # fmt: skip
