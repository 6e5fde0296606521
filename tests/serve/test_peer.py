"""The comparison with another server: what it calls ahead."""

import importlib
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks" / "service"


@pytest.fixture
def peer(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module("peer")


def result(goodput=160.0, p50=8.0, whole=105.0):
    services = {
        "endoexit serve": (goodput, p50), "endoexit serve, whole network": (whole, 11.0),
        "LitServe, workers: 1": (100.0, 12.0), "LitServe, workers: 2": (90.0, 10.0),
    }  # fmt: skip
    steps = [
        {"round": number, "factor": factor, "service": name, "goodput": good, "p50_ms": p50}
        for number in range(3)
        for factor in (0.5, 1.0, 2.0)
        for name, (good, p50) in services.items()
    ]
    return {
        "capacity": dict.fromkeys(services, 100.0), "rate": 100.0, "steps": steps,
        "saving_of_network": 1.55,
    }  # fmt: skip


def test_ahead_by_what_the_exits_save(peer):
    assert peer.missed(result()) == []
    assert peer.savings(result()) == {"by_exits": 160 / 105, "over_peer": 1.6}


def test_not_ahead(peer):
    # Whole, it is slower than the other server: the exits make up for it.
    assert peer.missed(result(goodput=140.0, whole=80.0)) == [
        "goodput at twice the capacity, by what the exits save of the network"
    ]
    assert peer.missed(result(p50=11.0)) == ["median latency at half the capacity"]


def test_one_slow_round_does_not_decide(peer):
    measured = result()
    measured["steps"][0]["p50_ms"] = 500.0
    assert peer.missed(measured) == []
