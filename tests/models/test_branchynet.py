"""BranchyNet answers and costs what the authors' code does."""

import pytest
import torch

from endoexit.errors import UsageError
from endoexit.models.branchynet import BranchyNet, branchynet_configs
from endoexit.models.cost import measure_complexity
from endoexit.models.published import load_published
from golden_networks import answers, cases, counts, distance, keys, weights

NAMES = list(branchynet_configs())


@pytest.fixture(scope="module", params=NAMES)
def named(request) -> tuple[str, BranchyNet]:
    return request.param, BranchyNet(branchynet_configs()[request.param], 10)


def test_costs(named):
    name, model = named
    golden = counts("branchy")[name]
    complexity = measure_complexity(model, model.config.side)
    assert list(complexity.macs) == golden["macs"]
    assert list(complexity.parameters) == golden["parameters"]


def test_logits_agree_with_the_published_code(named):
    name, model = named
    golden = answers(name)
    report = load_published(model, weights(keys(name)))
    assert report.left_out == ()
    for case, images in cases(golden):
        side = model.config.side
        assert distance(model, images[:, :, :side, :side], golden, case) < 1e-5


def test_digits_are_read_from_the_first_channel():
    model = BranchyNet(branchynet_configs()["b_lenet"], 10).eval()
    images = torch.randn(2, 3, 28, 28)
    changed = images.clone()
    changed[:, 1:] = 0
    with torch.inference_mode():
        assert all(a.equal(b) for a, b in zip(model(images), model(changed), strict=True))


def test_another_size_is_refused_with_the_one_that_fits(named):
    _, model = named
    with pytest.raises(UsageError, match=f"take {model.config.side}×{model.config.side} alone"):
        model(torch.zeros(1, 3, 64, 64))
