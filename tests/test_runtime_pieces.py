"""The one piece that `cpu_runtime.py` compares the cut network with is the same network."""

import importlib
from pathlib import Path

import numpy as np
import pytest

from endoexit.runtime.exits import all_exits
from endoexit.runtime.session import open_session

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.slow
@pytest.mark.xdist_group("bundles")
@pytest.mark.parametrize("precision", ["f32", "int8"])
def test_one_piece_answers_as_all_stages_in_sequence(bundles, monkeypatch, precision):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    one_piece = importlib.import_module("runtime_pieces").one_piece
    session = open_session(bundles.make("openvino", precision), precision="f32", threads=1)
    backend, side = session.backend, session.preprocessing.size
    images = np.random.default_rng(0).integers(0, 256, (1, side, side, 3), np.uint8)
    normalised = session.preprocessing.normalise(images)
    last = all_exits(backend)(normalised)[-1]
    files = session.source.stage_files()
    for early_exits in (True, False):
        answer = one_piece(backend, files, early_exits=early_exits)
        whole = answer(backend.start(normalised))
        np.testing.assert_allclose(whole, last, atol=1e-4 * np.abs(last).max())
