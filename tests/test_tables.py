"""Tables as data: values and how their columns write them."""

from dataclasses import dataclass

import pytest

from endoexit.tables import MISSING, Column, Table, markdown_cell


@dataclass(frozen=True)
class Exit:
    name: str
    ms: float | None
    note: str = "x"


TABLE = Table.of(
    "Times",
    {
        Column("exit"): lambda item: item.name,
        Column("time", "ms", "{:.1f}".format, brief="ms"): lambda item: item.ms,
        Column("remark", roomy=True): lambda item: item.note,
    },
    [Exit("exit 1", 1.25), Exit("a|b\nc", None)],
    ["Measured once."],
)


def test_a_row_holds_what_the_columns_take_and_cells_are_its_text():
    assert TABLE.rows == (("exit 1", 1.25, "x"), ("a|b\nc", None, "x"))
    assert TABLE.cells() == (("exit 1", "1.2", "x"), ("a|b\nc", MISSING, "x"))
    assert [column.label for column in TABLE.columns] == ["exit", "time, ms", "remark"]
    assert [column.is_text for column in TABLE.columns] == [True, False, True]


def test_without_room_columns_go_and_their_values_too():
    narrow = TABLE.narrow()
    assert [column.heading for column in narrow.columns] == ["exit", "time"]
    assert narrow.rows == (("exit 1", 1.25), ("a|b\nc", None))
    assert (narrow.title, narrow.notes) == (TABLE.title, TABLE.notes)


def test_markdown_has_title_table_and_notes():
    assert TABLE.markdown() == (
        "**Times**\n\n"
        "| exit | time, ms | remark |\n"
        "| --- | ---: | --- |\n"
        "| exit 1 | 1.2 | x |\n"
        "| a\\|b c | – | x |\n\n"
        "Measured once."
    )
    assert Table("", (Column("a"),), (("b",),)).markdown() == "| a |\n| --- |\n| b |"


def test_a_row_of_another_length_is_refused():
    with pytest.raises(ValueError, match="zip"):
        Table("", (Column("a"), Column("b")), (("one",),)).cells()


def test_a_name_cannot_break_a_table_in_markdown():
    assert markdown_cell("polyp | sessile\nflat") == r"polyp \| sessile flat"
