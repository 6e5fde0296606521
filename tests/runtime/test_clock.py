"""The clock of a prediction."""

from types import SimpleNamespace

import pytest

from endoexit.runtime import clock as clock_module
from endoexit.runtime.clock import Clock, since


def test_a_clock_is_over_after_its_limit(monkeypatch):
    fake = SimpleNamespace(now=5.0, perf_counter=lambda: fake.now)
    monkeypatch.setattr(clock_module, "time", fake)
    limited, endless = Clock(20.0), Clock(None)
    fake.now = 5.02
    assert limited.spent() == pytest.approx(20.0)
    fake.now = 5.019
    assert not limited.is_over()
    fake.now = 5.021
    assert limited.is_over()
    assert not endless.is_over()
    assert since(5.0) == pytest.approx(21.0)
