"""A network of the catalog with its settings is built, counted, and made whole."""

import pytest
import torch

from endoexit.errors import UsageError
from endoexit.models.spec import NetworkSpec

SETTINGS = {"width": 16, "heads": (1, 2, 4, 8), "depths": (1, 1, 1, 1)}


@pytest.fixture(scope="module")
def spec() -> NetworkSpec:
    return NetworkSpec("ee_hifuse_nano", 3, 64, SETTINGS)


def test_it_knows_its_family(spec):
    assert spec.family == "hifuse"


def test_it_counts_what_it_builds(spec):
    model = spec.build()
    assert spec.num_exits == model.num_stages == len(spec.complexity.macs) == 4
    assert spec.complexity.parameters[-1] == sum(p.numel() for p in model.parameters())
    assert all(p.is_meta for p in spec.build_blank().parameters())
    with torch.inference_mode():
        after, _ = model.eval().stage(1, (torch.zeros(1, 3, 64, 64),))
    assert len(spec.state.stages[0]) == len(after)


def test_the_whole_network_is_the_twin(spec):
    whole, twin = spec.build_whole(), NetworkSpec("hifuse_nano", 3, 64, SETTINGS).build()
    assert whole.num_stages == 1
    shapes = [{name: v.shape for name, v in m.state_dict().items()} for m in (whole, twin)]
    assert shapes[0] == shapes[1]


def test_what_does_not_exist_or_fit_is_refused():
    with pytest.raises(UsageError, match="did you mean 'ee_hifuse_nano'"):
        NetworkSpec("ee_hifuse_nao", 3, 64).build()
    with pytest.raises(UsageError, match="must be multiples of 32"):
        NetworkSpec("ee_hifuse_nano", 3, 50, SETTINGS).build()
