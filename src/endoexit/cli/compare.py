"""`endoexit compare`: two evaluations side by side, tested on the same images."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from endoexit.cli.console import JsonOption, Output

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from endoexit.evaluation.comparison import Comparison, RowPair
    from endoexit.evaluation.document import Evaluation
    from endoexit.tables import Table


def compare(
    first: Annotated[
        Path,
        typer.Argument(
            help="evaluation.json, results.json of `reproduce`, or a folder with one.", metavar="A"
        ),
    ],
    second: Annotated[
        Path, typer.Argument(help="Evaluation that A is compared with.", metavar="B")
    ],
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
    for name, (a, b) in pairs.items():
        comparison = compare_evaluations(a, b)
        document[name or "evaluation"] = comparison.model_dump(mode="json")
        _show(output, name, comparison)
    output.document({"a": str(first), "b": str(second), "comparisons": document})


def _pairs(
    output: Output, first: "Mapping[str, Evaluation]", second: "Mapping[str, Evaluation]"
) -> "dict[str, tuple[Evaluation, Evaluation]]":
    """Return what is compared with what: splits of one name, or a single evaluation."""
    from endoexit.errors import UsageError

    if len(first) == len(second) == 1:
        (name, a), (name_of_b, b) = *first.items(), *second.items()
        return {name if name == name_of_b else "": (a, b)}
    if set(first) & set(second):
        alone = sorted(set(first) ^ set(second))
        if alone:
            output.warn(f"only one of them has the split {', '.join(alone)}: it is left out.")
        return {name: (a, second[name]) for name, a in first.items() if name in second}
    # A single evaluation and a reproduction of both splits.
    named = [each.get("groups", each.get("")) for each in (first, second)]
    if named[0] is not None and named[1] is not None:
        return {"groups": (named[0], named[1])}
    raise UsageError("A and B have no split in common: compare results of the same splits.")


def _show(output: Output, name: str, comparison: "Comparison") -> None:
    from endoexit.cli.tables import paragraph, terminal_table

    tables = _accuracy_table(name, comparison), _cost_table(comparison)
    output.say(*map(terminal_table, tables))
    output.say(*map(paragraph, _notes(comparison)), "")


def _accuracy_table(name: str, comparison: "Comparison") -> "Table":
    from endoexit.evaluation.figures import percent_with_interval, points_with_interval, probability
    from endoexit.tables import Column, Table

    return Table.of(
        f"Accuracy {f'on {name}, ' if name else ''}{comparison.common} images in both",
        {
            Column("row"): _name,
            Column("A %\n[95 % CI]", form=percent_with_interval): lambda row: row.first,
            Column("B %\n[95 % CI]", form=percent_with_interval): lambda row: row.second,
            Column("B minus A, points\n[95 % CI]", form=points_with_interval): (
                lambda row: row.difference
            ),
            Column("right in\nA : B alone", form=str): (
                lambda row: f"{row.only_first} : {row.only_second}"
            ),
            Column("p", form=probability): lambda row: row.p_value,
        },
        comparison.rows,
    )


def _name(row: "RowPair") -> str:
    return "policy" if row.name == "adaptive" else row.name


def _cost_table(comparison: "Comparison") -> "Table":
    from endoexit.evaluation.figures import significant
    from endoexit.tables import Column, Table

    def ratio(pair: "tuple[float | None, float | None]") -> float | None:
        first, second = pair
        return second / first if first and second is not None else None

    def giga(value: float) -> str:
        return significant(value / 1e9)

    return Table(
        "Cost of an image",
        (
            Column("row"),
            Column("MACs G\nA", form=giga),
            Column("\nB", form=giga),
            Column("\nB / A", form=significant),
            Column("ms\nA", form=significant),
            Column("\nB", form=significant),
            Column("\nB / A", form=significant),
        ),
        tuple(
            (_name(row), *row.macs, ratio(row.macs), *row.ms, ratio(row.ms))
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
