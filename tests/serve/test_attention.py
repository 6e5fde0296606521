"""What an exit looked at: of the same weights only, as small maps."""

import asyncio

import numpy as np
import pytest
from servers import make_run
from test_model import opened

from endoexit.errors import RunError
from endoexit.serve.attention import LONGEST, _levels, open_attention
from tiny import tiny_photos


def test_maps_of_every_exit(served_run):
    attention = open_attention(served_run, opened(served_run))
    exits = asyncio.run(attention.maps(tiny_photos()[0]))
    assert [exit_["exit"] for exit_ in exits] == [1, 2, 3, 4]
    for exit_ in exits:
        values = np.array(exit_["map"])
        assert values.min() == 0
        assert values.max() in {0, 100}
        assert max(values.shape) <= LONGEST


def test_other_weights_are_refused(served_run, tmp_path):
    reseeded = make_run(tmp_path / "other", seed=1)
    with pytest.raises(RunError, match="name the run that it was exported from"):
        open_attention(reseeded, opened(served_run))


def test_large_maps_are_averaged():
    values = np.zeros((57, 60), np.float32)
    values[:3, :3] = 1
    levels = np.array(_levels(values))
    assert levels.shape == (19, 20)
    assert levels[0, 0] == 100
    assert levels.sum() == 100
    assert _levels(np.full((2, 2), 3, np.float32)) == [[0, 0], [0, 0]]
