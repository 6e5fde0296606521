"""Accuracy and cost on changed images: one line for each change, weak to strong."""

from dataclasses import replace
from operator import attrgetter

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from endoexit.evaluation.corruptions import CORRUPTIONS, STRENGTHS
from endoexit.evaluation.robustness import FILE, Robustness
from endoexit.reporting.style import INK, Picture, draw, exit_style

_SIZE = (7.4, 3.4)


def changed_images(robustness: Robustness, *, synthetic: bool) -> Picture:
    """Draw what each change does to accuracy (left) and cost (right)."""
    clean, exits = robustness.rows[0], len(robustness.rows[0].shares)
    strongest = ", ".join(
        f"{change} {100 * (robustness.of(change)[-1].accuracy.value or 0):.1f} %"
        for change in CORRUPTIONS
    )
    alt = (
        f"Accuracy without a change {100 * (clean.accuracy.value or 0):.1f} %; at the highest "
        f"strength: {strongest}."
    )

    def paint(figure: Figure) -> None:
        panels = figure.subplots(1, 2 if exits > 1 else 1, squeeze=False)[0]
        _lines(panels[0], robustness, "accuracy.value", "accuracy of the policy (%)")
        if exits > 1:
            _lines(panels[1], robustness, "cost", "mean cost (% of the final exit)")
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper left", ncols=len(CORRUPTIONS))

    return draw(
        "changed-images", _SIZE, paint, alt=alt, source=FILE, synthetic=synthetic,
        caption="Strength 0 is the image as it is. A changed image should cost more, not exit "
        "early with a wrong answer.",
    )  # fmt: skip


def _lines(axes: Axes, robustness: Robustness, value: str, label: str) -> None:
    take = attrgetter(value)
    for number, change in enumerate(CORRUPTIONS, start=1):
        style, rows = exit_style(number), (robustness.rows[0], *robustness.of(change))
        if number == len(CORRUPTIONS):  # the styles repeat after six
            style = replace(style, colour=INK, marker="X")
        axes.plot(
            (0, *STRENGTHS), [100 * (take(row) or 0.0) for row in rows], linestyle=style.dash,
            color=style.colour, marker=style.marker, markersize=4.5, markeredgecolor=INK,
            markeredgewidth=0.4, label=change,
        )  # fmt: skip
    axes.set(xlabel="strength of the change", ylabel=label, xticks=(0, *STRENGTHS))
    axes.set_ylim(0, 102)
    axes.grid(visible=True, axis="y")
