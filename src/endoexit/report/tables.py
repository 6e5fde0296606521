"""The tables of the page, as text in cells."""

from collections.abc import Sequence
from dataclasses import dataclass

from endoexit.errors import counted
from endoexit.evaluation.document import Row
from endoexit.evaluation.figures import (
    MISSING,
    percent_with_interval,
    significant,
)
from endoexit.policy.temperature import CALIBRATION_BINS
from endoexit.report.classes import row_title
from endoexit.report.masks import MaskStudy
from endoexit.report.material import Absent, Material
from endoexit.report.reliability import ExitReliability
from endoexit.report.words import (
    percent,
    points,
    score,
)

_POLICY_TIME = (
    ". The time of the policy is no median: it is the mean of the exits’ medians, weighed by the "
    "images that leave there, beside the 10th percentile of the quickest exit and the 90th of the "
    "slowest"
)


@dataclass(frozen=True)
class Table:
    """A table of the page.

    Attributes:
        caption: what it shows.
        columns: headings; the first is that of the row headings.
        rows: cells, the first is the row's heading.
        texts: so many leading columns are text, the others numbers.
    """

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    texts: int = 1


def exit_table(material: Material) -> Table:
    """Return the table in the shape of the paper's Table 3."""
    evaluation = material.evaluation
    base = evaluation.rows[0] if evaluation.twin else evaluation.row("final")
    timed = evaluation.timing is not None and base.time is not None
    columns = ["all images leave at", "accuracy, % [95 % CI]", "beside final, points"]
    columns += ["time, ms (10th–90th percentile)", "ratio"] if timed else []
    columns += ["parameters, M", "multiply-adds, G"]
    columns += ["leave here under the policy, %"] if evaluation.adaptive else []
    rows = []
    for row in evaluation.rows:
        cells = [_name(row), percent_with_interval(row.scores.accuracy)]
        cells.append(points(row.beside_final))
        if timed:
            cells += [_time(row), _ratio(row, base)]
        cells += [significant(row.parameters / 1e6), significant(row.macs / 1e9)]
        if evaluation.adaptive:
            cells.append(percent(row.share))
        rows.append(tuple(cells))
    against = "the twin" if evaluation.twin else "the final exit"
    caption = f"Accuracy and cost on {len(evaluation.images.paths)} {evaluation.role} images"
    caption += f"; the ratio is to {against}" if timed else ""
    caption += _POLICY_TIME if timed and evaluation.adaptive else ""
    return Table(caption, tuple(columns), tuple(rows))


def _name(row: Row) -> str:
    names = {"adaptive": "policy (mean)", "twin": "twin: the network without exits"}
    return names.get(row.kind, row.name)


def _time(row: Row) -> str:
    if row.time is None:
        return MISSING
    ends = f"{significant(row.time.low_ms)}–{significant(row.time.high_ms)}"
    return f"{significant(row.time.ms)} ({ends})"


def _ratio(row: Row, base: Row) -> str:
    if row.time is None or base.time is None:
        return MISSING
    return significant(row.time.ms / base.time.ms)


def score_table(material: Material) -> Table:
    """Return the other scores of every row."""
    return Table(
        f"Other scores. ECE: {CALIBRATION_BINS} bins of the largest probability. AUROC: one class "
        "against the rest. Sureness: how well the largest probability ranks right before wrong "
        "answers",
        ("answers", "macro F1 [95 % CI]", "MCC [95 % CI]", "ECE", "AUROC", "AUROC of sureness"),
        tuple(
            (
                "policy" if row.kind == "adaptive" else _name(row),
                score(row.scores.macro_f1),
                score(row.scores.mcc),
                score(row.scores.ece),
                score(row.scores.auroc),
                score(row.scores.confidence_auroc),
            )
            for row in material.evaluation.rows
        ),
    )


def reference_table(material: Material) -> Table | None:
    """Return the policy beside the oracle and chance; None with one exit."""
    evaluation = material.evaluation
    adaptive = evaluation.adaptive
    if adaptive is None:
        return None
    policy = evaluation.row("adaptive")
    timed = policy.time is not None
    rows = [
        ["policy", percent_with_interval(policy.scores.accuracy), MISSING,
         *([_ms(policy.time.ms)] if policy.time else []), significant(policy.macs / 1e9)],
    ]  # fmt: skip
    for name, other in (("oracle", adaptive.oracle), ("random", adaptive.random)):
        cells = [name, percent_with_interval(other.accuracy), points(other.gap)]
        cells += [_ms(other.ms)] if timed else []
        rows.append([*cells, significant(other.macs / 1e9)])
    columns = ["rule", "accuracy, % [95 % CI]", "policy minus it, points"]
    columns += ["time, ms"] if timed else []
    return Table(
        "What the same exits could do. Oracle: each image at the first exit that is right. Random: "
        "as many images at each exit, but drawn at random",
        (*columns, "multiply-adds, G"),
        tuple(map(tuple, rows)),
    )


def _ms(value: float | None) -> str:
    return MISSING if value is None else significant(value)


def promise_table(material: Material) -> Table | None:
    """Return each promise beside what the evaluated images show; None where none was made."""
    adaptive = material.evaluation.adaptive
    if adaptive is None or not adaptive.promises:
        return None
    words = {True: "kept", False: "VIOLATED", None: "nothing seen"}
    role = material.evaluation.role
    return Table(
        f"Promises of the policy, made on certify, beside the {role} images",
        ("promise", "here", "with probability", "on certify, %", f"on {role}, % [95 % CI]",
         "counted here"),
        tuple(
            (
                f"{shown.promise.risk.label} ≤ {shown.promise.risk.tolerance:g}",
                words[shown.kept],
                f"{1 - shown.promise.delta:g}",
                f"{percent(shown.promise.observed)} of "
                + counted(shown.promise.images, shown.promise.unit),
                percent_with_interval(shown.observed),
                counted(shown.units, shown.promise.unit),
            )
            for shown in adaptive.promises
        ),
        texts=2,
    )  # fmt: skip


def share_table(material: Material) -> Table | None:
    """Return who leaves where, by class; None with one exit."""
    adaptive = material.evaluation.adaptive
    if adaptive is None:
        return None
    exits = tuple(material.exit_name(k) for k in range(1, material.num_exits + 1))
    rows = [("all images", adaptive.shares), *adaptive.shares_by_class.items()]
    return Table(
        "Share of the images that leaves at each exit, %",
        ("true class", *exits),
        tuple((name, *map(percent, shares)) for name, shares in rows),
    )


def reliability_table(exits: Sequence[ExitReliability], *, scaled: bool) -> Table:
    """Return temperature, ECE, likelihood and ranking of each exit, before and after."""

    def change(pair: tuple[float | None, float | None]) -> str:
        before, after = (MISSING if value is None else f"{value:.3f}" for value in pair)
        return f"{before} → {after}" if scaled else before

    return Table(
        "Calibration of each exit, "
        + ("before → after its temperature" if scaled else "at T = 1"),
        ("exit", "temperature", "ECE", "mean NLL, nats", "AUROC of sureness"),
        tuple(
            (
                found.name,
                MISSING if found.temperature is None else f"{found.temperature:.3f}",
                change((found.before.ece, None if found.after is None else found.after.ece)),
                change(found.nll),
                change(found.auroc),
            )
            for found in exits
        ),
    )  # fmt: skip


def class_table(material: Material) -> Table:
    """Return sensitivity and specificity of each class, for the policy and the final exit."""
    evaluation = material.evaluation
    rows = [evaluation.row(material.answers)]
    rows += [evaluation.row("final")] if evaluation.adaptive else []
    columns = ["class", "images"]
    for row in rows:
        columns += [f"{row_title(row)}: sensitivity, %", f"{row_title(row)}: specificity, %"]
    return Table(
        "Classes, with exact 95 % intervals",
        tuple(columns),
        tuple(
            (
                entry.name,
                str(entry.images),
                *(
                    percent_with_interval(getattr(row.scores.classes[index], score))
                    for row in rows
                    for score in ("sensitivity", "specificity")
                ),
            )
            for index, entry in enumerate(rows[0].scores.classes)
        ),
    )


def role_table(material: Material) -> Table | None:
    """Return how many images of each class have which role; None where nobody knows."""
    if isinstance(material.split, Absent):
        return None
    counts = material.split.get("counts")
    if not isinstance(counts, dict) or not all(isinstance(c, dict) for c in counts.values()):
        return None
    classes = material.evaluation.classes
    rows = [(name, *(str(of.get(name, 0)) for of in counts.values())) for name in classes]
    rows.append(("all", *(str(sum(of.values())) for of in counts.values())))
    groups = material.split.get("groups")
    if isinstance(groups, dict):
        rows.append(("groups", *(str(groups.get(role, MISSING)) for role in counts)))
    return Table("Images of each class and role", ("class", *counts), tuple(rows))


def mask_table(study: MaskStudy) -> Table:
    """Return the share of the attention inside the masks, for each exit."""
    kinds = {"cbam": "CBAM", "attention": "its own", "grad-cam": "Grad-CAM"}
    return Table(
        "Attention inside the masks, 95 % intervals over groups",
        ("exit", "attention", "inside the mask, %", "mask’s share of the field, %",
         "difference, points", "images"),
        tuple(
            (
                found.name,
                kinds[found.kind],
                percent_with_interval(found.inside),
                percent_with_interval(found.area),
                points(found.gain),
                str(found.images),
            )
            for found in study.exits
        ),
        texts=2,
    )  # fmt: skip
