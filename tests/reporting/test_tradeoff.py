"""Accuracy against cost: points, front and paper where they belong, told in words as well."""

from dataclasses import replace

import pytest

from endoexit.evaluation.figures import percent_with_interval, significant
from endoexit.evaluation.tables import row_name
from endoexit.policy.document import FrontPoint
from endoexit.policy.rules.threshold import ThresholdRule
from endoexit.reporting.tradeoff import cost_of, front_marks, paper_marks, tradeoff
from report_material import make_material


def rule_of(threshold):
    return ThresholdRule(kind="max_probability", thresholds=(threshold,) * 3)


def test_the_papers_final_exit_lies_on_ours_without_a_twin():
    evaluation = make_material().evaluation
    final = evaluation.row("final")
    mark = paper_marks(evaluation, cost_of(evaluation))[-1]
    assert mark.cost == pytest.approx(final.time.ms)
    assert mark.accuracy == pytest.approx(100 * final.scores.accuracy.value)


def test_the_papers_points_are_drawn_on_request():
    material = make_material()
    assert "paper" not in tradeoff(material).caption
    asked = tradeoff(replace(material, paper=True))
    assert "Grey diamonds: the exits of the paper’s Table 3" in asked.caption
    assert asked.png != tradeoff(material).png


def test_the_front_is_drawn_at_the_costs_measured_here():
    material = make_material()
    point = FrontPoint(rule=rule_of(0.1), cost=7e9, score=0.8, accuracy=0.8,
                       exit_shares=(0.5, 0.0, 0.0, 0.5))  # fmt: skip
    policy = material.policy.replaced(front=(point,))
    material = replace(material, policy=policy)
    (mark,) = front_marks(material, cost_of(material.evaluation))
    assert mark.cost == pytest.approx(0.5 * 10 + 0.5 * 40)  # milliseconds, not multiply-adds
    assert mark.accuracy == pytest.approx(80)


def test_the_chosen_point_of_the_front_is_marked():
    material = make_material()
    points = tuple(
        FrontPoint(rule=rule_of(threshold), cost=7e9, score=0.8, accuracy=accuracy,
                   exit_shares=(0.5, 0.0, 0.0, 0.5))
        for threshold, accuracy in ((0.6, 0.75), (0.7, 0.8), (0.8, 0.85))
    )  # fmt: skip

    def drawn(front):
        policy = material.policy.replaced(front=front)
        return replace(material, policy=policy)

    marks = front_marks(drawn(points), cost_of(material.evaluation))
    assert [mark.accuracy for mark in marks if mark.chosen] == [pytest.approx(80)]
    picture = tradeoff(drawn(points))
    assert "The policy was chosen at 80.0 % at 25.0 ms there." in picture.alt
    assert "The hollow star is the same policy there." in picture.caption
    without = tradeoff(drawn(points[:1]))
    assert "chosen" not in without.alt
    assert "hollow" not in without.caption


def test_the_alternative_text_tells_the_figures():
    material = make_material()
    picture = tradeoff(material)
    for row in material.evaluation.rows:
        value = percent_with_interval(row.scores.accuracy)
        assert f"{row_name(row)} {value} % at {significant(row.time.ms)} ms" in picture.alt


def test_figures_are_svg_and_png_without_a_date():
    picture = tradeoff(make_material())
    assert picture.svg.startswith(b"<?xml")
    assert picture.png.startswith(b"\x89PNG")
    assert b"<dc:date>" not in picture.svg
