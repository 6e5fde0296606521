"""Networks that compute as int8 does keep their ranges, wherever they go."""

import copy
import importlib.util
import json

import numpy as np
import openvino as ov
import pytest
import torch
from nncf.torch.quantization.layers import BaseQuantizer

from endoexit.errors import UsageError
from endoexit.exporting.graphs import stage_graphs, write_openvino
from endoexit.models import create_model
from endoexit.models.quantised import (
    exportable,
    is_quantised,
    quantised,
    restored,
    structure_of,
    with_convolutions,
)
from tiny import CLASSES, SETTINGS, SIDE, tiny_model

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def networks():
    """A network, the same with ranges of int8, and images."""
    model = tiny_model()
    torch.manual_seed(1)
    images = torch.randn(6, 3, SIDE, SIDE)
    return model, quantised(model, list(images.split(1))).eval(), images


@torch.no_grad()
def answers(model, images):
    return torch.stack(model(images))


def test_rounding_changes_answers_a_little(networks):
    model, rounded, images = networks
    exact, coarse = answers(model, images), answers(rounded, images)
    assert is_quantised(rounded)
    assert not is_quantised(model)
    assert not torch.equal(exact, coarse)
    assert (exact - coarse).abs().max() < 0.2 * exact.abs().max()


def test_the_layer_that_gives_the_logits_is_not_rounded(networks):
    _, rounded, _ = networks
    for number, stage in enumerate(rounded.stages, start=1):
        places = [
            name for name, module in stage.named_modules() if isinstance(module, BaseQuantizer)
        ]
        assert not any("head/classify/linear" in place for place in places)
        inside_head = [place for place in places if "head/attention/0/squeeze/linear" in place]
        assert bool(inside_head) == (number < len(rounded.stages)), "other layers are rounded"


def test_a_network_is_built_again_from_its_document_and_weights(networks):
    _, rounded, images = networks
    structure = tuple(json.loads(json.dumps(structure_of(rounded))))
    again = restored(create_model("ee_hifuse_nano", len(CLASSES), **SETTINGS), structure).eval()
    again.load_state_dict(rounded.state_dict())
    assert torch.equal(answers(again, images), answers(rounded, images))


def test_exported_stages_carry_the_ranges(networks, tmp_path):
    _, rounded, images = networks
    rounded = copy.deepcopy(rounded)
    before = answers(rounded, images).numpy()
    with torch.no_grad():
        for name, value in rounded.named_parameters():
            if "scale_param" in name or name.endswith("scale"):
                value.mul_(0.6)  # as a training may: the stages must have this one
    expected = answers(rounded, images).numpy()
    state, core, logits = [np.ascontiguousarray(images.permute(0, 2, 3, 1))], ov.Core(), []
    for graph in stage_graphs(exportable(rounded), SIDE):
        path = tmp_path / f"{graph.number}.xml"
        write_openvino(graph.graph, graph.example, path, graph.names)
        stage = core.compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        kinds = {node.get_type_name() for node in core.read_model(path).get_ops()}
        assert "FakeQuantize" in kinds
        computed = stage(state)
        *state, answer = [computed[index].copy() for index in range(len(stage.outputs))]
        logits.append(answer)
    # Where sums differ in their last digit, a value may be rounded to its other neighbour.
    assert np.abs(np.stack(logits) - expected).mean() < 0.2 * np.abs(expected - before).mean()


def test_linear_layers_over_maps_become_convolutions_of_the_same_values(networks):
    model, _, images = networks
    torch.testing.assert_close(
        answers(with_convolutions(model), images), answers(model, images), rtol=1e-4, atol=1e-4
    )


def test_what_is_not_installed_is_named(networks, monkeypatch):
    model, _, images = networks
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"needs nncf: pip install 'endoexit\[int8\]'"):
        quantised(model, [images[:1]])
