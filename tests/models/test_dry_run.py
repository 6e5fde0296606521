"""The state between stages is found by one dry run, and what cannot be handed on is refused."""

import pytest
import torch
from torch import nn

from endoexit.errors import ModelError, UsageError
from endoexit.models.dry_run import blank_images, channels_last, dry_run, find_state
from endoexit.models.staged import Stage, StagedClassifier
from tiny_hifuse import tiny


class Hands(nn.Module):
    """A part of a trunk that hands on what a function makes of the images."""

    def __init__(self, make):
        super().__init__()
        self.make = make

    def forward(self, state):
        return self.make(state[0])


class Answer(nn.Module):
    """A head with the same answer for all images."""

    def forward(self, state):
        return state[0].new_zeros(2, 2)


def network(make, names=()):
    model = StagedClassifier([Stage([Hands(make)], Answer()), Stage([], Answer())], 2, 1)
    model.state_names = names
    return model


@pytest.mark.parametrize("real", [False, True])
def test_names_and_shapes_are_those_of_the_stages(real):
    model = tiny()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    names_and_shapes = find_state(model, 64, real=real)
    state = (torch.zeros(1, 3, 64, 64),)
    for number, tensors in enumerate(names_and_shapes.stages[:-1], start=1):
        with torch.inference_mode():
            state, _ = tiny().eval().stage(number, state)
        for spec, tensor in zip(tensors, state, strict=True):
            handed = tensor.permute(0, 2, 3, 1) if spec.channels_last else tensor
            assert spec.shape == tuple(handed.shape[1:])
    assert names_and_shapes.stages[-1] == ()
    after = model.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())


def test_a_dry_run_computes_nothing():
    after = dry_run(network(lambda x: (x.mean((2, 3)),)).stages[0], blank_images(32))
    assert [tensor.device.type for tensor in after] == ["meta"]
    assert [tuple(tensor.shape) for tensor in after] == [(2, 3)]


def test_names_are_derived_where_a_network_has_none():
    model = network(lambda x: (x, x.mean((2, 3))))
    assert [tensor.name for tensor in find_state(model, 8).stages[0]] == ["map", "vector"]
    named = network(lambda x: (x, x.mean((2, 3))), ("whole", "mean"))
    assert [tensor.name for tensor in find_state(named, 8).stages[0]] == ["whole", "mean"]


@pytest.mark.parametrize(
    ("make", "names", "message"),
    [
        (lambda x: (x, x), ("one",), r"hands on 2 tensors, but the network names 1: one\. Name"),
        (
            lambda x: (x.argmax(1),),
            (),
            r"hands on tokens as torch.int64|hands on \w+ as torch.int64",
        ),
        (lambda x: (x[:1],), (), r"of shape \(1, 3, 8, 8\) for 2 images: a state holds"),
        (lambda x: (x.sum(),), (), r"of shape \(\) for 2 images"),
    ],
)
def test_what_cannot_be_handed_on_is_refused(make, names, message):
    with pytest.raises(ModelError, match=message):
        find_state(network(make, names), 8)


def test_a_size_that_does_not_fit_is_refused():
    with pytest.raises(UsageError, match="must be multiples of 32"):
        find_state(tiny(), 50)


def test_the_layout_in_memory_is_told():
    x = torch.zeros(2, 3, 4, 5)
    assert not channels_last(x)
    assert channels_last(x.contiguous(memory_format=torch.channels_last))
    assert not channels_last(x[:, 0])
    assert not channels_last(torch.zeros(2, 3, 1, 1))  # it lies both ways
