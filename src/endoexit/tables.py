"""Tables as data: columns that know how to write their values. Others lay them out.

`cli/tables.py` lays them out for a terminal, `reporting/templates/parts.html` as HTML, and
`Table.markdown` for model cards and pages of the docs.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Self, TypeVar

MISSING = "–"

Item = TypeVar("Item")


@dataclass(frozen=True)
class Column:
    """One column.

    Attributes:
        heading: Words above the column.
        unit: Unit of the values, such as "ms" or "% [95 % CI]"; empty for none.
        form: Text of a value other than None; without a form the values are words.
        brief: Shorter label for a terminal, which may have a line break; empty for none.
        roomy: Whether a terminal of 80 columns leaves it out.
    """

    heading: str
    unit: str = ""
    form: Callable[[Any], str] | None = None
    brief: str = ""
    roomy: bool = False

    @property
    def label(self) -> str:
        """Heading with the unit: "time, ms"."""
        return f"{self.heading}, {self.unit}" if self.unit else self.heading

    @property
    def is_text(self) -> bool:
        """Whether the values are words, which begin at the left; numbers end at the right."""
        return self.form is None

    def text(self, value: Any) -> str:
        """Return a value as text; a dash for None."""
        if value is None:
            return MISSING
        return str(value) if self.form is None else self.form(value)


@dataclass(frozen=True)
class Table:
    """A table.

    Attributes:
        title: What the table shows; without a full stop.
        columns: Columns, the first of which names the rows.
        rows: Values, as many in a row as there are columns; None is shown as a dash.
        notes: Sentences that a reader needs next to the table.
    """

    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Any, ...], ...]
    notes: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        title: str,
        columns: Mapping[Column, Callable[[Item], Any]],
        items: Iterable[Item],
        notes: Iterable[str] = (),
    ) -> Self:
        """Return the table with a row for each item.

        Args:
            title: What the table shows.
            columns: Columns in their order, and what each takes from an item.
            items: What the rows are about.
            notes: See `notes` of the table.
        """
        rows = tuple(tuple(take(item) for take in columns.values()) for item in items)
        return cls(title, tuple(columns), rows, tuple(notes))

    def cells(self) -> tuple[tuple[str, ...], ...]:
        """Return the rows as text."""
        return tuple(
            tuple(column.text(value) for column, value in zip(self.columns, row, strict=True))
            for row in self.rows
        )

    def narrow(self) -> Self:
        """Return the table without the columns that need room."""
        kept = [place for place, column in enumerate(self.columns) if not column.roomy]
        return replace(
            self,
            columns=tuple(self.columns[place] for place in kept),
            rows=tuple(tuple(row[place] for place in kept) for row in self.rows),
        )

    def markdown(self) -> str:
        """Return the table in Markdown: title in bold, table, notes."""
        ends = ["---" if column.is_text else "---:" for column in self.columns]
        labels = [column.label for column in self.columns]
        lines = ["| " + " | ".join(map(markdown_cell, line)) + " |"
                 for line in (labels, ends, *self.cells())]  # fmt: skip
        parts = [f"**{self.title}**"] if self.title else []
        return "\n\n".join([*parts, "\n".join(lines), *self.notes])


def markdown_cell(text: str) -> str:
    """Return text as a cell of a Markdown table: on one line, without a bar that ends the cell."""
    return " ".join(text.split()).replace("|", r"\|")
