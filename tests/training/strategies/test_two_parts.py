"""Two parts of a training: how many epochs each has, and which weights may be kept."""

import pytest

from endoexit.training.strategies.collaboration import CollaborationSettings
from endoexit.training.strategies.two_stage import TwoStageSettings


@pytest.mark.parametrize(
    ("share", "epochs", "parts"),
    [(0.5, 4, (2, 2)), (0.01, 10, (1, 9)), (0.99, 10, (9, 1)), (0.3, 10, (3, 7)), (0.5, 2, (1, 1))],
)
def test_each_part_has_an_epoch(share, epochs, parts):
    assert TwoStageSettings(trunk_share=share).build(3, 0.0).parts(epochs) == parts


@pytest.mark.parametrize("settings", [TwoStageSettings(), CollaborationSettings()])
def test_weights_of_the_second_part_alone_may_be_kept(settings):
    strategy = settings.build(3, 0.0)
    kept = []
    for epoch in range(1, 6):
        strategy.begin_epoch(epoch, 5)
        kept.append(strategy.keeps)
    assert kept == [False, False, True, True, True]
