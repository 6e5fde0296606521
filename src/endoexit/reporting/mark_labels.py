"""Labels of points in a drawing: near their own mark, over no other, inside the axes."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.text import Annotation, Text
from numpy.typing import NDArray

from endoexit.reporting.style import INK, QUIET

_REACH, _STEP = 66, 3  # points around a mark in which its label is looked for
_AIR = 2.0  # points between a label and what it must not cover
_CAP, _MARK, _DOT = 3.0, 3.0, 1.2  # points from the middle to the edge of what is drawn
_LINE = 12.0  # points from a mark to its label, from which on a line joins them
_ROUNDS = 6  # in which labels move out of each other's way
_COVERS, _TOUCHES, _DOUBT, _ASIDE = 1000.0, 2.0, 2.0, 0.02  # costs; each point of distance costs 1

Boxes = NDArray[np.float64]  # (K, 4): left, bottom, right, top


@dataclass(frozen=True)
class Label:
    """What is to be written next to a mark.

    Attributes:
        text: Text of the label.
        x: Place of the mark on the x axis, in its unit.
        y: Place of the mark on the y axis, in its unit.
        low: Lower end of the bar through it, in the unit of the y axis.
        high: Upper end of the bar.
        size: Size of the mark, in points.
        bold: Whether the label is bold.
    """

    text: str
    x: float
    y: float
    low: float
    high: float
    size: float
    bold: bool = False


def place_labels(
    figure: Figure, axes: Axes, labels: Sequence[Label], marks: Sequence[tuple[float, float]],
    dots: Sequence[tuple[float, float]],
) -> list[Annotation]:  # fmt: skip
    """Write labels where each is told to be its own mark's; the limits of the axes must be set.

    Each label is tried at every place of a grid around its mark. It costs its distance from the
    mark, more where another mark is nearly as close, and very much where it covers something.
    Labels then move one after the other until none finds a better place. The same labels always
    get the same places.

    Args:
        figure: Figure of the axes; its layout is computed here.
        axes: Axes to write into.
        labels: Labels with their marks and bars.
        marks: Places (x, y) of further marks that no label may cover, in the units of the axes.
        dots: Places (x, y) of small marks that labels had better not cover.
    """
    written = [_write(axes, label) for label in labels]
    figure.draw_without_rendering()  # Now the axes have their place, and the texts their size.
    scene = _scene(axes, labels, marks, dots)
    extents = [Text.get_window_extent(text) for text in written]
    offsets = _grid()
    boxes = [
        _boxes(centre + offsets, np.array([extent.width, extent.height]) * 36 / figure.dpi)
        for centre, extent in zip(scene.centres, extents, strict=True)
    ]
    aside = _ASIDE * np.abs(offsets).sum(axis=1)
    chosen = _settle(boxes, [_costs(places, k, scene) + aside for k, places in enumerate(boxes)])
    for index, (text, place) in enumerate(zip(written, chosen, strict=True)):
        text.set_position(tuple(offsets[place]))
        gap = _gaps(boxes[index][[place]], scene.labelled[[index]]).item()
        if text.arrow_patch is not None:
            text.arrow_patch.set_visible(gap > _LINE)
    return written


@dataclass(frozen=True, eq=False)
class _Scene:
    """What is in the axes, in points.

    Attributes:
        centres: Centres (K, 2) of the marks that get a label.
        labelled: Boxes (K, 4) of these marks.
        hard: Boxes that no label may cover.
        soft: Boxes that labels had better not cover.
        frame: Box (4,) of the axes.
    """

    centres: Boxes
    labelled: Boxes
    hard: Boxes
    soft: Boxes
    frame: Boxes


def _scene(
    axes: Axes, labels: Sequence[Label], marks: Sequence[tuple[float, float]],
    dots: Sequence[tuple[float, float]],
) -> _Scene:  # fmt: skip
    centres = _at(axes, [(label.x, label.y) for label in labels])
    labelled = _boxes(centres, np.array([[label.size / 2] for label in labels]))
    lows = _at(axes, [(label.x, label.low) for label in labels])
    highs = _at(axes, [(label.x, label.high) for label in labels])
    cap = np.array([_CAP, 0.0])
    bars = np.concatenate([lows - cap, highs + cap], axis=1)
    return _Scene(
        centres=centres,
        labelled=labelled,
        hard=np.concatenate([labelled, bars, _boxes(_at(axes, marks), _MARK)]),
        soft=_boxes(_at(axes, dots), _DOT),
        frame=np.array(axes.get_window_extent().extents) * 72 / axes.figure.dpi,
    )


def _write(axes: Axes, label: Label) -> Annotation:
    text = axes.annotate(
        label.text, (label.x, label.y), (0, 0), textcoords="offset points", ha="center",
        va="center", fontsize=8, linespacing=1.05, zorder=5, color=INK,
        fontweight="bold" if label.bold else "normal",
        path_effects=[withStroke(linewidth=2.5, foreground="white")],
        arrowprops={"arrowstyle": "-", "color": QUIET, "linewidth": 0.7, "shrinkA": 1,
                    "shrinkB": label.size / 2},
    )  # fmt: skip
    text.set_in_layout(False)
    return text


def _grid() -> Boxes:
    """Return (P, 2) the places to try, in points from the mark; above comes first among equals."""
    steps = np.arange(-_REACH, _REACH + 1, _STEP, dtype=float)
    places = np.stack(np.meshgrid(steps, -steps), axis=-1)
    return places.reshape(-1, 2)


def _at(axes: Axes, points: Sequence[tuple[float, float]]) -> Boxes:
    """Return (K, 2) places in points (1/72 inch) of places in data."""
    pixels: Boxes = axes.transData.transform(np.array(points, dtype=float).reshape(-1, 2))
    return pixels * 72 / axes.figure.dpi


def _boxes(centres: Boxes, half: Boxes | float) -> Boxes:
    """Return boxes around centres (K, 2) or (2,)."""
    centres = np.atleast_2d(centres)
    return np.concatenate([centres - half, centres + half], axis=1)


def _gaps(boxes: Boxes, obstacles: Boxes) -> Boxes:
    """Return (K, L) the distance between boxes; negative by how much they cover each other."""
    a, b = boxes[:, None], obstacles[None]
    apart = np.maximum(b[..., :2] - a[..., 2:], a[..., :2] - b[..., 2:])
    outside: Boxes = np.hypot(*np.moveaxis(np.maximum(apart, 0.0), -1, 0))
    return np.where(outside > 0, outside, np.minimum(apart.max(axis=-1), 0.0))


def _costs(boxes: Boxes, index: int, scene: _Scene) -> NDArray[np.float64]:
    """Return (P,) what a label costs at each place, other labels apart."""
    gaps = _gaps(boxes, scene.labelled)
    other_gaps = np.delete(gaps, index, axis=1)
    nearest = other_gaps.min(axis=1) if other_gaps.shape[1] else np.full(len(boxes), np.inf)
    cost = gaps[:, index] + _DOUBT * np.maximum(0.0, gaps[:, index] + 6.0 - nearest)
    cost += _COVERS * (_gaps(boxes, scene.hard) < _AIR).sum(axis=1)
    cost += _TOUCHES * (_gaps(boxes, scene.soft) < 0.0).sum(axis=1)
    inside = (boxes[:, :2] >= scene.frame[:2] + _AIR) & (boxes[:, 2:] <= scene.frame[2:] - _AIR)
    return np.where(inside.all(axis=1), cost, np.inf)


def _settle(boxes: Sequence[Boxes], costs: Sequence[NDArray[np.float64]]) -> list[int]:
    """Return the place of each label, after all have moved one by one until none moves any more."""
    chosen = [int(cost.argmin()) for cost in costs]
    for _ in range(_ROUNDS):
        before = list(chosen)
        for index, cost in enumerate(costs):
            obstacles = [boxes[at][chosen[at]] for at in range(len(costs)) if at != index]
            covered = np.zeros(len(cost))
            if obstacles:
                covered = (_gaps(boxes[index], np.stack(obstacles)) < _AIR).sum(axis=1)
            chosen[index] = int((cost + _COVERS * covered).argmin())
        if chosen == before:
            break
    return chosen
