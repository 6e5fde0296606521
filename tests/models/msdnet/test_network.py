"""MSDNet answers and costs what the published code answers and costs."""

import re

import numpy as np
import pytest
import torch
from torch.nn import functional

from endoexit.errors import UsageError
from endoexit.models.cost import measure_complexity
from endoexit.models.msdnet.config import MSDNetConfig, msdnet_configs
from endoexit.models.msdnet.network import MSDNet
from endoexit.models.msdnet.published import published_prefixes
from endoexit.models.published import load_published, published_names
from golden_networks import answers, cases, counts, distance, keys, weights

CONFIGS = msdnet_configs()
COUNTS = counts("msdnet")
# Sides at which the published pool of 2×2 positions reads a whole map.
WHOLE = {32, 160, 224}


def classes(name: str) -> int:
    return 1000 if "imagenet" in name else 100 if "100" in name or "phuong" in name else 10


def blank(name: str, *, lazy: bool) -> MSDNet:
    with torch.device("meta"):
        return MSDNet(CONFIGS[name].replaced({"lazy": lazy}), classes(name))


@pytest.mark.parametrize("name", COUNTS)
@pytest.mark.parametrize("lazy", [False, True])
def test_every_configuration_has_the_published_costs(name, lazy):
    complexity = measure_complexity(blank(name, lazy=lazy), COUNTS[name]["size"])
    assert list(complexity.macs) == COUNTS[name]["macs_lazy" if lazy else "macs"]


@pytest.mark.parametrize("name", COUNTS)
def test_every_configuration_has_the_published_parameters_and_widths(name):
    complexity = measure_complexity(blank(name, lazy=False), COUNTS[name]["size"])
    assert list(complexity.parameters) == COUNTS[name]["parameters"]
    config = CONFIGS[name]
    widths = [config.channels(end, config.scales) for end in config.ends]
    assert widths == COUNTS[name]["channels_of_coarsest"]


def test_the_variant_for_distillation_has_the_published_costs():
    golden = counts("other")["phuong_lampert_msdnet_cifar100"]
    complexity = measure_complexity(blank("phuong_lampert_msdnet", lazy=False), 32)
    assert list(complexity.macs) == golden["macs"]
    assert list(complexity.parameters) == golden["parameters"]


@pytest.mark.slow
@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize(
    "name", ["msdnet_cifar10_7", "msdnet_imagenet_k4", "phuong_lampert_msdnet"]
)
def test_logits_agree_with_the_published_code(name, lazy):
    golden = answers(name)
    model = MSDNet(CONFIGS[name].replaced({"lazy": lazy}), classes(name))
    state_dict = weights(keys(name))
    report = load_published(model, state_dict)
    assert report.left_out == ()
    assert report.loaded == len(state_dict)
    for case, images in cases(golden):
        if images.shape[2] in WHOLE:
            assert distance(model, images, golden, case) < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("name", ["msdnet_cifar10_7", "msdnet_imagenet_k4"])
def test_larger_images_differ_by_the_published_pool_alone(name):
    """There the published pool reads the first 2×2 of 3×3 positions; ours reads all."""
    golden = answers(name)
    model = MSDNet(CONFIGS[name], classes(name)).eval()
    load_published(model, weights(keys(name)))
    large = [(case, images) for case, images in cases(golden) if images.shape[2] not in WHOLE]
    assert large
    for case, images in large:
        state = (torch.from_numpy(images),)
        with torch.inference_mode():
            for number, stage in enumerate(model.stages, 1):
                state, _ = stage(state)
                pooled = functional.avg_pool2d(stage.head.reduce(state[-1]), 2).flatten(1)
                logits = stage.head.classify(pooled).numpy()
                want = golden[f"{case}_exit{number}"]
                assert np.abs(logits - want).max() <= 1e-5 * np.abs(want).max()


@pytest.mark.slow
def test_every_map_agrees_with_the_published_code():
    golden = answers("msdnet_cifar10_7")
    model = MSDNet(CONFIGS["msdnet_cifar10_7"], 10).eval()
    load_published(model, weights(keys("msdnet_cifar10_7")))
    compared = 0
    for case, images in cases(golden):
        state = (torch.from_numpy(images),)
        for number in range(1, model.num_stages + 1):
            with torch.inference_mode():
                state, _ = model.stage(number, state)
            scales = model.stages[number - 1].trunk[0].gives
            for scale, x in zip(scales, state, strict=True):
                want = golden.get(f"{case}_exit{number}_scale{scale}")
                if want is None:
                    continue
                ours = [x.mean(), x.std(correction=0), x.abs().max(), *x[0, :3, 1, 2]]
                assert np.abs(np.array(ours) - want).max() <= 1e-4 * np.abs(want).max()
                compared += 1
    assert compared > 10


@pytest.mark.parametrize("prune", ["max", "min"])
@pytest.mark.parametrize("step_mode", ["even", "lin_grow"])
def test_a_lazy_network_gives_the_same_answers(prune, step_mode):
    small = MSDNetConfig(blocks=3, base=3, step=2, step_mode=step_mode, factors=(1, 2, 4),
                         bottleneck=(1, 2, 4), width=8, growth=4, stem="plain", prune=prune,
                         side=32)  # fmt: skip
    eager = MSDNet(small, 5).eval()
    lazy = MSDNet(small.replaced({"lazy": True}), 5).eval()
    values = eager.state_dict()
    by_name = {
        key: values[own] for own, key in published_names(eager, published_prefixes(eager)).items()
    }
    names = published_names(lazy, published_prefixes(lazy))
    lazy.load_state_dict({own: by_name[key] for own, key in names.items()})
    images = torch.randn(2, 3, 32, 32)
    with torch.inference_mode():
        for a, b in zip(eager(images), lazy(images), strict=True):
            torch.testing.assert_close(a, b)
    first = [measure_complexity(model, 32).macs[0] for model in (eager, lazy)]
    assert first[1] < first[0]


def test_every_parameter_of_a_lazy_network_is_used():
    config = MSDNetConfig(blocks=2, base=2, step=2, factors=(1, 2), bottleneck=(1, 2), width=4,
                          growth=2, stem="plain", lazy=True, side=32)  # fmt: skip
    model = MSDNet(config, 3)
    sum(z.sum() for z in model(torch.randn(2, 3, 32, 32))).backward()
    assert [name for name, p in model.named_parameters() if p.grad is None] == []


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"growth": 3, "factors": (1, 3), "bottleneck": (1, 1)}, "growth must be even"),
        ({"bottleneck": (1,)}, "bottleneck must be 4 numbers"),
        ({"step_mode": "odd"}, "step_mode must be even or lin_grow"),
        ({"blocks": 0}, "blocks must be a whole number of at least 1"),
        ({"groth": 8}, "did you mean 'growth'"),
    ],
)
def test_settings_that_do_not_fit_are_named(changes, what):
    with pytest.raises(UsageError, match=re.escape(what)):
        MSDNetConfig().replaced(changes)
