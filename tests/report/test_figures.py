"""What the figures are drawn from: bins, points, fronts; styles that do not rest on colour."""

from dataclasses import replace

import numpy as np
import pytest

from endoexit.evaluation.document import Estimate, Interval
from endoexit.evaluation.figures import percent_with_interval, significant
from endoexit.policy import softmax
from endoexit.policy.document import FrontPoint
from endoexit.policy.rules.threshold import ThresholdRule
from endoexit.policy.temperature import expected_calibration_error, negative_log_likelihood
from endoexit.report.classes import confusion_matrix
from endoexit.report.paper import PAPER, is_papers
from endoexit.report.reliability import bins_of, measure_reliability
from endoexit.report.style import exit_style
from endoexit.report.tradeoff import cost_of, front_marks, paper_marks, tradeoff
from endoexit.report.words import elided, points, score
from report_material import estimate, make_logits, make_material


def test_bins_hold_what_the_calibration_error_is_made_of():
    logits, labels = make_logits(4, 500, 1)
    probabilities = softmax(logits[0])
    sure, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    bins = bins_of(sure, right)
    assert bins.counts.sum() == 500
    assert bins.ece == pytest.approx(expected_calibration_error(probabilities, labels))
    top = (sure > 14 / 15) & (sure <= 1)
    assert bins.counts[-1] == top.sum()
    assert bins.right[-1] == pytest.approx(right[top].mean())
    assert bins.sure[-1] == pytest.approx(sure[top].mean())


def test_reliability_before_and_after_the_policys_temperature():
    material = make_material(images=300)
    labels = np.array(material.evaluation.images.labels)
    for number, found in enumerate(measure_reliability(material), start=1):
        temperature = material.policy.temperatures[number - 1]
        logits = material.logits[number - 1]
        assert found.temperature == temperature
        before, after = (
            expected_calibration_error(softmax(logits, t), labels) for t in (1.0, temperature)
        )
        # The evaluation keeps six digits of each probability.
        assert found.before.ece == pytest.approx(before, abs=2e-3)
        assert found.after.ece == pytest.approx(after)
        assert found.nll[1] == pytest.approx(negative_log_likelihood(logits, labels, temperature))


def test_the_papers_points_are_its_table():
    assert [point.name for point in PAPER] == ["exit 1", "exit 2", "exit 3", "final"]
    assert [round(point.time, 2) for point in PAPER] == [0.20, 0.34, 0.68, 1.03]
    assert [round(100 * point.gain, 1) for point in PAPER] == [-3.8, 1.5, 0.5, 1.5]


def test_the_papers_final_exit_lies_on_ours_without_a_twin():
    evaluation = make_material().evaluation
    final = evaluation.row("final")
    mark = paper_marks(evaluation, cost_of(evaluation))[-1]
    assert mark.cost == pytest.approx(final.time.ms)
    assert mark.accuracy == pytest.approx(100 * final.scores.accuracy.value)


def test_the_papers_points_are_for_its_networks_alone():
    assert [is_papers(name) for name in ("hifuse_tiny", "ee_hifuse_nano")] == [True, True]
    others = ("efficientnet_lite0", "timm:hifuse_x", "msdnet_imagenet_k4", "my/hifuse_a.py:make")
    assert not any(map(is_papers, others))
    with_paper, without = (tradeoff(make_material(paper=paper)) for paper in (True, False))
    assert "exits of the paper’s Table 3" in with_paper.caption
    assert "paper" not in without.caption
    assert b"exits of the paper" in with_paper.svg
    assert b"exits of the paper" not in without.svg


def rule_of(threshold):
    return ThresholdRule(kind="max_probability", thresholds=(threshold,) * 3)


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
        assert f"{row.name} {value} % at {significant(row.time.ms)} ms" in picture.alt
    confusion = confusion_matrix(material, material.evaluation.row("exit 1"))
    counts = np.array(material.evaluation.row("exit 1").scores.confusion)
    assert f"{counts.trace()} of 60 images are right" in confusion.alt
    worst = (counts - np.diag(counts.diagonal())).max()
    assert f" {worst} times" in confusion.alt


def test_figures_are_svg_and_png_without_a_date():
    picture = tradeoff(make_material())
    assert picture.svg.startswith(b"<?xml")
    assert picture.png.startswith(b"\x89PNG")
    assert b"<dc:date>" not in picture.svg


def test_exits_are_told_apart_without_colour():
    styles = [exit_style(number) for number in range(1, 7)]
    for field in ("colour", "marker", "dash", "hatch"):
        assert len({getattr(style, field) for style in styles}) == 6
    assert exit_style(7) == exit_style(1)


def test_names_keep_both_ends():
    assert elided("polyp", 10) == "polyp"
    assert elided("bbps-colon-0-1", 10) == "bbps-c…0-1"
    assert all(len(elided("x" * 99, length)) == length for length in range(4, 30))


def test_a_negative_difference_has_a_minus_not_a_hyphen():
    assert points(estimate(-0.021)).startswith("−2.1 [")
    below = Estimate(value=-0.072, interval=Interval(low=-0.3, high=0.1, method="made up"))
    assert score(below) == "−0.072 [−0.300, 0.100]"
    assert points(Estimate(value=-0.0002)) == "+0.0"
