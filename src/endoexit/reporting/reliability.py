"""Is an exit as often right as it says? Reliability diagrams before and after temperature."""

from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from endoexit.evaluation.figures import significant
from endoexit.evaluation.intervals import exact_interval
from endoexit.policy import softmax
from endoexit.policy.temperature import CALIBRATION_BINS, negative_log_likelihood, ranking_auroc
from endoexit.reporting.material import Absent, Material
from endoexit.reporting.style import FAINT, INK, QUIET, Picture, draw, exit_style

_SIZE = (2.6, 3.1)

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Bins:
    """Images in bins of equal width of the largest probability.

    Attributes:
        counts: Number (B,) of images.
        sure: Mean (B,) of their largest probability; NaN in an empty bin.
        right: Accuracy (B,); NaN in an empty bin.
    """

    counts: NDArray[np.int64]
    sure: Floats
    right: Floats

    @property
    def ece(self) -> float:
        """Expected calibration error: `|accuracy − confidence|`, weighted by images."""
        gaps = np.abs(np.nan_to_num(self.right) - np.nan_to_num(self.sure))
        return float((gaps * self.counts).sum() / self.counts.sum())


def bins_of(sure: Floats, right: NDArray[np.bool_], bins: int = CALIBRATION_BINS) -> Bins:
    """Sort images into bins, as the expected calibration error does.

    Args:
        sure: Largest probability (N,).
        right: Whether each answer (N,) is right.
        bins: Number of bins.
    """
    place = np.clip(np.ceil(sure * bins).astype(int) - 1, 0, bins - 1)
    counts = np.bincount(place, minlength=bins)
    filled = np.where(counts > 0, counts, np.nan)
    return Bins(
        counts=counts,
        sure=np.bincount(place, weights=sure, minlength=bins) / filled,
        right=np.bincount(place, weights=right, minlength=bins) / filled,
    )


@dataclass(frozen=True, eq=False)
class ExitReliability:
    """One exit on the evaluated images.

    Attributes:
        number: Number of the exit.
        name: Name of the exit.
        temperature: Fitted temperature; None where there is none, or no logits to apply it to.
        before: Bins at temperature 1.
        after: Bins at the fitted temperature; None without one.
        nll: Mean negative log likelihood in nats, before and after.
        auroc: How well the largest probability ranks right before wrong answers, before and after.
    """

    number: int
    name: str
    temperature: float | None
    before: Bins
    after: Bins | None
    nll: tuple[float | None, float | None]
    auroc: tuple[float | None, float | None]


def no_temperatures(material: Material) -> str | None:
    """Return why there is nothing to show after temperature scaling; None where there is."""
    policy = material.policy
    if policy is None:
        return "There is no exit policy, so no temperature was fitted."
    if all(temperature == 1.0 for temperature in policy.temperatures):
        return (
            "The evaluated policy has no fitted temperatures. `endoexit calibrate` fits them; "
            "evaluate again after it."
        )
    return material.logits.reason if isinstance(material.logits, Absent) else None


def measure_reliability(material: Material) -> list[ExitReliability]:
    """Return the reliability of each exit on the evaluated images."""
    labels = np.array(material.evaluation.images.labels)
    scaled = no_temperatures(material) is None
    reliabilities = []
    for row in (row for row in material.evaluation.rows if row.kind == "exit"):
        number = row.exit or 1
        sure, right = np.array(row.confidence), np.array(row.predicted) == labels
        temperature, after = None, None
        likelihoods: list[float | None] = [None, None]
        ranks = [ranking_auroc(sure, right), None]
        if not isinstance(material.logits, Absent):
            logits = material.logits[number - 1]
            likelihoods[0] = negative_log_likelihood(logits, labels)
            if scaled and material.policy is not None:
                temperature = material.policy.temperatures[number - 1]
                scaled_sure = softmax(logits, temperature).max(axis=1)
                after = bins_of(scaled_sure, right)
                likelihoods[1] = negative_log_likelihood(logits, labels, temperature)
                ranks[1] = ranking_auroc(scaled_sure, right)
        reliabilities.append(
            ExitReliability(
                number,
                row.name,
                temperature,
                bins_of(sure, right),
                after,
                (likelihoods[0], likelihoods[1]),
                (ranks[0], ranks[1]),
            )
        )
    return reliabilities


def reliability_diagrams(material: Material, exits: list[ExitReliability]) -> list[Picture]:
    """Draw one diagram for each exit."""
    return [_diagram(material, reliability) for reliability in exits]


def _diagram(material: Material, reliability: ExitReliability) -> Picture:
    style, before = exit_style(reliability.number), significant(reliability.before.ece)
    alt = f"Reliability of {reliability.name}: ECE {before} at temperature 1"
    caption = f"ECE {before}"
    if reliability.after is not None and reliability.temperature is not None:
        after, temperature = (
            significant(reliability.after.ece),
            significant(reliability.temperature),
        )
        alt += f", {after} at the fitted temperature {temperature}"
        caption += f" before, {after} after T = {temperature}"
    shown = reliability.after or reliability.before
    top = int(np.argmax(shown.counts))
    alt += (
        f". Most images ({shown.counts[top] / shown.counts.sum():.0%}) have a confidence of about "
        f"{shown.sure[top]:.2f} and are right in {shown.right[top]:.0%}."
    )

    def paint(figure: Figure) -> None:
        axes, below = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
        axes.plot([0, 100], [0, 100], color=FAINT, linewidth=1.2, zorder=0.5)
        if reliability.after is None:
            _bins(axes, reliability.before, style.colour, "T = 1", filled=True)
        else:
            _bins(axes, reliability.before, QUIET, "before", filled=False)
            _bins(axes, reliability.after, style.colour, "after", filled=True)
        axes.set_ylim(0, 102)
        axes.set_xlim(0, 101)
        axes.set_ylabel("right answers (%)")
        axes.set_title(reliability.name)
        axes.legend(loc="lower right", borderpad=0, handlelength=2.2)
        share = 100 * shown.counts / shown.counts.sum()
        edges = 100 * np.arange(CALIBRATION_BINS) / CALIBRATION_BINS
        below.bar(
            edges, share, 100 / CALIBRATION_BINS, align="edge", color=style.colour,
            edgecolor="white", linewidth=0.5,
        )  # fmt: skip
        below.set_ylabel("images (%)")
        below.set_xlabel("largest probability (%)")
        figure.align_ylabels()

    return draw(
        f"reliability-{reliability.name.replace(' ', '-')}", _SIZE, paint, alt=alt, caption=caption,
        source=material.evaluation.run.logits, synthetic=material.synthetic,
    )  # fmt: skip


def _bins(axes: Axes, bins: Bins, colour: str, label: str, *, filled: bool) -> None:
    """Draw bins: filled marks with their intervals, or hollow ones on a dashed line."""
    used = np.flatnonzero(bins.counts)
    sure, right = 100 * bins.sure[used], 100 * bins.right[used]
    axes.plot(
        sure, right, color=colour, marker="o" if filled else "s",
        linestyle="-" if filled else (0, (2, 1.5)), markersize=5, label=label, linewidth=1.3,
        markeredgecolor=INK if filled else colour, markeredgewidth=0.6 if filled else 1.1,
        markerfacecolor=colour if filled else "white", zorder=3 if filled else 2,
    )  # fmt: skip
    if not filled:
        return
    ends = [
        exact_interval(round(share * count / 100), int(count))
        for share, count in zip(right, bins.counts[used], strict=True)
    ]
    axes.vlines(
        sure, [100 * end.low for end in ends], [100 * end.high for end in ends], color=colour,
        linewidth=0.9, zorder=1,
    )  # fmt: skip
