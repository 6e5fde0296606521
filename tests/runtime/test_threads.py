"""How many threads a stage runs on."""

import pytest

from endoexit.errors import UsageError
from endoexit.machine import usable_cores
from endoexit.runtime.threads import asked_threads, check_threads


def test_the_environment_gives_the_default(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert check_threads(None) == usable_cores()
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    assert check_threads(None) == 7
    assert check_threads(3) == 3
    for nothing in ("", "0", "-1", "four"):
        monkeypatch.setenv("OMP_NUM_THREADS", nothing)
        assert check_threads(None) == usable_cores()


def test_no_thread_is_refused():
    with pytest.raises(UsageError, match="at least 1, got 0"):
        check_threads(0)


def test_nothing_is_asked_for(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert asked_threads(None) is None
    assert asked_threads(2) == 2
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    assert asked_threads(None) == 7
    with pytest.raises(UsageError, match="at least 1, got -1"):
        asked_threads(-1)
