"""Tables and text on a terminal: narrow enough for 80 columns, numbers to the right."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Group
    from rich.text import Text

    from endoexit.tables import Table


def terminal_table(table: "Table") -> "Group":
    """Return the title and a table without outer lines and notes, for `Output.say`.

    Columns that need room are left out. Where a table is too wide, words and intervals continue on
    another line; a number never loses a digit.
    """
    from rich import box
    from rich.console import Group
    from rich.table import Table as RichTable
    from rich.text import Text

    narrow = table.narrow()
    laid_out = RichTable(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    cells = narrow.cells()
    for place, column in enumerate(narrow.columns):
        laid_out.add_column(
            column.brief or column.label,
            justify="left" if column.is_text else "right",
            overflow="fold",
            no_wrap=not column.is_text and not any(" " in row[place] for row in cells),
        )
    for row in cells:
        laid_out.add_row(*row)
    return Group(Text(table.title, style="bold"), laid_out)


def paragraph(text: str) -> "Text":
    """Return text that is broken into lines at the width of the terminal."""
    from rich.text import Text

    return Text(text)


def with_notes(table: "Table") -> "list[Group | Text]":
    """Return a table and its notes below it."""
    return [terminal_table(table), *map(paragraph, table.notes)]
