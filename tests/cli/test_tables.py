"""Tables on a terminal of 80 columns."""

import io

from rich.console import Console

from endoexit.cli.tables import terminal_table, with_notes
from endoexit.evaluation.estimates import Estimate, Interval
from endoexit.evaluation.figures import with_interval
from endoexit.evaluation.tables import evaluation_tables
from endoexit.tables import Column, Table
from report_material import make_material


def printed(*parts):
    console = Console(file=io.StringIO(), width=80)
    for part in parts:
        console.print(part)
    return console.file.getvalue()


def test_every_table_of_an_evaluation_fits():
    names = ("normal", "a class with a name that is longer than a column ought to be", "ulcer")
    for table in evaluation_tables(make_material(names, exits=6).evaluation):
        text = printed(*with_notes(table))
        assert max(map(len, text.splitlines())) <= 80
        assert "…" not in text
        assert text.startswith(table.title)
        for note in table.notes:
            assert note in " ".join(text.split())


def test_columns_that_need_room_are_left_out_and_brief_labels_shown():
    table = Table(
        "T", (Column("name"), Column("time", "ms", str, brief="ms"), Column("wide", roomy=True)),
        (("a", 12, "no"),),
    )  # fmt: skip
    text = printed(terminal_table(table))
    assert "time" not in text
    assert "wide" not in text
    assert text.splitlines()[2].split() == ["name", "ms"]
    assert text.splitlines()[-2].split() == ["a", "12"]


def test_a_number_never_loses_a_digit():
    interval = Interval(low=-0.0723, high=-0.00412, method="made up")
    estimate = Estimate(value=-0.0123, interval=interval)
    columns = (Column("name"), *(Column(f"score {n}", form=with_interval) for n in range(4)))
    text = printed(terminal_table(Table("T", columns, (("exit", *[estimate] * 4),))))
    assert max(map(len, text.splitlines())) <= 80
    for number in ("-0.0123", "-0.0723", "-0.00412"):
        assert text.count(number) == 4
