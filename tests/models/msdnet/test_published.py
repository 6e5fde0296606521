"""MSDNet answers what the published code answers, with its weights by its names."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from endoexit.models.msdnet.config import msdnet_configs
from endoexit.models.msdnet.network import MSDNet
from endoexit.models.published import load_published
from golden_networks import answers, cases, distance, keys, weights

CONFIGS = msdnet_configs()
# Sides at which the published pool of 2×2 positions reads a whole map.
WHOLE = {32, 160, 224}


def classes(name: str) -> int:
    return 1000 if "imagenet" in name else 100 if "100" in name or "phuong" in name else 10


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
