"""True counts against formulae derived by hand from the description of the network."""

import pytest
import torch

from endoexit.errors import UsageError
from endoexit.models import create_model, model_config
from endoexit.models.cost import measure_complexity
from endoexit.models.spec import NetworkSpec

SIZE, CLASSES, WINDOW, REDUCTION = 64, 3, 2, 4
SMALL = {
    "width": 8,
    "depths": (1, 2, 1, 1),
    "heads": (1, 2, 4, 8),
    "window": WINDOW,
    "exit_reduction": REDUCTION,
}


def expected_macs(scale: int, *, depthwise: bool) -> int:
    """Multiply-adds of scale 0-3 without a head: convolutions, linear layers, attention."""
    c, side = SMALL["width"] * 2**scale, SIZE // 4 // 2**scale
    depth, n = SMALL["depths"][scale], side * side
    window = WINDOW * WINDOW
    # The windows of 2 divide every map here, so no position is padding.
    attention = n * (3 * c * c + c * c) + 2 * n * window * c
    global_branch = depth * (attention + n * c * c)
    local_branch = depth * (n * 9 * c + n * c * c)
    # Two 4×4 convolutions; later a 2×2 convolution, and four merged patches, C/2 to C.
    enter = 2 * n * (16 * 3 if scale == 0 else 4 * c // 2) * c
    maps = 2 if scale == 0 else 3
    before = 0 if scale == 0 else 4 * n * (c // 2) * c
    fusion = before + 2 * n * c * c + n * maps * c * c
    gates = n * 49 * 2 + 2 * 2 * c * max(1, c // 16)
    mix = n * 9 * 3 * c * (1 if depthwise else 3 * c)
    expand, project = n * 3 * c * 12 * c, n * 12 * c * c
    return enter + global_branch + local_branch + fusion + gates + mix + expand + project


def expected_head_macs(scale: int) -> int:
    c, side = SMALL["width"] * 2**scale, SIZE // 4 // 2**scale
    if scale == 3:
        return c * CLASSES
    return 3 * (2 * 2 * c * (c // REDUCTION) + side * side * 49 * 2) + c * CLASSES


@pytest.mark.parametrize("depthwise", [False, True])
def test_multiply_adds_follow_the_formula(depthwise):
    complexity = NetworkSpec(
        "ee_hifuse_nano", CLASSES, SIZE, {**SMALL, "depthwise": depthwise}
    ).complexity
    total, expected = 0, []
    for scale in range(4):
        total += expected_macs(scale, depthwise=depthwise) + expected_head_macs(scale)
        expected.append(total)
    assert complexity.macs == tuple(expected)


def test_parameters_follow_the_formula():
    complexity = NetworkSpec(
        "ee_hifuse_nano", CLASSES, SIZE, {**SMALL, "depthwise": True}
    ).complexity
    total, expected = 0, []
    for scale in range(4):
        c, depth = SMALL["width"] * 2**scale, SMALL["depths"][scale]
        heads = SMALL["heads"][scale]
        if scale == 0:
            enter = 2 * (48 * c + c + 2 * c)
        else:
            half = c // 2
            enter = (2 * half + 4 * half * c + c) + (2 * 4 * half + 4 * half * c)
        table = (2 * WINDOW - 1) ** 2 * heads
        attention = table + 3 * c * c + 3 * c + c * c + c
        global_branch = depth * (2 * c + attention + c * c + c)
        local_branch = depth * (9 * c + c + 2 * c + c * c + c)
        conv_norm = [(c, c), (c, c), ((2 if scale == 0 else 3) * c, c)]
        conv_norm += [] if scale == 0 else [(c // 2, c)]
        fusion = sum(a * b + b + 2 * b for a, b in conv_norm)
        fusion += 2 * (2 if scale == 0 else 3) * c + 2 * 3 * c  # both channel normalisations
        fusion += 98 + 2 + 2 * c * max(1, c // 16)  # both gates
        fusion += 9 * 3 * c + 2 * 3 * c + 3 * c * 12 * c + 12 * c * c + 2 * c
        if scale == 3:
            head = 2 * c + c * CLASSES + CLASSES
        else:
            hidden = c // REDUCTION
            head = 3 * (2 * c * hidden + hidden + c + 98 + 2) + c * CLASSES + CLASSES
        total += enter + global_branch + local_branch + fusion + head
        expected.append(total)
    assert complexity.parameters == tuple(expected)
    model = create_model("ee_hifuse_nano", CLASSES, **SMALL, depthwise=True)
    assert complexity.parameters[-1] == sum(p.numel() for p in model.parameters())


def test_twice_the_side_is_four_times_the_work_but_for_the_heads():
    small = NetworkSpec("hifuse_nano", CLASSES, SIZE, SMALL).complexity
    large = NetworkSpec("hifuse_nano", CLASSES, 2 * SIZE, SMALL).complexity
    gates = sum(4 * c * max(1, c // 16) for c in model_config("hifuse_nano", **SMALL).channels)
    fixed = gates + 8 * SMALL["width"] * CLASSES  # what works on pooled vectors
    assert large.macs[-1] - fixed == 4 * (small.macs[-1] - fixed)
    assert large.parameters == small.parameters


@pytest.mark.parametrize("training", [False, True])
def test_counting_leaves_the_network_as_it_was(training):
    model = create_model("ee_hifuse_nano", CLASSES, **SMALL).train(training)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    # 32 pixels: the last map is one value a channel.
    complexity = measure_complexity(model, 32)
    assert complexity == NetworkSpec("ee_hifuse_nano", CLASSES, 32, SMALL).complexity
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert all(module.training == training for module in model.modules())
    assert not any(module._forward_hooks for module in model.modules())


def test_published_widths_by_the_known_ratios():
    nano = NetworkSpec("ee_hifuse_nano", 8, 224).complexity.macs
    assert nano[0] / nano[-1] == pytest.approx(0.254, abs=5e-4)
    small = NetworkSpec("ee_hifuse_small", 8, 224).complexity.macs
    ratios = [macs / small[-1] for macs in small[:2]]
    assert ratios == pytest.approx([0.235, 0.477], abs=5e-4)


def test_mean_macs_weighs_the_exits_by_their_shares():
    complexity = NetworkSpec("ee_hifuse_nano", CLASSES, SIZE, SMALL).complexity
    first, second = complexity.macs[:2]
    assert complexity.mean_macs((0.75, 0.25, 0, 0)) == pytest.approx(0.75 * first + 0.25 * second)


def test_a_size_that_does_not_fit_is_refused_with_the_nearest():
    with pytest.raises(UsageError, match=r"100×100 .* multiples of 32; 96 is the nearest"):
        _ = NetworkSpec("ee_hifuse_nano", 8, 100).complexity
