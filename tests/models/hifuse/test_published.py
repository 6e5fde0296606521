"""The networks answer exactly what the published code answers."""

import functools
import importlib.util
import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from endoexit.errors import ModelError
from endoexit.models import create_model
from endoexit.models.hifuse.published import load_published_hifuse
from endoexit.models.staged import StagedClassifier

GOLDEN = Path(__file__).parents[2] / "golden"
_spec = importlib.util.spec_from_file_location("golden_fill", GOLDEN / "fill.py")
golden_fill = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(golden_fill)


@functools.cache
def published_weights(size: str) -> dict[str, torch.Tensor]:
    shapes = json.loads((GOLDEN / f"hifuse_{size}_8.keys.json").read_text())
    return {
        name: torch.from_numpy(np.asarray(golden_fill.fill(name, shape)))
        for name, shape in shapes.items()
    }


def summary(x: torch.Tensor) -> np.ndarray:
    corner = x[0, :3, 1, 2].tolist()
    return np.array([x.mean(), x.std(correction=0), x.abs().max(), *corner])


def close(ours: np.ndarray, golden: np.ndarray) -> bool:
    return np.abs(ours - golden).max() <= 1e-4 * np.abs(golden).max()


@pytest.fixture(scope="module", params=["tiny", "small"])
def size(request) -> str:
    return request.param


@pytest.mark.slow
def test_logits_and_every_scale_agree_with_the_published_code(size):
    weights = published_weights(size)
    golden = np.load(GOLDEN / f"hifuse_{size}_8.npz")
    model = create_model(f"ee_hifuse_{size}", 8).eval()
    report = load_published_hifuse(model, weights)
    assert report.loaded + len(report.left_out) == len(weights)
    assert report.not_in_published
    assert all(re.match(r"stages\.[012]\.head\.", name) for name in report.not_in_published)
    cases = sorted({key.split("_stage")[0] for key in golden.files if "_stage" in key})
    for case in cases:
        seed, batch = (int(digits) for digits in re.findall(r"\d+", case))
        state = (torch.from_numpy(golden_fill.image(seed, batch)),)
        with torch.inference_mode():
            for number in range(1, 5):
                state, logits = model.stage(number, state)
                local, globe, fused = state
                for name, x in (
                    ("local", local),
                    ("global", globe.permute(0, 3, 1, 2)),
                    ("fused", fused),
                ):
                    expected = golden[f"{case}_stage{number}_{name}"]
                    assert close(summary(x), expected), (number, name, summary(x), expected)
        assert close(logits.numpy(), golden[f"{case}_logits"])


@pytest.fixture(scope="module")
def tiny() -> StagedClassifier:
    return create_model("hifuse_tiny", 8)


def test_what_is_left_out_is_what_the_published_code_never_runs(tiny):
    report = load_published_hifuse(tiny, published_weights("tiny"))
    assert report.not_in_published == ()
    names = {re.sub(r"\d", "#", name).rpartition(".")[0] for name in report.left_out}
    assert names == {
        "norm",
        "head",
        "layers#.blocks.#.norm#",
        "fu#.Updim.conv",
        "fu#.Updim.bn",
        "fu#.norm#",
        "fu#.W.conv",
        "fu#.W.bn",
        "fu#.W#.conv",
        "fu#.W#.bn",
    }


def test_weights_of_another_network_are_refused_by_name_and_shape(tiny):
    weights = published_weights("tiny")
    before = {name: value.clone() for name, value in tiny.state_dict().items()}
    five = weights | {"conv_head.weight": weights["conv_head.weight"][:5]}
    with pytest.raises(ModelError, match=r"conv_head.weight: shape \(5, 768\).* has \(8, 768\)"):
        load_published_hifuse(tiny, five)
    with pytest.raises(ModelError, match="dense or depthwise"):
        load_published_hifuse(create_model("hifuse_tiny_dw", 8), weights)
    with pytest.raises(ModelError, match=r"stages.2.2.dwconv.weight: no such layer in this"):
        load_published_hifuse(tiny, weights | {"stages.2.2.dwconv.weight": torch.zeros(1)})
    strange = {
        "fu9.x.weight": "the published code",
        "fu9.norm3.weight": "this network",
        "stages.0.0.gamma.weight": "the published code",
        "layers2.downsample.gamma.weight": "the published code",
        "downsample_layers.7.0.weight": "this network",
    }
    with pytest.raises(ModelError) as caught:
        load_published_hifuse(tiny, weights | dict.fromkeys(strange, torch.zeros(1)))
    for name, place in strange.items():
        assert f"{name}: no such layer in {place}" in str(caught.value)
    fewer = {name: value for name, value in weights.items() if name != "conv_head.bias"}
    with pytest.raises(ModelError, match=r"head.classify.bias: missing in the state dict"):
        load_published_hifuse(tiny, fewer)
    assert all(torch.equal(value, before[name]) for name, value in tiny.state_dict().items())
