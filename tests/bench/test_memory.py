"""Peak memory: of a child alone, whatever its parent holds."""

import re

import numpy as np
import psutil
import pytest

from endoexit.bench.memory import BATCHES, measure_memory, peak_mib
from endoexit.errors import EndoexitError
from tiny import tiny_run


def test_the_peak_stays_when_memory_is_given_back():
    before, now = peak_mib(), psutil.Process().memory_info().rss / 2**20
    block = np.ones(round((before - now + 300) * 2**17))  # 300 MiB over the peak so far
    assert peak_mib() > before + 250
    del block
    assert peak_mib() > before + 250


def test_what_the_parent_holds_does_not_count(tmp_path):
    run = tiny_run(tmp_path / "run")
    block = np.ones(160 * 2**20)  # 1280 MiB, more than PyTorch needs
    peaks = measure_memory(run.path, None, 1)
    assert block.nbytes / 2**20 == 1280
    assert list(peaks) == list(BATCHES)
    assert all(50 < mib < 1200 for mib in peaks.values())
    assert peak_mib() > 1280


def test_one_size_of_batch_keeps_nothing_for_another(tmp_path):
    run = tiny_run(tmp_path / "run")
    peaks = measure_memory(run.path, None, 1, (1024, 1))
    assert list(peaks) == [1024, 1]
    assert peaks[1] + 100 < peaks[1024]


def test_a_child_that_fails_tells_why(tmp_path):
    with pytest.raises(EndoexitError, match=re.escape("there is no run folder")):
        measure_memory(tmp_path / "nothing", None, 1)
