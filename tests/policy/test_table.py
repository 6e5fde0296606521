import numpy as np
import pytest

from endoexit.policy import CONFIDENCES, confidence
from endoexit.policy.logits import LogitSet
from endoexit.policy.table import ExitTable, outcome

COSTS = (1.0, 2.0, 4.0)
# Exit 1 is right for images 0 and 1, exit 2 for 0 and 2, exit 3 for 0 and 2; none for image 3.
ANSWERS = np.array([[0, 1, 1, 1], [0, 0, 2, 1], [0, 0, 2, 2]])
DATA = LogitSet("test", np.eye(3)[ANSWERS], np.array([0, 1, 2, 0]))


def test_outcome_by_hand():
    seen = outcome(DATA, np.array([1, 3, 2, 2]), COSTS)
    assert seen.accuracy == 0.5
    assert seen.cost == (1 + 4 + 2 + 2) / 4
    assert seen.exit_shares == (0.25, 0.5, 0.25)


@pytest.mark.parametrize("name", CONFIDENCES)
def test_confidences_are_those_of_each_early_exit_at_its_temperature(golden, name):
    data = golden("val")
    table = ExitTable(data, (0.4, 0.6, 1.3, 1.0), (1.0, 2.0, 3.0, 4.0))
    rows = table.confidences(name)
    assert rows.shape == (3, data.num_images)
    for row, logits, temperature in zip(rows, data.logits, (0.4, 0.6, 1.3), strict=False):
        assert np.array_equal(row, confidence(logits, name, temperature))
    assert table.confidences(name) is rows, "computed once"


def test_one_exit_has_no_early_confidence(make_data):
    table = ExitTable(make_data(1), (1.0,), (1.0,))
    assert table.confidences("margin").shape == (0, 60)
