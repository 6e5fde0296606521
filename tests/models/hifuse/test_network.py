"""The HiFuse network: where its exits are, what images fit, what settings fit."""

import pytest
import torch

from endoexit.errors import UsageError
from tiny_hifuse import tiny


@pytest.mark.parametrize("exits", [(), (1,), (3,), (1, 3), (1, 2, 3)])
def test_exits_stand_where_the_configuration_says(exits):
    model = tiny(exits=exits).eval()
    assert model.num_stages == len(exits) + 1
    assert len(model(torch.randn(1, 3, 32, 32))) == len(exits) + 1
    scales = [len(stage.trunk) for stage in model.stages]
    ends = [sum(scales[: i + 1]) for i in range(len(scales))]
    assert ends == [*exits, 4]


def test_rectangles_and_odd_windows_agree_with_padding_by_hand():
    # A 96-pixel image has maps of 24, 12, 6 and 3: every one is padded to windows of 7.
    model = tiny().eval()
    with torch.inference_mode():
        assert all(torch.isfinite(z).all() for z in model(torch.randn(1, 3, 96, 96)))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: tiny(heads=(3, 2, 4, 8)), "heads must be divisors of the channels (16, 32"),
        (lambda: tiny(exits=(2, 1)), "exits must be scales from 1 to 3 in rising order"),
        (lambda: tiny(exits=(4,)), "exits must be scales from 1 to 3 in rising order"),
        (lambda: tiny(depths=(1, 1)), "depths must be 4 numbers"),
        (lambda: tiny(depths=2), "depths must be a list of whole numbers, got 2"),
        (lambda: tiny(heads=(1, 2, 4, 8.0)), "heads must be a list of whole numbers"),
        (lambda: tiny(width=16.0), "width must be a whole number, got 16.0"),
        (lambda: tiny(depthwise=1), "depthwise must be true or false, got 1"),
        (lambda: tiny(drop_path="much"), "drop_path must be a number, got 'much'"),
        (lambda: tiny(drop_path=1.0), "drop_path must be in [0, 1), got 1.0"),
    ],
)
def test_settings_that_do_not_fit_are_refused_with_what_fits(call, message):
    with pytest.raises(UsageError) as caught:
        call()
    assert message in str(caught.value)
