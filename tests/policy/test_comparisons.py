import numpy as np
import pytest

from endoexit.policy.comparisons import (
    oracle,
    oracle_exits,
    random_assignment,
    random_right,
)
from endoexit.policy.logits import LogitSet
from endoexit.policy.table import outcome

COSTS = (1.0, 2.0, 4.0)
# Exit 1 is right for images 0 and 1, exit 2 for 0 and 2, exit 3 for 0 and 2; none for image 3.
ANSWERS = np.array([[0, 1, 1, 1], [0, 0, 2, 1], [0, 0, 2, 2]])
DATA = LogitSet("test", np.eye(3)[ANSWERS], np.array([0, 1, 2, 0]))


def test_oracle_by_hand():
    assert oracle_exits(DATA).tolist() == [1, 1, 2, 1]
    assert oracle(DATA, COSTS).accuracy == 0.75
    assert oracle(DATA, COSTS).cost == 5 / 4


def test_random_assignment_is_the_mean_over_all_permutations():
    exits = np.array([1, 3, 2, 2])
    expected = random_assignment(DATA, exits, COSTS)
    generator = np.random.default_rng(0)
    drawn = [outcome(DATA, generator.permutation(exits), COSTS).accuracy for _ in range(4000)]
    assert expected.accuracy == pytest.approx(np.mean(drawn), abs=0.01)
    assert expected.accuracy == pytest.approx(0.25 * 0.5 + 0.5 * 0.5 + 0.25 * 0.5)
    assert expected.cost == 9 / 4
    # Image 0 is right at every exit, 1 at exit 1, 2 at exits 2 and 3, 3 nowhere.
    assert random_right(DATA, exits).tolist() == [1.0, 0.25, 0.75, 0.0]
