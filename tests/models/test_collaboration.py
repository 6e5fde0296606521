"""Exits that read the answer of the exit before: what is carried, and what is refused."""

import pytest
import torch

from endoexit.errors import ModelError, UsageError
from endoexit.models import NetworkSpec, create_model
from endoexit.models.attention import exit_attention
from endoexit.models.collaboration import collaborates, collaborating
from endoexit.models.origin import Origin
from endoexit.models.starting import Start, start_from

HIFUSE = {"width": 8, "heads": [1] * 4, "depths": [1] * 4}


def test_stages_alone_compute_what_the_network_computes():
    model = create_model("ee_hifuse_nano", 3, **HIFUSE, collaborate=True).eval()
    assert collaborates(model)
    state = (torch.randn(2, 3, 32, 32),)
    expected = model(*state)
    for number, logits in enumerate(expected, start=1):
        state, ours = model.stage(number, state)
        assert torch.equal(ours, logits)
        assert torch.equal(state[0], logits), "the next exit reads them"


def test_an_exit_reads_the_answer_of_the_exit_before_and_no_other():
    model = create_model("ee_hifuse_nano", 3, **HIFUSE, collaborate=True).eval()
    state = model.stage(1, (torch.randn(2, 3, 32, 32),))[0]
    logits = model.stage(2, state)[1]
    changed = model.stage(2, (state[0] + 1.0, *state[1:]))[1]
    assert not torch.allclose(logits, changed)
    alone = create_model("ee_hifuse_nano", 3, **HIFUSE)
    assert not collaborates(alone)


def test_an_exit_tells_where_it_looks_as_without_collaboration():
    model = create_model("ee_hifuse_nano", 3, **HIFUSE, collaborate=True).eval()
    kinds = [kind for _, kind in exit_attention(model, torch.rand(2, 3, 32, 32))]
    assert kinds == ["cbam", "cbam", "cbam", "grad-cam"]


def test_networks_that_cannot_collaborate_are_refused():
    with pytest.raises(UsageError, match="collaborate"):
        create_model("bof_cifar10", 3, collaborate=True)
    shared = create_model("bof_cifar10", 3)
    with pytest.raises(UsageError, match="a separate linear layer, but exit 2"):
        collaborating(shared)
    with pytest.raises(UsageError, match="collaborate must be true or false"):
        create_model("efficientnet_lite0", 3, size=32, collaborate="yes")


def test_a_network_without_early_exits_stays_as_it_is_and_the_twin_answers_alone():
    spec = NetworkSpec("ee_hifuse_nano", 3, 32, HIFUSE | {"collaborate": True})
    plain = NetworkSpec("ee_hifuse_nano", 3, 32, HIFUSE)
    assert spec.build_whole().state_dict().keys() == plain.build_whole().state_dict().keys()
    alone = create_model("efficientnet_lite0", 3, size=32, exits="none", collaborate=True)
    assert alone.num_stages == 1
    assert spec.state.stages[0][0].name == "answer"
    assert spec.state.stages[0][0].shape == (3,)


def test_published_weights_do_not_fit_exits_that_collaborate():
    spec = NetworkSpec("ee_hifuse_nano", 3, 32, HIFUSE | {"collaborate": True})
    start = Start(Origin(source="x", sha256="0" * 64), {"conv1.weight": torch.zeros(1)})
    with pytest.raises(ModelError, match=r"leave out model\.collaborate"):
        start_from(spec, start)
