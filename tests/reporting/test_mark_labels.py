"""Labels of the figure of costs, measured as they were drawn."""

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Annotation, Text

from endoexit.evaluation.estimates import Estimate, Interval
from endoexit.reporting import tradeoff as module
from report_material import make_material

# (multiply-adds in G, accuracy, low, high) of exits 1 to 3, the final exit and the policy.
FEW_IMAGES = ((0.08, 25, 6, 47), (0.17, 25, 6, 47), (0.27, 37.5, 13, 63), (0.36, 62.5, 37, 88),
              (0.18, 50, 25, 80))  # fmt: skip
CROWDED = ((0.30, 90, 85, 95), (0.31, 91, 86, 96), (0.32, 92, 87, 97), (0.33, 91, 86, 96),
           (0.315, 91, 86, 96))  # fmt: skip
ALL_RIGHT = ((0.1, 100, 70, 100), (0.2, 100, 70, 100), (0.3, 100, 70, 100), (0.4, 100, 70, 100),
             (0.1, 100, 70, 100))  # fmt: skip
NONE_RIGHT = ((0.1, 0, 0, 30), (0.2, 0, 0, 30), (0.3, 0, 0, 30), (0.4, 0, 0, 30),
              (0.4, 0, 0, 30))  # fmt: skip


def material_of(points):
    material = make_material(timed=False, images=8)
    rows = []
    for row, (macs, value, low, high) in zip(material.evaluation.rows, points, strict=True):
        interval = Interval(low=low / 100, high=high / 100, method="made up")
        accuracy = Estimate(value=value / 100, interval=interval)
        scores = row.scores.model_copy(update={"accuracy": accuracy})
        rows.append(row.model_copy(update={"macs": macs * 1e9, "scores": scores}))
    evaluation = material.evaluation.model_copy(update={"rows": tuple(rows)})
    return replace(material, evaluation=evaluation)


def drawn(material, monkeypatch):
    """Return the figure as `draw` leaves it."""
    figures, real = [], module.draw

    def spy(name, size, paint, **about):
        def kept(figure):
            paint(figure)
            figures.append(figure)

        return real(name, size, kept, **about)

    monkeypatch.setattr(module, "draw", spy)
    module.tradeoff(material)
    (figure,) = figures
    FigureCanvasAgg(figure).draw()
    return figure


def boxes_of(figure):
    """Return the boxes of labels, marks and bars, in pixels: left, bottom, right, top."""
    (axes,) = figure.axes
    texts = [child for child in axes.get_children() if isinstance(child, Annotation)]
    labels = np.array([Text.get_window_extent(text).extents for text in texts])
    marks = []
    for line in axes.lines:
        if line.get_marker() in {"None", "none", "", "_"}:
            continue
        half = line.get_markersize() / 2 * figure.dpi / 72
        centres = axes.transData.transform(line.get_xydata())
        marks.append(np.concatenate([centres - half, centres + half], axis=1))
    bars = [
        axes.transData.transform(segment).ravel()
        for container in axes.containers
        for segment in container[2][0].get_segments()
    ]
    return labels, np.concatenate(marks), np.array(bars), np.array(axes.get_window_extent().extents)


def overlap(a, b):
    return (a[:, None, :2] < b[None, :, 2:]).all(-1) & (b[None, :, :2] < a[:, None, 2:]).all(-1)


@pytest.mark.parametrize("synthetic", [False, True])
@pytest.mark.parametrize("points", [FEW_IMAGES, CROWDED, ALL_RIGHT, NONE_RIGHT])
def test_labels_cover_nothing_and_stay_inside(points, synthetic, monkeypatch, tmp_path):
    if synthetic:
        (tmp_path / "phantom.json").write_text("{}")
    material = replace(material_of(points), images=tmp_path, paper=True)
    labels, marks, bars, frame = boxes_of(drawn(material, monkeypatch))
    assert (len(labels), len(bars)) == (5, 5)
    assert len(marks) == 5 + 4, "the paper's exits too"
    assert not np.triu(overlap(labels, labels), 1).any()
    assert not overlap(labels, marks).any()
    assert not overlap(labels, bars).any()
    assert (labels[:, :2] >= frame[:2]).all()
    assert (labels[:, 2:] <= frame[2:]).all()


def test_a_label_is_nearest_to_its_own_mark(monkeypatch):
    figure = drawn(material_of(FEW_IMAGES), monkeypatch)
    labels, _, _, _ = boxes_of(figure)
    places = figure.axes[0].transData.transform([(macs, value) for macs, value, *_ in FEW_IMAGES])
    outside = np.maximum(labels[:, None, :2] - places, places - labels[:, None, 2:]).clip(0)
    distance = np.hypot(outside[..., 0], outside[..., 1])
    assert distance.argmin(axis=1).tolist() == [0, 1, 2, 3, 4]


def test_a_label_far_from_its_mark_is_joined_to_it(monkeypatch):
    def joined(points):
        axes = drawn(material_of(points), monkeypatch).axes[0]
        texts = [child for child in axes.get_children() if isinstance(child, Annotation)]
        return sum(text.arrow_patch.get_visible() for text in texts)

    assert joined(FEW_IMAGES) == 0
    assert joined(CROWDED) > 0
