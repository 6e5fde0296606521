"""The tables of an evaluation, as data: terminal, report and model card lay out the same ones."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from endoexit.errors import counted
from endoexit.evaluation.document import (
    FALLING,
    Adaptive,
    Evaluation,
    EvaluationRow,
    Time,
)
from endoexit.evaluation.estimates import ClassScores, Estimate
from endoexit.evaluation.figures import (
    SHARE,
    change,
    cost_in_words,
    percent,
    percent_with_interval,
    points_with_interval,
    significant,
    with_interval,
)
from endoexit.evaluation.promise_tables import promise_table
from endoexit.evaluation.referral_tables import foreign_table, referral_table
from endoexit.policy.temperature import CALIBRATION_BINS
from endoexit.tables import Column, Table


def deciles(time: Time) -> str:
    """Return the first and the last decile of a measured time."""
    return f"{significant(time.low_ms)}–{significant(time.high_ms)}"


ANSWERS = Column("answers")
ACCURACY = Column("accuracy", SHARE, percent_with_interval)
MS = Column("time", "ms", significant, brief="ms")
DECILES = Column("10th–90th percentile", "ms", deciles, roomy=True)  # a mean has none
PARAMETERS = Column("parameters", "M", significant, brief="params\n(M)")
MACS = Column("multiply-adds", "G", significant, brief="MACs\n(G)")


def evaluation_tables(evaluation: Evaluation) -> list[Table]:
    """Return all tables, in the order in which they are read."""
    tables = (
        exit_table(evaluation),
        score_table(evaluation),
        difference_table(evaluation),
        class_table(evaluation),
        share_table(evaluation),
        reference_table(evaluation),
        promise_table(evaluation),
        referral_table(evaluation),
        foreign_table(evaluation),
    )
    return [table for table in tables if table is not None]


def row_name(row: EvaluationRow) -> str:
    """Return what gives the answers of a row: "exit 1", "final", "policy", "twin"."""
    return "policy" if row.kind == "adaptive" else row.name


def exit_table(evaluation: Evaluation) -> Table:
    """Return accuracy and cost of every row, in the shape of the paper's Table 3."""
    base = evaluation.rows[0] if evaluation.twin else evaluation.row("final")
    columns: dict[Column, Callable[[EvaluationRow], Any]] = {
        ANSWERS: row_name,
        ACCURACY: lambda row: row.scores.accuracy,
    }
    if evaluation.timing is not None:
        columns |= {
            MS: lambda row: row.time and row.time.ms,
            DECILES: lambda row: None if row.kind == "adaptive" else row.time,
            Column("ratio", form=significant): lambda row: (
                row.time and base.time and row.time.ms / base.time.ms
            ),
        }
    columns |= {
        PARAMETERS: lambda row: row.parameters / 1e6,
        MACS: lambda row: row.macs / 1e9,
    }
    if evaluation.adaptive is not None:
        columns[Column("exit here", "%", percent, brief="exit\nhere %")] = lambda row: row.share
    return Table.of(
        f"{evaluation.run.model}: accuracy and cost on "
        f"{counted(len(evaluation.images.paths), f'{evaluation.role} image')}",
        columns,
        evaluation.rows,
        _about_exits(evaluation),
    )


def _about_exits(evaluation: Evaluation) -> Iterator[str]:
    groups = len(set(evaluation.images.groups))
    yield (
        "Each row of an exit: all images exit there. Intervals of accuracy: "
        f"{evaluation.resamples} draws of whole groups ({groups} groups); exact where all answers "
        "are right or all are wrong."
    )
    if evaluation.adaptive is not None:
        yield f"Policy: {evaluation.decided_by}; its multiply-adds and time are means."
    else:
        yield f"Decided by: {evaluation.decided_by}."
    if evaluation.twin is not None:
        yield f"Twin: the last exit of {evaluation.twin.model}, trained on the same manifest."
    if evaluation.timing is not None:
        timing = evaluation.timing
        yield (
            f"Time: {timing.includes}. {timing.precision}, threads: {timing.threads}, rounds: "
            f"{timing.rounds}, {timing.machine['processor']}. The ratio is to the "
            f"{'twin' if evaluation.twin else 'final exit'}. Another machine has other times; "
            "ratios carry over roughly."
        )
    if evaluation.times_fall:
        yield FALLING


def score_table(evaluation: Evaluation) -> Table:
    """Return the other scores of every row."""
    return Table.of(
        "Scores of the answers",
        {
            ANSWERS: row_name,
            Column("macro F1 [95 % CI]", form=with_interval): lambda row: row.scores.macro_f1,
            Column("MCC [95 % CI]", form=with_interval): lambda row: row.scores.mcc,
            Column("ECE", form=with_interval): lambda row: row.scores.ece,
            Column("AUROC", form=with_interval): lambda row: row.scores.auroc,
            Column("AUROC of sureness", form=with_interval, brief="AUROC of\nsureness"): (
                lambda row: row.scores.confidence_auroc
            ),
        },
        evaluation.rows,
        _about_scores(evaluation),
    )


def _about_scores(evaluation: Evaluation) -> Iterator[str]:
    yield (
        f"ECE: {CALIBRATION_BINS} bins of the largest probability. AUROC: one class against the "
        "rest. AUROC of sureness: how well the largest probability ranks right answers before "
        "wrong ones."
    )
    rows: defaultdict[str, list[str]] = defaultdict(list)
    for row in evaluation.rows:
        scores = row.scores
        named = {"macro F1": scores.macro_f1, "MCC": scores.mcc, "AUROC": scores.auroc,
                 "AUROC of sureness": scores.confidence_auroc}  # fmt: skip
        for name, estimate in named.items():
            if estimate.reason:
                rows[f"{name}, {estimate.reason}"].append(row_name(row))
    for reason, names in rows.items():
        yield f"{', '.join(names)}: {reason}."


def difference_table(evaluation: Evaluation) -> Table:
    """Return how much more accurate each row is than the final exit and the twin."""
    points = "points [95 % CI]"
    columns: dict[Column, Callable[[EvaluationRow], Any]] = {
        ANSWERS: row_name,
        Column("minus final", points, points_with_interval): lambda row: row.beside_final,
    }
    if evaluation.twin is not None:
        columns[Column("minus twin", points, points_with_interval)] = lambda row: row.beside_twin
    return Table.of("Differences in accuracy on the same images", columns, evaluation.rows)


def class_table(evaluation: Evaluation) -> Table:
    """Return sensitivity and specificity of each class, of the policy and the final exit."""
    rows = [evaluation.rows[-1]]
    rows += [evaluation.row("final")] if evaluation.adaptive is not None else []
    columns: dict[Column, Callable[[tuple[ClassScores, ...]], Any]] = {
        Column("class"): lambda entries: entries[0].name,
        Column("images", form=str): lambda entries: entries[0].images,
    }
    for place, row in enumerate(rows):
        of = f"{row_name(row)}: " if len(rows) > 1 else ""
        for score in ("sensitivity", "specificity"):
            column = Column(of + score, SHARE, percent_with_interval, f"{score} %", place > 0)
            columns[column] = _score_of(place, score)
    return Table.of(
        f"Classes, answers of the {row_name(rows[0])}{' exit' * (len(rows) == 1)}",
        columns,
        zip(*(row.scores.classes for row in rows), strict=True),
        ("Intervals: exact binomial, 95 %; too narrow where groups are large.",),
    )


def _score_of(place: int, score: str) -> Callable[[tuple[ClassScores, ...]], Estimate]:
    return lambda entries: getattr(entries[place], score)


def share_table(evaluation: Evaluation) -> Table | None:
    """Return the share of images that exit at each exit, by class; None with one exit."""
    adaptive = evaluation.adaptive
    if adaptive is None:
        return None
    names = [*(f"exit {number}" for number in range(1, len(adaptive.shares))), "final"]
    shares = [*adaptive.shares_by_class.items(), ("all", adaptive.shares)]
    return Table(
        "Where images exit under the policy, %",
        (Column("true class"), *(Column(name, form=percent) for name in names)),
        tuple((name, *of_class) for name, of_class in shares),
        tuple(_about_goal(evaluation, adaptive)),
    )


def _about_goal(evaluation: Evaluation, adaptive: Adaptive) -> Iterator[str]:
    """Yield what became of the policy's goal; nothing where the clock decides."""
    policy, accuracy = adaptive.policy, evaluation.row("adaptive").scores.accuracy.value
    if policy.goal is None or policy.costs is None or policy.deadline_ms is not None:
        return
    costs = policy.costs.values
    mean = sum(share * cost for share, cost in zip(adaptive.shares, costs, strict=True))
    yield (
        f"Goal: {policy.goal}. On these {evaluation.role} images: accuracy {accuracy:.1%}, "
        f"mean cost {cost_in_words(mean, costs[-1], policy.costs.unit)}."
    )


@dataclass(frozen=True)
class _Use:
    """One use of the same exits."""

    name: str
    accuracy: Estimate
    gap: Estimate | None
    ms: float | None
    macs: float


def reference_table(evaluation: Evaluation) -> Table | None:
    """Return the policy, the oracle and chance on the same exits; None with one exit."""
    adaptive = evaluation.adaptive
    if adaptive is None:
        return None
    policy = evaluation.row("adaptive")
    ms = None if policy.time is None else policy.time.ms
    uses = [
        _Use("policy", policy.scores.accuracy, None, ms, policy.macs),
        *(
            _Use(name, reference.accuracy, reference.gap, reference.ms, reference.macs)
            for name, reference in (("oracle", adaptive.oracle), ("random", adaptive.random))
        ),
    ]
    columns: dict[Column, Callable[[_Use], Any]] = {
        Column("exits chosen by"): lambda use: use.name,
        ACCURACY: lambda use: use.accuracy,
        Column("policy minus it", "points", points_with_interval): lambda use: use.gap,
    }
    columns |= {MS: lambda use: use.ms} if policy.time is not None else {}
    return Table.of(
        "What the same exits could do",
        columns | {MACS: lambda use: use.macs / 1e9},
        uses,
        (
            "Oracle: each image exits at the first exit that is right. Random: as many images "
            "exit at each exit as under the policy, but drawn at random.",
        ),
    )


def temperature_table(title: str, exits: Iterable[tuple[Any, ...]]) -> Table:
    """Return what temperatures do to the confidence of each exit.

    Args:
        title: Cohort and temperatures, in words.
        exits: Name and temperature of each exit; then, each before and after it, mean
            negative log likelihood, ECE and the AUROC of sureness.
    """
    columns = (
        Column("exit"),
        Column("temperature", form=significant, brief="T"),
        Column("mean NLL", "nats", change, brief="NLL"),
        Column("ECE", form=change),
        Column("AUROC of sureness", form=change),
    )
    return Table(title, columns, tuple(exits))
