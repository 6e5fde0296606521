"""Schemes of weights: published numbers, formulas, and what is refused."""

import pytest

from endoexit.errors import UsageError
from endoexit.training.strategies.weights import weights_of
from golden_losses import GOLDEN


@pytest.mark.parametrize("epoch", GOLDEN["sdn_loss_weights"])
def test_the_ramp_is_that_of_the_published_code(epoch):
    expected = GOLDEN["sdn_loss_weights"][epoch]
    assert weights_of("sdn", 7, int(epoch), 100) == pytest.approx([*expected, 1.0])


@pytest.mark.parametrize(
    ("scheme", "expected"),
    [
        ("equal", [1, 1, 1, 1]),
        ("linear", [0.25, 0.5, 0.75, 1]),
        ("pabee", [0.1, 0.2, 0.3, 0.4]),
        ("branchynet", [1, 1, 1, 0.3]),
        ("eenet", [0.05, 0.1, 0.15, 0.2]),
        ((1.0, 0.0, 2.0, 0.5), [1, 0, 2, 0.5]),
    ],
)
def test_schemes_by_their_formulas(scheme, expected):
    assert weights_of(scheme, 4) == pytest.approx(expected)


@pytest.mark.parametrize("scheme", ["equal", "linear", "pabee", "sdn"])
def test_one_exit_has_the_whole_weight(scheme):
    assert weights_of(scheme, 1, 3, 10) == [1.0]


@pytest.mark.parametrize("weights", [(1.0, 1.0), (1.0, -1.0, 1.0), (1.0, 1.0, 0.0)])
def test_wrong_weights_say_how_many_are_needed(weights):
    with pytest.raises(UsageError, match=r"must be 3 numbers, one an exit, .* or one of equal"):
        weights_of(weights, 3)
