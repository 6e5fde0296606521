"""Accuracy against cost: every exit, the policy and its front, the twin, the paper."""

from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from endoexit.errors import counted
from endoexit.evaluation.document import Evaluation, EvaluationRow
from endoexit.evaluation.figures import percent, percent_with_interval, significant
from endoexit.evaluation.tables import row_name
from endoexit.reporting.mark_labels import Label, place_labels
from endoexit.reporting.material import Material
from endoexit.reporting.paper import PAPER
from endoexit.reporting.style import (
    INK,
    POLICY_COLOUR,
    QUIET,
    TWIN_COLOUR,
    Picture,
    draw,
    exit_style,
    percent_and_ends,
    percent_axis,
)

_LABEL_ROOM = 4.0  # points of accuracy above and below the marks


@dataclass(frozen=True)
class Cost:
    """What leaving costs: measured time, or multiply-adds where there is none to be trusted.

    Attributes:
        timed: Whether it is a time.
        unit: Unit, for people.
        label: Label of the axis.
    """

    timed: bool
    unit: str
    label: str

    def of(self, row: EvaluationRow) -> float:
        """Return the cost of an image under a row."""
        return row.time.ms if self.timed and row.time is not None else row.macs / 1e9


def cost_of(evaluation: Evaluation) -> Cost:
    """Return what is on the axis of costs; times that cannot be are not."""
    timing = evaluation.timing
    if timing is None or evaluation.times_fall:
        return Cost(False, "G multiply-adds", "multiply-adds of an image (G)")
    threads = counted(timing.threads, "thread")
    return Cost(True, "ms", f"time of an image (ms; {threads}, {timing.precision})")


@dataclass(frozen=True)
class Mark:
    """A point of the figure: cost, accuracy in percent, and whether it is the policy's own."""

    cost: float
    accuracy: float
    chosen: bool = False


def front_marks(material: Material, cost: Cost) -> list[Mark]:
    """Return the policy's front, as found on calibrate, at the costs measured here.

    The policy itself is one of its points, unless it is safer than all of them.
    """
    policy = material.policy
    if policy is None:
        return []
    referral = policy.referral
    unsure = referral.unsure.threshold if referral and referral.unsure else None
    each = [cost.of(row) for row in material.evaluation.rows if row.kind == "exit"]
    marks = [
        Mark(
            sum(s * c for s, c in zip(point.exit_shares, each, strict=True)),
            100 * point.accuracy,
            point.rule == policy.rule and point.unsure == unsure,
        )
        for point in policy.front
    ]
    return sorted(marks, key=lambda mark: mark.cost)


def paper_marks(evaluation: Evaluation, cost: Cost) -> list[Mark]:
    """Return the paper's exits, scaled to the network without exits here.

    Costs are multiples of the baseline's, accuracies its own plus the paper's differences. The
    baseline is the twin; without one it is the final exit, and so is that of the paper.
    """
    base = evaluation.rows[0] if evaluation.twin else evaluation.row("final")
    paper = [(point.time if cost.timed else point.operations, point.gain) for point in PAPER]
    scale, gain = (1.0, 0.0) if evaluation.twin else paper[-1]
    accuracy = base.scores.accuracy.value or 0.0
    return [
        Mark(cost.of(base) * share / scale, 100 * (accuracy + better - gain))
        for share, better in paper
    ]


def tradeoff(material: Material) -> Picture:
    """Draw accuracy against cost."""
    evaluation = material.evaluation
    cost = cost_of(evaluation)
    front = front_marks(material, cost)
    paper = paper_marks(evaluation, cost) if material.paper else []
    chosen = next((mark for mark in front if mark.chosen), None)
    base = "the twin" if evaluation.twin else "the final exit"
    caption = (
        f"On the {evaluation.role} images, with 95 % intervals. "
        + ("The star is the policy: its mean cost. " if evaluation.adaptive else "")
        + ("Small dots: the policies of the front, with their accuracy on the calibrate images, "
           "where they were found. " if front else "")
        + ("The hollow star is the same policy there. " if chosen else "")
        + (f"Grey diamonds: the exits of the paper’s Table 3, at their cost relative to HiFuse and "
           f"their gain over it, relative to {base} here. The paper’s images and classes are "
           "others." if paper else "")
    ).strip()  # fmt: skip
    parts = [
        f"{row_name(row)} {percent_with_interval(row.scores.accuracy)} % at "
        f"{significant(cost.of(row))} {cost.unit}"
        for row in evaluation.rows
    ]
    alt = f"Accuracy against cost. {'; '.join(parts)}."
    if front:
        alt += (
            f" The front on calibrate runs from {front[0].accuracy:.1f} % at "
            f"{significant(front[0].cost)} to {front[-1].accuracy:.1f} % at "
            f"{significant(front[-1].cost)} {cost.unit}."
        )
    if chosen:
        alt += (
            f" The policy was chosen at {chosen.accuracy:.1f} % at {significant(chosen.cost)} "
            f"{cost.unit} there."
        )

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        if front:
            _front(axes, front, chosen)
        if paper:
            axes.plot(
                [mark.cost for mark in paper], [mark.accuracy for mark in paper], "D",
                color="none", markeredgecolor=QUIET, markersize=5, zorder=1.5,
                label="exits of the paper, scaled",
            )  # fmt: skip
        labels = [_point(axes, row, cost) for row in evaluation.rows]
        axes.set_xlim(left=0)
        axes.margins(x=0.08)
        low, high = axes.get_ylim()
        axes.set_ylim(max(0, low - _LABEL_ROOM), min(104, high + _LABEL_ROOM))
        axes.set_xlabel(cost.label)
        axes.set_ylabel("accuracy (%)")
        percent_axis(axes)
        if front or paper:
            figure.legend(loc="outside upper left", ncols=2, handletextpad=0.4, columnspacing=1.2)
        marks = [*paper, *([chosen] if chosen else [])]
        place_labels(
            figure, axes, labels, [(mark.cost, mark.accuracy) for mark in marks],
            [(mark.cost, mark.accuracy) for mark in front],
        )  # fmt: skip

    return draw(
        "accuracy-cost", (5.4, 3.8), paint, alt=alt, caption=caption,
        source=material.evaluation_file.name, synthetic=material.synthetic,
    )  # fmt: skip


def _front(axes: Axes, front: list[Mark], chosen: Mark | None) -> None:
    axes.plot(
        [mark.cost for mark in front], [mark.accuracy for mark in front], "o", color=QUIET,
        markersize=2.4, zorder=1.2, label="front of the policies, on calibrate",
    )  # fmt: skip
    if chosen is not None:
        axes.plot(
            [chosen.cost], [chosen.accuracy], "*", color="white", markeredgecolor=POLICY_COLOUR,
            markeredgewidth=1.1, markersize=10, zorder=3.5, label="the policy, on calibrate",
        )  # fmt: skip


def _point(axes: Axes, row: EvaluationRow, cost: Cost) -> Label:
    """Draw a row with its interval; return the label that it still needs."""
    accuracy = row.scores.accuracy
    x, (y, low, high) = cost.of(row), percent_and_ends(accuracy)
    if row.kind == "adaptive":
        colour, marker, size = POLICY_COLOUR, "*", 13
    elif row.kind == "twin":
        colour, marker, size = TWIN_COLOUR, "x", 7
    else:
        style = exit_style(row.exit or 1)
        colour, marker, size = style.colour, style.marker, 8
    axes.errorbar(
        x, y, [[max(0.0, y - low)], [max(0.0, high - y)]], fmt=marker, color=colour,
        markersize=size, markeredgecolor=None if marker == "x" else INK, markeredgewidth=1.6
        if marker == "x" else 0.6, elinewidth=1.1, capsize=2.5,
        zorder=3 if row.kind == "exit" else 4,
    )  # fmt: skip
    return Label(
        f"{row_name(row)}\n{percent(accuracy.value)}", x, y, low, high, size, row.kind == "adaptive"
    )
