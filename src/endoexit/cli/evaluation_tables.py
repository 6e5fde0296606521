"""An evaluation as tables for people; shared by `evaluate` and `demo`."""

from collections import defaultdict
from collections.abc import Iterator
from typing import TYPE_CHECKING

from endoexit.cli.tables import compact_table, cost_in_words, paragraph
from endoexit.errors import counted

if TYPE_CHECKING:
    from rich.table import Table

    from endoexit.cli.console import Output
    from endoexit.evaluation.document import (
        Adaptive,
        Estimate,
        Evaluation,
        PromiseShown,
        Row,
    )

MISSING = "–"
REFERENCES = (
    "Oracle: each image at the first exit that is right. Random: as many images at each exit, but "
    "drawn at random."
)
SCORES = (
    "ECE: 15 bins of the largest probability. AUROC: one class against the rest. AUROC of "
    "sureness: how well the largest probability ranks right answers before wrong ones."
)


def print_evaluation(output: "Output", found: "Evaluation") -> None:
    """Print the tables of an evaluation and what a reader must know about them."""
    output.say(main_table(found), *map(paragraph, _facts(found)), "")
    output.say(score_table(found), paragraph(SCORES), *map(paragraph, _notes(found)), "")
    output.say(difference_table(found), class_table(found.rows[-1]))
    if found.adaptive:
        output.say(
            share_table(found.adaptive), reference_table(found.row("adaptive"), found.adaptive)
        )
        output.say(paragraph(REFERENCES))
        if found.adaptive.promises:
            output.say("", promise_table(found.adaptive, found.role))
        output.say(*map(paragraph, _about_policy(found)))


def main_table(found: "Evaluation") -> "Table":
    """Return the table in the shape of the paper's Table 3."""
    baseline = found.rows[0] if found.twin else found.row("final")
    columns = ["model", "accuracy % [95 % CI]"]
    columns += ["ms", "ratio"] if found.timing else []
    columns += ["params\n(M)", "MACs\n(G)", "share\n%"]
    rows = []
    for row in found.rows:
        cells = [row.name, _interval(row.scores.accuracy, percent=True)]
        if found.timing:
            cells += [_ms(row), _ratio(row, baseline)]
        cells += [_significant(row.parameters / 1e6), _significant(row.macs / 1e9)]
        rows.append([*cells, MISSING if row.share is None else f"{100 * row.share:.1f}"])
    title = f"{found.run.model}: {len(found.images.paths)} {found.role} images"
    return compact_table(title, columns, rows)


def score_table(found: "Evaluation") -> "Table":
    """Return the other scores of every row."""
    return compact_table(
        "Scores",
        ("model", "macro F1 [95 % CI]", "MCC [95 % CI]", "ECE", "AUROC", "AUROC of\nsureness"),
        (
            (
                row.name,
                _interval(row.scores.macro_f1),
                _interval(row.scores.mcc),
                _number(row.scores.ece),
                _number(row.scores.auroc),
                _number(row.scores.confidence_auroc),
            )
            for row in found.rows
        ),
    )


def difference_table(found: "Evaluation") -> "Table":
    """Return how much more accurate each row is than the final exit and the twin."""
    columns = ["model", "minus final [95 % CI]"] + ["minus twin [95 % CI]"] * bool(found.twin)
    rows = []
    for row in found.rows:
        cells = [row.name, _points(row.beside_final)]
        rows.append(cells + [_points(row.beside_twin)] * bool(found.twin))
    return compact_table("Accuracy beside the others, in points, same images", columns, rows)


def class_table(row: "Row") -> "Table":
    """Return sensitivity and specificity of each class."""
    return compact_table(
        f"Classes, {row.name} [95 % CI, exact binomial]",
        ("class", "images", "sensitivity %", "specificity %"),
        (
            (
                entry.name,
                str(entry.images),
                _interval(entry.sensitivity, percent=True),
                _interval(entry.specificity, percent=True),
            )
            for entry in row.scores.classes
        ),
    )


def share_table(adaptive: "Adaptive") -> "Table":
    """Return the share of images that leaves at each exit, for each class and for all."""
    exits = [f"exit {number}" for number in range(1, len(adaptive.shares))]
    shares = [*adaptive.shares_by_class.items(), ("all", adaptive.shares)]
    return compact_table(
        "Who leaves where under the adaptive rule, %",
        ("class", *exits, "final"),
        ((name, *(f"{100 * share:.1f}" for share in of_class)) for name, of_class in shares),
    )


def reference_table(row: "Row", adaptive: "Adaptive") -> "Table":
    """Return the adaptive rule beside other uses of the same exits."""
    timed = row.time is not None
    columns = ["rule", "accuracy % [95 % CI]", "adaptive minus it", *["ms"] * timed, "MACs\n(G)"]
    own = [row.name, _interval(row.scores.accuracy, percent=True), MISSING]
    rows = [[*own, *[_ms(row)] * timed, _significant(row.macs / 1e9)]]
    for name, other in (("oracle", adaptive.oracle), ("random", adaptive.random)):
        cells = [name, _interval(other.accuracy, percent=True), _points(other.gap)]
        cells += [_significant(other.ms)] if other.ms is not None else []
        rows.append([*cells, _significant(other.macs / 1e9)])
    return compact_table("What the same exits could do, accuracy in points", columns, rows)


def promise_table(adaptive: "Adaptive", role: str) -> "Table":
    """Return each promise of the policy beside what the images show."""
    return compact_table(
        f"Promises of the policy beside the {role} images",
        ("promise", "here", "counted", "certify %", f"{role} % [95 % CI]"),
        (
            (
                f"{shown.promise.risk.label} <= {shown.promise.risk.tolerance:g}",
                {True: "kept", False: "VIOLATED", None: "nothing seen"}[shown.kept],
                counted(shown.units, shown.promise.unit),
                f"{100 * shown.promise.observed:.1f}",
                _interval(shown.observed, percent=True),
            )
            for shown in adaptive.promises
        ),
        texts=2,
    )


def _about_policy(found: "Evaluation") -> Iterator[str]:
    """Yield the policy's goal beside what came of it; which promises are broken, how counted."""
    adaptive = found.adaptive
    if adaptive is None or adaptive.policy.goal is None:
        return
    policy, accuracy = adaptive.policy, found.row("adaptive").scores.accuracy.value
    if policy.costs is not None and policy.deadline_ms is None:
        each = policy.costs.values
        mean = sum(share * cost for share, cost in zip(adaptive.shares, each, strict=True))
        spent = cost_in_words(mean, each[-1], policy.costs.unit)
        yield (
            f"Goal: {policy.goal}. On these {found.role} images: accuracy {accuracy:.1%}, "
            f"mean cost {spent}."
        )
    if adaptive.promises:
        first = adaptive.promises[0].promise
        one = {"image": "each image", "group": "each group, with its mean loss"}[first.unit]
        yield f"Promised with probability {1 - first.delta:g}, all at once. Counted as one: {one}."
    for shown in adaptive.promises:
        if shown.kept is None:
            yield f"{shown.promise.risk.label}: {shown.observed.reason}, so nothing was seen."
        elif not shown.kept:
            yield _violation(shown, found.role)
    if policy.note:
        yield f"From its calibration: {policy.note}"


def _violation(shown: "PromiseShown", role: str) -> str:
    promise, interval = shown.promise, shown.observed.interval
    chance = interval is None or interval.low <= promise.risk.tolerance
    return (
        f"VIOLATED: {promise.risk.label} <= {promise.risk.tolerance:g} was promised, the "
        f"{counted(shown.units, f'{role} {promise.unit}')} show {shown.observed.value:.2%}. "
        + (
            "The interval reaches down to the promise, so chance may have done it."
            if chance
            else "The whole interval lies above the promise: do not rely on it."
        )
    )


def _facts(found: "Evaluation") -> Iterator[str]:
    groups = len(set(found.images.groups))
    yield (
        f"Intervals of accuracy: {found.resamples} draws of whole groups ({groups} groups); "
        "exact where all are right or wrong."
    )
    means = "; MACs and time of the adaptive rule are means" if found.adaptive else ""
    yield f"Decided by: {found.decided_by}{means}."
    if found.twin:
        yield f"Twin: {found.twin.model}, last exit; trained on the same manifest."
    if found.timing:
        timing = found.timing
        yield (
            f"Time: {timing.includes}. {timing.precision}, threads: {timing.threads}, rounds: "
            f"{timing.rounds}, {timing.machine['processor']}. The ratio is to "
            f"{'the twin' if found.twin else 'the final exit'}."
        )


def _notes(found: "Evaluation") -> Iterator[str]:
    """Yield why a score is missing, or what it leaves out, and of which rows; doubtful times."""
    from endoexit.evaluation.document import FALLING

    rows: defaultdict[str, list[str]] = defaultdict(list)
    for row in found.rows:
        scores = row.scores
        named = {"macro F1": scores.macro_f1, "MCC": scores.mcc, "AUROC": scores.auroc,
                 "AUROC of sureness": scores.confidence_auroc}  # fmt: skip
        for name, each in named.items():
            if each.reason:
                rows[f"{name}, {each.reason}"].append(row.name)
    for text, names in rows.items():
        yield f"{', '.join(names)}: {text}."
    if found.times_fall:
        yield FALLING


def _interval(estimate: "Estimate", *, percent: bool = False) -> str:
    from endoexit.evaluation.figures import percent_with_interval, with_interval

    return percent_with_interval(estimate) if percent else with_interval(estimate, 2)


def _points(estimate: "Estimate | None") -> str:
    from endoexit.evaluation.figures import points_with_interval

    return points_with_interval(estimate)


def _number(estimate: "Estimate") -> str:
    return MISSING if estimate.value is None else f"{estimate.value:.3f}"


def _significant(value: float) -> str:
    from endoexit.evaluation.figures import significant

    return significant(value)


def _ms(row: "Row") -> str:
    return MISSING if row.time is None else _significant(row.time.ms)


def _ratio(row: "Row", baseline: "Row") -> str:
    if row.time is None or baseline.time is None:
        return MISSING
    return _significant(row.time.ms / baseline.time.ms)
