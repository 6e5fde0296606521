"""Stages as graphs: in the layout and the forms for which OpenVINO has fast kernels."""

import pytest
import torch

from endoexit.exporting.graphs import stage_graphs, write_openvino
from endoexit.models import create_model

SETTINGS = {"width": 16, "depths": (2, 1, 1, 1), "heads": (1, 2, 4, 8)}


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    network = create_model("ee_hifuse_nano", 3, **SETTINGS).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return network


def test_states_are_handed_on_as_they_lie_in_memory(model):
    first, second, *_ = stage_graphs(model, 64)
    assert first.shapes == ((16, 16, 16),) * 3  # all three with their channels last
    local, globe, fused = second.example
    state, _ = model.stages[0]((torch.zeros(2, 3, 64, 64),))
    assert torch.equal(local, state[0].permute(0, 2, 3, 1))
    assert torch.equal(globe, state[1])
    assert torch.equal(fused, state[2].permute(0, 2, 3, 1))
    assert all(tensor.is_contiguous() for tensor in second.example)


def test_the_graphs_in_a_row_are_the_network(model):
    images = torch.randn(2, 3, 64, 64)
    state = (images.permute(0, 2, 3, 1),)
    with torch.no_grad():
        for number, stage in enumerate(stage_graphs(model, 64)):
            *state, logits = stage.graph(*state)
            torch.testing.assert_close(logits, model(images)[number], rtol=0, atol=1e-6)
    assert state == [], "the last stage hands nothing on"


def test_openvino_finds_its_fast_kernels(model, tmp_path):
    ov = pytest.importorskip("openvino")
    stage = next(iter(stage_graphs(model, 64)))
    write_openvino(stage.graph, stage.example, tmp_path / "1.xml")
    core = ov.Core()
    graph = core.read_model(tmp_path / "1.xml")
    assert not [node for node in graph.get_ops() if node.get_type_name() == "Roll"]
    graph.reshape([1, 64, 64, 3])
    compiled = core.compile_model(graph, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    layers = [
        node.rt_info["layerType"].astype(str) for node in compiled.get_runtime_model().get_ops()
    ]
    # Every layer normalisation in one kernel: stem and embedding, 2 + 2 blocks, 2 of the fusion.
    assert layers.count("MVN") == 8
    assert "RMS" not in layers, "a normalisation was taken apart"
