"""The tables of an evaluation hold its figures, and their notes what a reader must know."""

import pytest

from endoexit.evaluation.estimates import Estimate
from endoexit.evaluation.promise_tables import promise_table
from endoexit.evaluation.tables import (
    class_table,
    difference_table,
    evaluation_tables,
    exit_table,
    reference_table,
    row_name,
    score_table,
    share_table,
    temperature_table,
)
from endoexit.policy.document import Costs
from report_material import make_material


def column(table, heading):
    (place,) = (n for n, column in enumerate(table.columns) if column.heading == heading)
    return [row[place] for row in table.rows]


def test_every_row_has_its_accuracy_cost_and_ratio_to_the_twin(real):
    table = exit_table(real)
    assert column(table, "answers") == ["twin", "exit 1", "exit 2", "exit 3", "final", "policy"]
    assert column(table, "accuracy") == [row.scores.accuracy for row in real.rows]
    assert column(table, "time") == [row.time.ms for row in real.rows]
    assert column(table, "ratio") == [row.time.ms / real.rows[0].time.ms for row in real.rows]
    assert column(table, "multiply-adds") == [row.macs / 1e9 for row in real.rows]
    assert column(table, "exit here") == [None, *real.adaptive.shares, None]
    assert "The ratio is to the twin." in " ".join(table.notes)
    alone = exit_table(real.replaced(twin=None, rows=real.rows[1:]))
    assert column(alone, "ratio")[-2] == 1
    assert "The ratio is to the final exit." in " ".join(alone.notes)


def test_the_mean_time_of_the_policy_has_no_percentiles(real):
    deciles = [cells[3] for cells in exit_table(real).cells()]
    assert deciles[1:] == ["5.85–6.33", "11.5–12.1", "17.3–18.3", "22.4–71.6", "–"]


def test_without_times_and_policy_their_columns_are_absent():
    plain = exit_table(make_material(exits=1, timed=False).evaluation)
    assert [column.heading for column in plain.columns] == [
        "answers", "accuracy", "parameters", "multiply-adds"
    ]  # fmt: skip
    assert not any("Time:" in note or "Policy:" in note for note in plain.notes)
    evaluation = make_material(exits=1, timed=False).evaluation
    assert (
        share_table(evaluation) is reference_table(evaluation) is promise_table(evaluation) is None
    )
    assert len(evaluation_tables(evaluation)) == 4
    assert class_table(evaluation).title == "Classes, answers of the final exit"


def test_times_that_cannot_be_are_called_so(real):
    assert not any("cannot be" in note for note in exit_table(real).notes)
    first = real.row("exit 1")
    slow = first.replaced(time=first.time.replaced(ms=99.0))
    rows = tuple(slow if row is first else row for row in real.rows)
    notes = exit_table(real.replaced(rows=rows)).notes
    assert "quicker than an earlier one, which cannot be" in notes[-1]


def test_a_missing_score_is_a_dash_and_its_reason_a_note(real):
    mended = real.row("exit 1")
    none = mended.scores.replaced(mcc=Estimate(value=None, reason="undefined: one class only"))
    rows = tuple(row.replaced(scores=none) if row is mended else row for row in real.rows)
    table = score_table(real.replaced(rows=rows))
    assert table.cells()[1][2] == "–"
    assert table.cells()[0][2] == "0.947 [0.885, 0.990]"
    assert "exit 1: MCC, undefined: one class only." in table.notes


def test_differences_are_on_the_same_images_and_in_points(real):
    table = difference_table(real)
    assert column(table, "minus twin") == [row.beside_twin for row in real.rows]
    assert table.cells()[1][1:] == ("-4.8 [-11.1, +0.0]", "-3.2 [-7.9, +0.8]")
    without = real.replaced(twin=None, rows=real.rows[1:])
    assert [column.heading for column in difference_table(without).columns] == [
        "answers", "minus final"
    ]  # fmt: skip


def test_classes_of_the_policy_are_shown_and_those_of_the_final_exit_where_there_is_room(real):
    table = class_table(real)
    final, policy = real.row("final").scores.classes, real.row("adaptive").scores.classes
    assert column(table, "policy: sensitivity") == [entry.sensitivity for entry in policy]
    assert column(table, "final: specificity") == [entry.specificity for entry in final]
    assert column(table, "images") == [30, 46, 27, 22]
    assert [column.brief or column.heading for column in table.narrow().columns] == [
        "class", "images", "sensitivity %", "specificity %"
    ]  # fmt: skip


def test_shares_add_up_and_the_goal_is_told_with_what_came_of_it(real):
    table = share_table(real)
    assert table.rows[-1] == ("all", *real.adaptive.shares)
    assert all(sum(row[1:]) == pytest.approx(1) for row in table.rows)
    assert table.notes == ()
    costs = Costs(unit="ms", values=(1.0, 2.0, 3.0, 4.0), source="made up")
    policy = real.adaptive.policy.replaced(goal="accuracy >= 0.9", costs=costs)
    told = share_table(real.replaced(adaptive=real.adaptive.replaced(policy=policy)))
    mean = sum(share * cost for share, cost in zip(real.adaptive.shares, costs.values, strict=True))
    accuracy = real.row("adaptive").scores.accuracy.value
    assert told.notes == (
        f"Goal: accuracy >= 0.9. On these test images: accuracy {accuracy:.1%}, mean cost "
        f"{mean:.2f} ms, {mean / 4:.0%} of the whole network.",
    )


def test_oracle_and_chance_are_other_uses_of_the_same_exits(real):
    table = reference_table(real)
    oracle, random = real.adaptive.oracle, real.adaptive.random
    assert column(table, "exits chosen by") == ["policy", "oracle", "random"]
    assert column(table, "policy minus it") == [None, oracle.gap, random.gap]
    assert column(table, "time")[1:] == [oracle.ms, random.ms]


def test_temperatures_are_shown_before_and_after():
    pair, alone = (0.353, 0.00412), (0.5, None)
    rows = [("exit 1", 1.234, pair, pair, None), ("final", None, alone, alone, alone)]
    table = temperature_table("Fits", rows)
    assert table.cells() == (
        ("exit 1", "1.23", "0.353 → 0.00412", "0.353 → 0.00412", "–"),
        ("final", "–", "0.500", "0.500", "0.500"),
    )


def test_the_policy_has_one_name(real):
    assert [row_name(row) for row in real.rows] == [
        "twin", "exit 1", "exit 2", "exit 3", "final", "policy"
    ]  # fmt: skip
