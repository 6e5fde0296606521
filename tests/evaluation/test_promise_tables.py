"""The table of promises says what was promised and what the images show of it."""

import pytest

from endoexit.evaluation.document import PromiseShown
from endoexit.evaluation.estimates import Estimate, Interval
from endoexit.evaluation.promise_tables import promise_table, verdict
from endoexit.policy.document import Promise
from endoexit.policy.risks import Risk


def promised(evaluation, kept, observed, of_class=None):
    risk = Risk(name="missed" if of_class else "disagreement", tolerance=0.01, of_class=of_class)
    promise = Promise(
        risk=risk, delta=0.05, images=200, unit="group", observed=0.004, p_value=0.01,
        method="betting",
    )  # fmt: skip
    shown = PromiseShown(promise=promise, units=67, observed=observed, kept=kept)
    return evaluation.replaced(adaptive=evaluation.adaptive.replaced(promises=(shown,)))


@pytest.mark.parametrize(
    ("kept", "low", "said"),
    [
        (True, 0.0, None),
        (False, 0.005, "so it may be chance"),
        (False, 0.02, "do not rely on it"),
    ],
)
def test_a_promise_is_kept_or_violated_with_or_without_doubt(real, kept, low, said):
    interval = Interval(low=low, high=0.08, method="made up")
    observed = Estimate(value=0.04 if not kept else 0.0, interval=interval)
    table = promise_table(promised(real, kept, observed))
    cells = table.cells()[0]
    assert cells[:3] == ("disagreement <= 0.01", "kept" if kept else "VIOLATED", "67 groups")
    assert cells[3:5] == ("0.4", "200 groups")
    assert table.notes[0] == (
        "Promised with probability 0.95, all at once. Counted as one: each group, with its mean "
        "loss."
    )
    if said is None:
        assert len(table.notes) == 1
    else:
        assert "the 67 test groups show 4.00%" in table.notes[1]
        assert said in table.notes[1]


def test_a_floor_is_shown_as_the_share_that_it_is_named_after(real):
    interval = Interval(low=0.02, high=0.09, method="made up")
    evaluation = promised(real, False, Estimate(value=0.06, interval=interval))
    (shown,) = evaluation.adaptive.promises
    risk = Risk(name="sensitivity", tolerance=0.05, of_class="polyp")
    shown = shown.replaced(promise=shown.promise.replaced(risk=risk))
    floor = evaluation.replaced(adaptive=evaluation.adaptive.replaced(promises=(shown,)))
    table = promise_table(floor)
    assert table.cells()[0][0] == "sensitivity[polyp] >= 0.95"
    assert table.cells()[0][3] == "99.6"
    assert table.cells()[0][5] == "94.0 [91.0, 98.0]"
    assert (
        "sensitivity[polyp] >= 0.95 was promised, the 67 test groups show 94.00%. "
        in (table.notes[1])
    )
    assert "reaches up to the promise" in table.notes[1]


def test_a_promise_about_no_image_is_worded_one_way(real):
    observed = Estimate(value=None, reason="no image of class 'polyp'")
    table = promise_table(promised(real, None, observed, "polyp"))
    assert table.cells()[0][1] == verdict(None) == "nothing seen"
    assert table.notes[1] == ("missed[polyp]: nothing seen (no image of class 'polyp').")
    assert promise_table(real) is None
