"""Classes: the confusion matrix and its words; sensitivity and specificity."""

import numpy as np

from endoexit.reporting.classes import class_figures, confusion_matrix, row_title
from report_material import make_material


def test_the_alternative_text_tells_the_largest_confusion():
    material = make_material()
    confusion = confusion_matrix(material, material.evaluation.row("exit 1"))
    counts = np.array(material.evaluation.row("exit 1").scores.confusion)
    assert f"{counts.trace()} of 60 images are right" in confusion.alt
    worst = (counts - np.diag(counts.diagonal())).max()
    assert f" {worst} times" in confusion.alt


def test_all_right_names_no_confusion():
    material = make_material(("a", "b"), images=8)
    row = material.evaluation.row("final")
    perfect = row.replaced(scores=row.scores.replaced(confusion=((4, 0), (0, 4))))
    assert confusion_matrix(material, perfect).alt.endswith("8 of 8 images are right.")


def test_columns_are_numbered_where_names_have_no_room():
    few = make_material(("a", "b"), images=8)
    many = make_material(tuple(f"class {n}" for n in range(24)), images=96)
    assert "numbers of images" in confusion_matrix(few, few.evaluation.row("final")).caption
    assert "numbered as the rows" in confusion_matrix(many, many.evaluation.row("final")).caption


def test_both_figures_tell_the_scores_of_the_policy():
    material = make_material()
    entry = material.evaluation.row("adaptive").scores.classes[0]
    sensitivity, specificity = class_figures(material)
    assert f"{entry.name} {100 * entry.sensitivity.value:.1f} %" in sensitivity.alt
    assert f"{entry.name} {100 * entry.specificity.value:.1f} %" in specificity.alt
    assert sensitivity.alt.startswith("Sensitivity of the policy:")
    assert class_figures(make_material(exits=1))[0].alt.startswith("Sensitivity of the final exit")


def test_rows_are_titled_by_what_answers():
    rows = make_material().evaluation.rows
    assert [row_title(row) for row in rows] == [
        "exit 1",
        "exit 2",
        "exit 3",
        "final exit",
        "policy",
    ]
