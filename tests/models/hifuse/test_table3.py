"""The paper's counting rules: against thop itself, and against the printed table."""

import json
import re
import warnings
from pathlib import Path

import pytest
import torch
from torch import nn

from endoexit.models import create_model
from endoexit.models.hifuse.layers import MapLinear
from endoexit.models.hifuse.table3 import (
    PUBLISHED_PARAMETERS,
    TABLE_3,
    count_by_paper,
    reproduce_table3,
)
from endoexit.models.spec import NetworkSpec

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # thop imports distutils
    import thop
    from thop.vision.basic_hooks import count_linear

GOLDEN = Path(__file__).parents[2] / "golden"


@pytest.fixture(scope="module")
def rows():
    return reproduce_table3()


def test_all_ten_numbers_agree_to_the_last_known_digit(rows):
    counted = [(row.parameters, row.operations) for row in rows]
    assert counted == [
        (121614264, 18142167102),
        (1357098, 4241399904),
        (6937830, 8648183328),
        (32798406, 13747051584),
        (121695282, 18143577126),
    ]


def test_agreement_means_the_printed_digits(rows):
    assert all(row.agrees for row in rows)
    wrong = type(rows[0])(TABLE_3[0], 121_613_400, 18_142_167_102, 0, 0)
    assert not wrong.agrees


class UpTo(nn.Module):
    """The first stages of a network: what thop is given for one exit."""

    def __init__(self, model: nn.Module, last: int) -> None:
        super().__init__()
        self.stages = model.stages[:last]

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        state = (images,)
        for stage in self.stages:
            state, logits = stage(state)
        return logits


def pooling(width: int, size: int, scales: int) -> int:
    """What thop says of the pooling layers that the published code has and ours does not."""
    total = 0
    for scale in range(scales):
        channels, side = width * 2**scale, size // 4 // 2**scale
        total += thop.profile(
            nn.AdaptiveAvgPool2d(1), (torch.zeros(1, channels, side, side),), verbose=False
        )[0]
        if scale:
            total += thop.profile(
                nn.AvgPool2d(2), (torch.zeros(1, channels, 2 * side, 2 * side),), verbose=False
            )[0]
    return int(total)


def test_the_rules_are_those_of_thop():
    # 64 pixels are no multiple of the windows of 3: padded positions count as well.
    settings = {"width": 8, "depths": (1, 2, 1, 1), "heads": (1, 2, 4, 8), "window": 3}
    model = create_model("ee_hifuse_nano", 5, **settings).eval()
    ours = count_by_paper(model, 64)
    for last in range(1, 5):
        operations, parameters = thop.profile(
            UpTo(model, last),
            (torch.zeros(1, 3, 64, 64),),
            custom_ops={MapLinear: count_linear},  # a linear layer in the published code
            verbose=False,
        )
        assert ours.parameters[last - 1] == parameters
        assert ours.macs[last - 1] == operations + pooling(8, 64, last)


def test_the_published_parameters_are_ours_and_the_layers_that_never_run():
    shapes = json.loads((GOLDEN / "hifuse_small_8.keys.json").read_text())
    buffers = ("running_mean", "running_var", "num_batches_tracked", "relative_position_index")
    sizes = {
        name: torch.Size(shape).numel()
        for name, shape in shapes.items()
        if not name.endswith(buffers)
    }
    assert sum(sizes.values()) == PUBLISHED_PARAMETERS
    # In the published forward pass: the first fusion block has nothing before it to project or
    # to join, the others never join two maps; norm2 and the classifier `head` are not called.
    dead = re.compile(
        r"fu1\.(Updim|norm1|W3)\.|fu[2-4]\.(norm2|W)\.|layers\d\.blocks\.\d+\.norm2\.|(norm|head)\."
    )
    never_run = sum(size for name, size in sizes.items() if dead.match(name))
    assert sum(size for name, size in sizes.items() if name.startswith("head.")) == 768 * 8 + 8
    ours = NetworkSpec("hifuse_small", 8, 224).complexity.parameters[-1]
    assert ours == PUBLISHED_PARAMETERS - never_run


@pytest.mark.parametrize("size", [32, 96])
def test_counting_leaves_no_hook_behind(size):
    model = create_model("hifuse_nano", 3, width=8)
    count_by_paper(model, size)
    assert not any(module._forward_hooks for module in model.modules())
