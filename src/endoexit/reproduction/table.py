"""The paper's Table 3 next to ours, as data: for the terminal, Markdown and the pages."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from endoexit.errors import counted
from endoexit.evaluation.figures import percent, percent_with_interval, significant
from endoexit.reporting.paper import PRINTED
from endoexit.reproduction.document import Results, SplitResults
from endoexit.tables import Column, Table

_SHORT = {"random": "random 8:2", "groups": "groups kept together"}


def accuracy_table(results: Results) -> Table:
    """Return the accuracy of every row: the paper's, and ours on each split."""
    paper = {row.name: row.accuracy for row in PRINTED}
    names = list(dict.fromkeys(row.name for split in results.splits
                               for row in split.evaluation.rows))  # fmt: skip
    columns: dict[Column, Callable[[str], Any]] = {
        Column("row"): lambda name: _label(name, results),
        Column("paper", form=percent): paper.get,
    }
    for split in results.splits:
        title = _SHORT[split.name]
        column = Column(f"{title} [95 % CI]", "", percent_with_interval, f"{title}\n[95 % CI]")
        columns[column] = {row.name: row.scores.accuracy for row in split.evaluation.rows}.get
    return Table.of(f"Accuracy %, {results.settings.early.label}, {results.title}", columns, names)


def cost_table(results: Results) -> Table:
    """Return time, parameters and "FLOPs" of every row; times are relative to the baseline.

    Parameters and "FLOPs" have the digits that the paper prints.
    """
    paper = {row.name: row for row in PRINTED}
    whole = paper["twin"].seconds
    counts = {count.name: count for count in results.counts}
    evaluation = results.splits[-1].evaluation
    base = evaluation.row("twin").time
    printed = "{:.3f}".format
    rows = []
    for row in evaluation.rows:
        known, count, time = paper.get(row.name), counts.get(row.name), row.time
        rows.append(
            (
                _label(row.name, results),
                known and known.seconds / whole,
                time and base and time.ms / base.ms,
                time and time.ms,
                known and known.parameters_m,
                count and count.parameters / 1e6,
                known and known.operations_g,
                count and count.operations / 1e9,
            )
        )
    return Table(
        "Time, size and work, counted by the paper's rules",
        (
            Column("row"),
            Column("time ratio, paper", "", significant, "time ratio\npaper"),
            Column("ours", form=significant),
            Column("ms", form=significant),
            Column("params M, paper", "", printed, "params M\npaper"),
            Column("ours", form=printed),
            Column('"GFLOPs", paper', "", printed, '"GFLOPs"\npaper'),
            Column("ours", form=printed),
        ),
        tuple(rows),
    )


def sentences(results: Results) -> Iterator[str]:
    """Yield what must be known to read the tables."""
    settings, recipe = results.settings, results.settings.early.training
    yield (
        f"Ours: {settings.early.label} and {settings.baseline.label} at {recipe.image.size}×"
        f"{recipe.image.size}, recipe {Path(settings.recipe).stem}, "
        f"{counted(recipe.epochs, 'epoch')}, seed {settings.seed}. The paper's: HiFuse-Small at "
        "224×224, 100 epochs, Kvasir version 1."
    )
    for split in results.splits:
        yield _split_sentence(split)
    yield (
        "The paper names no images for choosing an epoch. Here val and calibrate come out of the "
        "8 of 8:2, and test chooses nothing."
    )
    timing = results.splits[-1].evaluation.timing
    if timing is not None:
        yield (
            f"Times: {timing.machine['processor']}, {counted(timing.threads, 'thread')}, "
            f"{timing.precision}, one image, measured alternately. The paper's: Xeon W-2133."
        )
    yield from results.notes


def _split_sentence(split: SplitResults) -> str:
    leak = split.leak
    text = (
        f"{_SHORT[split.name].capitalize()}: {leak.near} of {leak.images} test images have a "
        f"near-copy (up to {leak.bits} bits) among the other images."
    )
    if split.leaking_accuracy is not None and split.other_accuracy is not None:
        text += (
            f" The final exit is right on {percent_with_interval(split.leaking_accuracy)} % of "
            f"these, and on {percent_with_interval(split.other_accuracy)} % of the others."
        )
    return text


def markdown(results: Results) -> str:
    """Return all of it as Markdown."""
    tables = accuracy_table(results), cost_table(results)
    return "\n\n".join([*(table.markdown() for table in tables), *sentences(results)]) + "\n"


def _label(name: str, results: Results) -> str:
    baseline = f"{results.settings.baseline.label} (no early exits)"
    return {"twin": baseline, "adaptive": "policy"}.get(name, name)
