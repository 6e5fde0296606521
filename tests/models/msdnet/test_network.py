"""A lazy MSDNet computes what an eager one does, with less work at its first exits."""

import pytest
import torch

from endoexit.models.cost import measure_complexity
from endoexit.models.msdnet.config import MSDNetConfig
from endoexit.models.msdnet.network import MSDNet
from endoexit.models.msdnet.published import published_prefixes
from endoexit.models.published import published_names


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
        key: values[name] for name, key in published_names(eager, published_prefixes(eager)).items()
    }
    names = published_names(lazy, published_prefixes(lazy))
    lazy.load_state_dict({name: by_name[key] for name, key in names.items()})
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
