"""The comparison with another server: what it calls ahead."""

import importlib
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks" / "service"


@pytest.fixture
def peer(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module("peer")


def result(goodput=160.0, p50=8.0, saving=1.6):
    services = {"endoexit serve": (goodput, p50), "LitServe, workers: 1": (100.0, 12.0),
                "LitServe, workers: 2": (90.0, 10.0)}  # fmt: skip
    steps = [
        {"round": number, "factor": factor, "service": name, "goodput": good, "p50_ms": p50}
        for number in range(3)
        for factor in (0.5, 1.0, 2.0)
        for name, (good, p50) in services.items()
    ]
    return {"capacity": dict.fromkeys(services, 100.0), "rate": 100.0, "saving": saving,
            "steps": steps}  # fmt: skip


def test_ahead_by_the_saving(peer):
    assert peer.missed(result()) == []
    # More than what arrives cannot be answered.
    assert peer.missed(result(goodput=195.0, saving=4.0)) == []


def test_not_ahead(peer):
    assert peer.missed(result(goodput=140.0)) == [
        "goodput at twice the capacity, by the saving of the exits"
    ]
    assert peer.missed(result(p50=11.0)) == ["median latency at half the capacity"]


def test_one_slow_round_does_not_decide(peer):
    measured = result()
    measured["steps"][0]["p50_ms"] = 500.0
    assert peer.missed(measured) == []
