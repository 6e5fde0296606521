"""Checkpoints keep values, types and memory layout, and hold data only."""

import pytest
import torch

from endoexit.errors import TrainingError
from endoexit.training.checkpoint import SafetensorsCheckpointIO


def test_a_nested_tree_survives(tmp_path):
    layout = torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last)
    shared = torch.randn(4)
    tree = {
        "epoch": 3,
        0: {"exp_avg": layout, "step": torch.tensor(7.0)},
        "list": [1, 2.5, None, True, "x", (1, (2, float("inf")))],
        "views": [shared, shared[1:]],
        "bf16": torch.randn(3).bfloat16(),
        "empty": {},
    }
    path = tmp_path / "last.safetensors"
    SafetensorsCheckpointIO().save_checkpoint(tree, path)
    back = SafetensorsCheckpointIO().load_checkpoint(path)
    assert back["list"] == tree["list"]
    assert list(back) == list(tree)
    assert torch.equal(back[0]["exp_avg"], layout)
    assert back[0]["exp_avg"].stride() == layout.stride()
    assert torch.equal(back["views"][1], shared[1:])
    assert back["bf16"].dtype == torch.bfloat16
    assert back["empty"] == {}


def test_an_object_that_is_no_data_is_refused_before_anything_is_written(tmp_path):
    path = tmp_path / "last.safetensors"
    with pytest.raises(TrainingError, match="cannot hold a object"):
        SafetensorsCheckpointIO().save_checkpoint({"x": object()}, path)
    assert list(tmp_path.iterdir()) == []
