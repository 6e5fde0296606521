"""Strategies by name."""

from pydantic import TypeAdapter

from endoexit.training.strategies.catalog import STRATEGIES, AnyStrategy
from endoexit.training.strategies.self_distil import SelfDistilSettings


def test_each_name_makes_its_own_settings():
    adapter = TypeAdapter(AnyStrategy)
    for name, settings in STRATEGIES.items():
        document = {"name": name, "teacher": "runs/large"} if name == "distil" else {"name": name}
        assert type(adapter.validate_python(document)) is settings
    assert STRATEGIES["self-distil"] is SelfDistilSettings
