"""Layers whose weights stay in floating point are named as the network names them."""

import nncf
import numpy as np
import onnx
import openvino as ov
import pytest
import torch
from torch import nn

from endoexit.exporting.float_layers import (
    classifier_onnx,
    classifier_openvino,
    float_layers_onnx,
    float_layers_openvino,
)
from endoexit.exporting.graphs import Graph, write_onnx, write_openvino

pytestmark = pytest.mark.slow
READ = {".xml": (write_openvino, lambda path: ov.Core().read_model(path), float_layers_openvino,
                 classifier_openvino),
        ".onnx": (write_onnx, onnx.load, float_layers_onnx, classifier_onnx)}  # fmt: skip


def two_layers():
    """Return a graph of a convolution with a normalisation behind it and a linear layer."""
    torch.manual_seed(0)
    owner = nn.ModuleDict({"conv": nn.Conv2d(3, 4, 3), "norm": nn.BatchNorm2d(4),
                           "last": nn.Linear(4 * 6 * 6, 3)}).eval()  # fmt: skip

    def compute(state):
        maps = owner["norm"](owner["conv"](state[0])).relu()
        return (owner["last"](maps.flatten(1)),)

    return Graph(compute, owner).eval()


@pytest.mark.parametrize(("suffix", "conv"), [(".xml", "norm"), (".onnx", "conv")])
def test_only_layers_that_stay_in_floating_point_are_named(tmp_path, suffix, conv):
    write, read, float_layers, classifier = READ[suffix]
    path = tmp_path / f"1{suffix}"
    write(two_layers(), (torch.zeros(2, 3, 8, 8),), path)
    model = read(path)
    assert float_layers(model) == (conv, "last")
    images = np.random.default_rng(0).normal(size=(4, 1, 3, 8, 8)).astype(np.float32)
    feeds = nncf.Dataset([{"images": image} for image in images])
    assert float_layers(nncf.quantize(model, feeds)) == ()
    kept = nncf.IgnoredScope(names=[classifier(model)])
    assert float_layers(nncf.quantize(model, feeds, ignored_scope=kept)) == ("last",)


@pytest.mark.parametrize("suffix", READ)
def test_only_a_matrix_product_is_a_classifier(tmp_path, suffix):
    write, read, _, classifier = READ[suffix]
    path = tmp_path / f"1{suffix}"
    owner = nn.ModuleDict({"conv": nn.Conv2d(3, 4, 3)}).eval()
    graph = Graph(lambda state: (owner["conv"](state[0]).mean((2, 3)),), owner).eval()
    write(graph, (torch.zeros(2, 3, 8, 8),), path)
    assert classifier(read(path)) is None
