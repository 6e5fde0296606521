"""Tables and text on a terminal: narrow enough for 80 columns, numbers to the right."""

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Group
    from rich.text import Text

    from endoexit.tables import Table

WIDTH = 80


def terminal_table(table: "Table") -> "Group":
    """Return the title and a table without outer lines and notes, for `Output.say`.

    Columns that need room are left out. Where a table is too wide, intervals go below their figure
    and words continue on another line; a number never loses a digit.
    """
    from rich import box
    from rich.console import Group
    from rich.table import Table as RichTable
    from rich.text import Text

    narrow = table.narrow()
    laid_out = RichTable(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    labels = [column.brief or column.label for column in narrow.columns]
    cells = narrow.cells()
    if _width([labels, *cells]) > WIDTH:
        cells = tuple(tuple(cell.replace(" [", "\n[") for cell in row) for row in cells)
    for label, column in zip(labels, narrow.columns, strict=True):
        justify: Literal["left", "right"] = "left" if column.is_text else "right"
        laid_out.add_column(label, justify=justify, overflow="fold")
    for row in cells:
        laid_out.add_row(*row)
    return Group(Text(table.title, style="bold"), laid_out)


def _width(rows: "Sequence[Sequence[str]]") -> int:
    """Return how many characters a table of these cells, labels included, is wide."""
    columns = zip(*rows, strict=True)
    widths = [max(len(line) for cell in column for line in cell.split("\n")) for column in columns]
    return sum(widths) + 2 * len(widths)


def paragraph(text: str) -> "Text":
    """Return text that is broken into lines at the width of the terminal."""
    from rich.text import Text

    return Text(text)


def with_notes(table: "Table") -> "list[Group | Text]":
    """Return a table and its notes below it."""
    return [terminal_table(table), *map(paragraph, table.notes)]
