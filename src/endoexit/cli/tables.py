"""Tables and text for people: narrow enough for 80 columns, numbers to the right."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text


def compact_table(
    title: str, columns: Sequence[str], rows: Iterable[Sequence[str]], *, texts: int = 1
) -> "Table":
    """Return a table without outer lines.

    Args:
        title: One line above it.
        columns: Headings, which may have a line break.
        rows: Cells, as many as there are columns.
        texts: So many leading columns are text, to the left; the others are numbers.
    """
    from rich import box
    from rich.table import Table

    table = Table(
        title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False
    )
    for number, heading in enumerate(columns):
        if number < texts:  # a text may take a second line, a number never loses a digit
            table.add_column(heading, justify="left", overflow="fold")
        else:
            table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    return table


def paragraph(text: str) -> "Text":
    """Return text that is broken into lines at the width of the terminal."""
    from rich.text import Text

    return Text(text)


def five_characters(value: float) -> str:
    """Return a number from 0 to 9999 in five characters, with as many decimals as fit."""
    decimals = 3 if value < 9.9995 else 2 if value < 99.995 else 1
    return f"{value:.{decimals}f}"


def cost_in_words(cost: float, whole: float, unit: str) -> str:
    """Return a mean cost with its unit ("macs" or "ms") and its share of the whole network."""
    scale, name = (1e9, "G multiply-adds") if unit == "macs" else (1.0, "ms")
    return f"{cost / scale:.3g} {name}, {cost / whole:.0%} of the whole network"
