"""Two evaluations next to each other."""

import numpy as np
import pytest
from scipy.stats import binom

from endoexit.errors import DataError, UsageError
from endoexit.evaluation.comparison import compare_evaluations
from endoexit.evaluation.study import Options, evaluate_run
from endoexit.runtime.session import open_session
from evaluation_runs import copy_run

QUICK = Options(timing=False, resamples=400)


@pytest.fixture(scope="module")
def evaluation(tiny_run, tmp_path_factory):
    return evaluate_run(
        open_session(copy_run(tiny_run, tmp_path_factory.mktemp("compared") / "run")), QUICK
    )


def with_answers(evaluation, name, wrong):
    """Return the evaluation with a row that is wrong on so many of its first images."""
    labels = np.array(evaluation.images.labels)
    answers = labels.copy()
    answers[:wrong] = (answers[:wrong] + 1) % len(evaluation.classes)
    rows = tuple(
        row.replaced(predicted=tuple(answers.tolist())) if row.name == name else row
        for row in evaluation.rows
    )
    return evaluation.replaced(rows=rows)


def test_an_evaluation_does_not_differ_from_itself(evaluation):
    comparison = compare_evaluations(evaluation, evaluation)
    assert [row.name for row in comparison.rows] == [row.name for row in evaluation.rows]
    assert comparison.common == len(evaluation.images.paths)
    for row in comparison.rows:
        assert (row.difference.value, row.only_first, row.only_second, row.p_value) == (0, 0, 0, 1)
    assert comparison.notes == ()


def test_the_test_is_mcnemars(evaluation):
    """By hand: two images change in one direction, so p = 2 · 0.5²."""
    perfect, worse = (with_answers(evaluation, "final", wrong) for wrong in (0, 2))
    row = next(r for r in compare_evaluations(perfect, worse).rows if r.name == "final")
    assert (row.only_first, row.only_second) == (2, 0)
    assert row.p_value == pytest.approx(2 * binom.pmf(0, 2, 0.5))
    count = len(evaluation.images.paths)
    assert row.difference.value == pytest.approx(-2 / count)
    interval = row.difference.interval
    assert interval.low < -2 / count < interval.high < 0.001


def test_images_are_matched_whatever_their_order(evaluation):
    worse = with_answers(evaluation, "final", 2)
    images = evaluation.images
    turned = worse.replaced(
        images=images.replaced(
            paths=images.paths[::-1], labels=images.labels[::-1], groups=images.groups[::-1]
        ),
        rows=tuple(
            row.replaced(predicted=row.predicted[::-1], confidence=row.confidence[::-1])
            for row in worse.rows
        ),
    )
    ordered, reordered = (compare_evaluations(evaluation, each) for each in (worse, turned))
    assert [row.only_first for row in ordered.rows] == [row.only_first for row in reordered.rows]


def test_classes_in_another_order_are_the_same_classes(evaluation):
    classes = evaluation.classes
    turned = {n: len(classes) - 1 - n for n in range(len(classes))}
    images = evaluation.images
    reordered = evaluation.replaced(
        classes=classes[::-1],
        images=images.replaced(labels=tuple(turned[n] for n in images.labels)),
        rows=tuple(row.replaced(predicted=tuple(turned[n] for n in row.predicted))
                   for row in evaluation.rows),
    )  # fmt: skip
    assert all(row.only_first == row.only_second == 0
               for row in compare_evaluations(evaluation, reordered).rows)  # fmt: skip


def renamed(evaluation, rename):
    images = evaluation.images
    return evaluation.replaced(images=images.replaced(paths=tuple(map(rename, images.paths))))


def test_other_folders_are_matched_by_file_name_if_names_are_unique(evaluation):
    flat = {path: f"{n}.png" for n, path in enumerate(evaluation.images.paths)}
    first, second = (renamed(evaluation, lambda p, top=top: f"{top}/{flat[p]}") for top in "ab")
    comparison = compare_evaluations(first, second)
    assert comparison.common == len(flat)
    assert "by their file names" in comparison.notes[0]


def test_without_common_images_nothing_is_tested(evaluation):
    comparison = compare_evaluations(evaluation, renamed(evaluation, lambda path: f"{path}.other"))
    assert comparison.common == 0
    assert all(row.difference is None and row.p_value is None for row in comparison.rows)
    assert "No image is in both" in comparison.notes[-1]


def test_a_part_of_the_images_is_said(evaluation):
    first = evaluation.images.paths[0]
    partly_renamed = renamed(evaluation, lambda path: "x" if path == first else path)
    comparison = compare_evaluations(evaluation, partly_renamed)
    assert comparison.common == len(evaluation.images.paths) - 1
    assert "in both: the differences" in comparison.notes[0]


def test_what_cannot_be_compared_is_refused(evaluation):
    images = evaluation.images
    wrong = tuple((n + 1) % 3 if place == 0 else n for place, n in enumerate(images.labels))
    with pytest.raises(DataError, match="B gives 1 image another label than A"):
        compare_evaluations(evaluation, evaluation.replaced(images=images.replaced(labels=wrong)))
    with pytest.raises(UsageError, match="compare evaluations of the same classes"):
        compare_evaluations(evaluation, evaluation.replaced(classes=("a", "b", "c")))


def test_changed_contents_are_said(evaluation):
    images = evaluation.images.replaced(contents_sha256="0" * 64)
    (note,) = compare_evaluations(evaluation, evaluation.replaced(images=images)).notes
    assert "another content" in note


def test_the_coarser_groups_are_drawn(evaluation):
    """Images that one evaluation takes for one group are not independent in the other."""
    images = evaluation.images
    pairs = tuple(str(place // 2) for place in range(len(images.paths)))
    coarse = evaluation.replaced(images=images.replaced(groups=pairs))
    assert compare_evaluations(evaluation, coarse).groups == len(set(pairs))
    assert compare_evaluations(coarse, evaluation).groups == len(set(pairs))
