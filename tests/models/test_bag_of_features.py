"""The Bag-of-Features layer and network answer what the published code does."""

import numpy as np
import torch

from endoexit.models.bag_of_features import BoFNet, LogisticBoF, bof_configs
from endoexit.models.cost import measure_complexity
from endoexit.models.published import load_published
from golden_networks import answers, counts, fill, keys, weights

GOLDEN = answers("bof")
REGION = 4  # side of the golden layer's regions: a map of 9×9 has 2×2 of them


def close(ours: torch.Tensor, golden: np.ndarray) -> bool:
    return bool(np.abs(ours.detach().numpy() - golden).max() <= 1e-5 * np.abs(golden).max())


def test_the_layer_agrees_with_the_published_code():
    layer = LogisticBoF(6, 8, REGION)
    shapes = keys("bof")["layer"]
    layer.load_state_dict(weights(shapes))
    assert close(layer(torch.from_numpy(GOLDEN["layer_input"])), GOLDEN["layer_filled"])


def test_the_layer_starts_as_published():
    layer = LogisticBoF(6, 8, REGION)
    start = {name: getattr(layer, name).tolist() for name in ("a", "c", "n1", "n2")}
    golden = keys("bof")["layer_start_values"]
    assert start == {name: golden[name] for name in start}
    codebook = {k: v for k, v in weights(keys("bof")["layer"]).items() if k.startswith("codebook")}
    layer.load_state_dict(codebook, strict=False)
    assert close(layer(torch.from_numpy(GOLDEN["layer_input"])), GOLDEN["layer_start"])


def test_a_histogram_counts_every_position_once():
    layer = LogisticBoF(3, 5)
    histogram = layer(torch.randn(2, 3, 7, 6))
    assert histogram.shape == (2, 5)
    torch.testing.assert_close(histogram.sum(1), torch.full((2,), 5.0))  # n1 = number of codewords


def test_the_network_agrees_with_the_published_code():
    model = BoFNet(bof_configs()["bof_cifar10"], 10).eval()
    report = load_published(model, weights(keys("bof")["net"]))
    assert report.left_out == ()
    with torch.inference_mode():
        logits = model(torch.from_numpy(fill.image(6, 2, 32)))
    for z, name in zip(logits, ("net_exit1", "net_exit2", "net_last"), strict=True):
        assert close(z, GOLDEN[name])


def test_costs_of_the_early_exits():
    golden = counts("other")["bof_cifar_exits"]
    complexity = measure_complexity(BoFNet(bof_configs()["bof_cifar10"], 10), 32)
    assert list(complexity.macs[:2]) == golden["macs"]
    assert list(complexity.parameters[:2]) == golden["parameters"]
    assert complexity.parameters[2] == golden["all_parameters"]
