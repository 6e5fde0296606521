"""`endoexit compare`: two evaluations side by side, tested on the same images."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from endoexit.cli.console import JsonOption, Output

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from rich.table import Table

    from endoexit.evaluation.comparison import Comparison
    from endoexit.evaluation.document import Evaluation


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(compare)


def compare(
    first: Annotated[
        Path,
        typer.Argument(
            help="evaluation.json, results.json of `reproduce`, or a folder with one.", metavar="A"
        ),
    ],
    second: Annotated[Path, typer.Argument(help="What A is compared with.", metavar="B")],
    *,
    as_json: JsonOption = False,
) -> None:
    """Compare two evaluations: accuracy with intervals, a paired test, multiply-adds, times.

    Differences are B minus A on the images that are in both. Their intervals come from a bootstrap
    over groups; the test is McNemar's.

    Example: `endoexit compare runs/a/evaluation.json runs/b/evaluation.json`
    """
    from endoexit.evaluation.comparison import compare_evaluations
    from endoexit.reproduction.document import read_evaluations

    output = Output(as_json)
    pairs = _pairs(output, read_evaluations(first), read_evaluations(second))
    output.say(f"A: {first}", f"B: {second}")
    document = {}
    for name, (one, other) in pairs.items():
        comparison = compare_evaluations(one, other)
        document[name or "evaluation"] = comparison.model_dump(mode="json")
        _show(output, name, comparison)
    output.document({"a": str(first), "b": str(second), "comparisons": document})


def _pairs(
    output: Output, first: "Mapping[str, Evaluation]", second: "Mapping[str, Evaluation]"
) -> "dict[str, tuple[Evaluation, Evaluation]]":
    """Return what is compared with what: splits of one name, or a single evaluation."""
    from endoexit.errors import UsageError

    if len(first) == len(second) == 1:
        (name, one), (other_name, other) = *first.items(), *second.items()
        return {name if name == other_name else "": (one, other)}
    if set(first) & set(second):
        alone = sorted(set(first) ^ set(second))
        if alone:
            output.warn(f"only one of them has the split {', '.join(alone)}: it is left out.")
        return {name: (one, second[name]) for name, one in first.items() if name in second}
    # A single evaluation and a reproduction of both splits.
    named = [each.get("groups", each.get("")) for each in (first, second)]
    if named[0] is not None and named[1] is not None:
        return {"groups": (named[0], named[1])}
    raise UsageError("A and B have no split in common: compare results of the same splits.")


def _show(output: Output, name: str, comparison: "Comparison") -> None:
    from endoexit.cli.tables import paragraph

    output.say(_accuracy_table(name, comparison), _cost_table(comparison))
    output.say(*map(paragraph, _notes(comparison)), "")


def _accuracy_table(name: str, comparison: "Comparison") -> "Table":
    from endoexit.cli.tables import compact_table
    from endoexit.evaluation.figures import percent_with_interval, points_with_interval

    title = f"Accuracy {f'on {name}, ' if name else ''}{comparison.common} images in both"
    return compact_table(
        title,
        ("row", "A %\n[95 % CI]", "B %\n[95 % CI]", "B minus A, points\n[95 % CI]",
         "right in\nA : B alone", "p"),
        (
            (
                row.name,
                percent_with_interval(row.first),
                percent_with_interval(row.second),
                points_with_interval(row.difference),
                f"{row.only_first} : {row.only_second}",
                "–" if row.p_value is None else f"{row.p_value:.3f}",
            )
            for row in comparison.rows
        ),
    )  # fmt: skip


def _cost_table(comparison: "Comparison") -> "Table":
    from endoexit.cli.tables import compact_table
    from endoexit.evaluation.figures import MISSING, significant

    def text(value: float | None, scale: float = 1.0) -> str:
        return MISSING if value is None else significant(value / scale)

    def ratio(pair: "tuple[float | None, float | None]") -> str:
        return MISSING if None in pair or not pair[0] else significant((pair[1] or 0) / pair[0])

    return compact_table(
        "Cost of an image",
        ("row", "MACs G\nA", "\nB", "\nB / A", "ms\nA", "\nB", "\nB / A"),
        (
            (
                row.name,
                *(text(value, 1e9) for value in row.macs),
                ratio(row.macs),
                *map(text, row.ms),
                ratio(row.ms),
            )
            for row in comparison.rows
        ),
    )


def _notes(comparison: "Comparison") -> "Iterator[str]":
    if comparison.common:
        yield (
            f"Intervals of differences: {comparison.resamples} draws of {comparison.groups} whole "
            f"groups, the same for A and B. p: {comparison.test}."
        )
    yield from comparison.notes
    if comparison.missing:
        yield f"Rows that only one of them has: {', '.join(comparison.missing)}."
    if any(None not in row.ms for row in comparison.rows):
        yield "Times were measured apart: compare them only if machine and load were the same."
