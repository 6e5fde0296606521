"""Class by class: confusion matrices, sensitivity and specificity."""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from endoexit.evaluation.document import EvaluationRow
from endoexit.evaluation.figures import percent
from endoexit.reporting.material import Material
from endoexit.reporting.style import (
    FAINT,
    INK,
    POLICY_COLOUR,
    QUIET,
    SHARES,
    Picture,
    draw,
    percent_and_ends,
    percent_axis,
)
from endoexit.reporting.words import elided

_NUMBERED = 12  # up to so many classes a cell has room for its number
_NAMED = 20  # and columns for names; beyond that they are numbered
_NAME = 22


def row_title(row: EvaluationRow) -> str:
    """Return what answers: "policy" or "final exit"."""
    return {"adaptive": "policy", "final": "final exit"}.get(row.name, row.name)


def confusion_matrix(material: Material, row: EvaluationRow) -> Picture:
    """Draw the confusion matrix of one row: a line for each true class, adding up to 100 %."""
    evaluation = material.evaluation
    names = evaluation.classes
    counts = np.array(row.scores.confusion)
    totals = counts.sum(axis=1, keepdims=True)
    shares = counts / np.where(totals > 0, totals, 1)
    alt = f"Confusion matrix of the {row_title(row)}. {_largest_confusions(counts, names)}"
    many = len(names) > _NAMED
    number = {name: f"{index}" for index, name in enumerate(names, start=1)}

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        image = axes.imshow(shares, cmap=SHARES, vmin=0, vmax=1, aspect="equal")
        short = [elided(name, _NAME) for name in names]
        rows = [f"{name}  {number[full]}" for name, full in zip(short, names, strict=True)]
        axes.set_yticks(range(len(names)), rows if many else short)
        axes.set_xticks(range(len(names)), list(number.values()) if many else short)
        axes.tick_params(length=0, labelsize=8 if len(names) <= _NAMED else 7)
        if not many:
            axes.tick_params(axis="x", labelrotation=40)
            for label in axes.get_xticklabels():
                label.set(ha="right", rotation_mode="anchor")
        axes.set_xlabel("answer")
        axes.set_ylabel("true class")
        axes.set_title(row_title(row))
        axes.spines[:].set(visible=True, color=FAINT)
        if len(names) <= _NUMBERED:
            for (true, answer), count in np.ndenumerate(counts):
                if count:
                    axes.text(
                        answer, true, f"{count}", ha="center", va="center",
                        fontsize=8.5 if len(names) <= 8 else 7,
                        color="white" if shares[true, answer] > 0.5 else INK,
                    )  # fmt: skip
        bar = figure.colorbar(image, ax=axes, shrink=0.7, format=PercentFormatter(1, 0))
        bar.set_label("share of the true class")
        bar.outline.set_visible(False)

    side = 1.1 + (
        0.42 if len(names) <= 6 else 0.33 if len(names) <= _NUMBERED else 0.3 if not many else 0.19
    ) * len(names)
    side = max(side, 2.2)
    return draw(
        f"confusion-{row.name.replace(' ', '-')}", (side + 1.7, side + (0.3 if many else 1.0)),
        paint, alt=alt,
        caption=f"{row_title(row).capitalize()}: rows are the true class, columns the answer"
        + ("; cells hold numbers of images." if len(names) <= _NUMBERED else
           "; columns are numbered as the rows." if many else "."),
        source=material.evaluation_file.name, synthetic=material.synthetic,
    )  # fmt: skip


def _largest_confusions(counts: np.ndarray, names: tuple[str, ...], most: int = 3) -> str:
    wrong = counts - np.diag(counts.diagonal())
    order = np.argsort(-wrong, axis=None, kind="stable")[:most]
    pairs = [np.unravel_index(flat, wrong.shape) for flat in order]
    confusions = [
        f"{names[true]} taken for {names[answer]} {wrong[true, answer]} times"
        for true, answer in pairs
        if wrong[true, answer]
    ]
    right, total = int(counts.trace()), int(counts.sum())
    text = f"{right} of {total} images are right"
    return f"{text}; most often confused: {', '.join(confusions)}." if confusions else f"{text}."


def class_figures(material: Material) -> list[Picture]:
    """Draw sensitivity and specificity of each class: policy next to final exit."""
    return [
        _class_figure(material, "sensitivity", "share of the class that is named"),
        _class_figure(material, "specificity", "share of all others that is not taken for it"),
    ]


def _class_figure(material: Material, score: str, meaning: str) -> Picture:
    evaluation = material.evaluation
    rows = [evaluation.row("final")]
    if evaluation.adaptive:
        rows.append(evaluation.row("adaptive"))
    names = evaluation.classes
    parts = [
        f"{entry.name} {percent(getattr(entry, score).value)} %"
        for entry in rows[-1].scores.classes[:10]
    ]
    more = f"; {len(names) - 10} more in the table" if len(names) > 10 else ""
    alt = f"{score.capitalize()} of the {row_title(rows[-1])}: {', '.join(parts)}{more}."

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        for index, row in enumerate(rows):
            policy = row.kind == "adaptive"
            shift = 0.0 if len(rows) == 1 else 0.16 if policy else -0.16
            points = [
                (place + shift, *percent_and_ends(getattr(entry, score)))
                for place, entry in enumerate(row.scores.classes)
                if getattr(entry, score).value is not None
            ]
            if not points:
                continue
            y, value, low, high = np.array(points).T
            axes.errorbar(
                value, y, xerr=(value - low, high - value), fmt="o" if policy else "s",
                color=POLICY_COLOUR if policy else QUIET, label=row_title(row), markersize=5,
                markerfacecolor=POLICY_COLOUR if policy else "white", elinewidth=1.2, capsize=2,
                zorder=3 - index,
            )  # fmt: skip
        axes.set_yticks(range(len(names)), [elided(name, _NAME) for name in names])
        axes.set_ylim(len(names) - 0.4, -0.6)
        axes.set_xlim(-2, 102)
        axes.set_xlabel(f"{score} (%)")
        axes.tick_params(axis="y", length=0)
        percent_axis(axes, "x")
        figure.legend(loc="outside upper left", ncols=2, handletextpad=0.3, columnspacing=1.2)

    return draw(
        score, (4.6, 1.25 + 0.3 * max(2, len(names))), paint, alt=alt,
        caption=f"{score.capitalize()}, {meaning}, with exact 95 % intervals.",
        source=material.evaluation_file.name, synthetic=material.synthetic,
    )  # fmt: skip
