"""The paper's Table 3 next to ours, as cells of text: for the terminal, Markdown and the pages."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from endoexit.errors import counted
from endoexit.evaluation.document import Evaluation, Row
from endoexit.evaluation.figures import MISSING, percent_with_interval, significant
from endoexit.report.paper import PRINTED
from endoexit.reproduction.document import Results, SplitResults

_SHORT = {"random": "random 8:2", "groups": "groups kept together"}


@dataclass(frozen=True)
class TextTable:
    """A table.

    Attributes:
        title: What it shows.
        header: Headings of the columns.
        rows: Cells.
    """

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    @property
    def narrow(self) -> tuple[str, ...]:
        """Headings with line breaks in place of commas and brackets, for a terminal."""
        return tuple(name.replace(", ", "\n").replace(" [", "\n[") for name in self.header)


def accuracy_table(results: Results) -> TextTable:
    """Return the accuracy of every row: the paper's, and ours on each split."""
    paper = {row.name: f"{100 * row.accuracy:.1f}" for row in PRINTED}
    names = list(dict.fromkeys(row.name for split in results.splits
                               for row in split.evaluation.rows))  # fmt: skip
    return TextTable(
        f"Accuracy %, {results.settings.early.label}, {results.title}",
        ("row", "paper", *(f"{_SHORT[split.name]} [95 % CI]" for split in results.splits)),
        tuple(
            (
                _label(name, results),
                paper.get(name, MISSING),
                *(_accuracy(split.evaluation, name) for split in results.splits),
            )
            for name in names
        ),
    )


def cost_table(results: Results) -> TextTable:
    """Return time, parameters and "FLOPs" of every row; times are relative to the baseline."""
    paper = {row.name: row for row in PRINTED}
    first = paper["twin"].seconds
    counts = {count.name: count for count in results.counts}
    evaluation = results.splits[-1].evaluation
    rows = []
    for row in evaluation.rows:
        printed, counted = paper.get(row.name), counts.get(row.name)
        rows.append(
            (
                _label(row.name, results),
                f"{printed.seconds / first:.3f}" if printed else MISSING,
                _ratio(row, evaluation),
                significant(row.time.ms) if row.time else MISSING,
                f"{printed.parameters_m:.3f}" if printed else MISSING,
                f"{counted.parameters / 1e6:.3f}" if counted else MISSING,
                f"{printed.operations_g:.3f}" if printed else MISSING,
                f"{counted.operations / 1e9:.3f}" if counted else MISSING,
            )
        )
    return TextTable(
        "Time, size and work, counted by the paper's rules",
        ("row", "time ratio, paper", "ours", "ms", "params M, paper", "ours", '"GFLOPs", paper',
         "ours"),
        tuple(rows),
    )  # fmt: skip


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
            f"Times: {timing.machine['processor']}, {timing.threads} threads, {timing.precision}, "
            "one image, measured alternately. The paper's: Xeon W-2133."
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
    parts = [_markdown(table) for table in (accuracy_table(results), cost_table(results))]
    return "\n\n".join([*parts, *sentences(results)]) + "\n"


def _markdown(table: TextTable) -> str:
    lines = [table.header, tuple("---:" if n else "---" for n in range(len(table.header)))]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (*lines, *table.rows))


def _label(name: str, results: Results) -> str:
    return f"{results.settings.baseline.label} (no early exits)" if name == "twin" else name


def _accuracy(evaluation: Evaluation, name: str) -> str:
    row = next((row for row in evaluation.rows if row.name == name), None)
    return MISSING if row is None else percent_with_interval(row.scores.accuracy)


def _ratio(row: Row, evaluation: Evaluation) -> str:
    first = evaluation.row("twin")
    if row.time is None or first.time is None:
        return MISSING
    return f"{row.time.ms / first.time.ms:.3f}"
