"""Answers at all exits, however sure the first is."""

import numpy as np
import torch
from table_backend import PREPROCESSING, TableBackend, numbered

from endoexit.runtime.backends.torch import TorchBackend
from endoexit.runtime.exits import all_exits
from tiny import PREPROCESSING as TINY_PREPROCESSING


def test_every_stage_runs_for_every_image():
    logits = np.random.default_rng(0).normal(size=(3, 6, 4)) * 9  # sure at once
    backend = TableBackend(logits)
    answer = all_exits(backend)(PREPROCESSING.normalise(numbered([4, 0, 5])))
    np.testing.assert_array_equal(answer, logits[:, [4, 0, 5]])
    assert backend.calls == [(stage, [4, 0, 5]) for stage in (1, 2, 3)]


def test_the_logits_are_those_of_the_network(model, photos):
    batch = TINY_PREPROCESSING.normalise(photos[:3])
    answer = all_exits(TorchBackend(model, threads=1))(batch)
    assert answer.shape == (4, 3, 3)
    assert answer.dtype == np.float32
    with torch.no_grad():
        whole = [logits.numpy() for logits in model(torch.from_numpy(batch))]
    np.testing.assert_allclose(answer, np.stack(whole), atol=1e-5)
