"""`endoexit reproduce table3` and `endoexit models`, as a user runs them."""

import dataclasses
import functools
import json

import pytest
from typer.testing import CliRunner

from endoexit.cli.main import app
from endoexit.errors import ModelError
from endoexit.models.hifuse import table3

runner = CliRunner()


@pytest.fixture(scope="module", autouse=True)
def counted():
    """Count once for all tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(table3, "reproduce_table3", functools.cache(table3.reproduce_table3))
        yield


def test_table3_prints_the_paper_beside_ours():
    result = runner.invoke(app, ["reproduce", "table3"])
    assert result.exit_code == 0, result.output
    assert "10 of 10 numbers agree to the printed digit." in result.stdout
    for row in table3.TABLE_3:
        assert f"{row.parameters_m} " in result.stdout
        assert f"{row.gflops} " in result.stdout
    assert "…" not in result.stdout  # nothing cut off at 80 columns
    words = " ".join(result.stdout.split())
    assert "leave out the attention products" in words
    assert "123.272666 M parameters, 1.607624 M of them in layers that never run" in words


def test_table3_as_json_is_the_only_thing_on_stdout():
    result = runner.invoke(app, ["reproduce", "table3", "--json"])
    document = json.loads(result.stdout)
    assert [row["agrees"] for row in document["rows"]] == [True] * 5
    assert document["rows"][4]["parameters"] == 121_695_282
    assert document["rows"][4]["paper"]["gflops"] == "18.144"


def test_table3_fails_when_a_row_differs(monkeypatch):
    rows = [*table3.reproduce_table3()]
    rows[2] = dataclasses.replace(rows[2], operations=rows[2].operations + 1_000_000)
    monkeypatch.setattr(table3, "reproduce_table3", lambda: rows)
    result = runner.invoke(app, ["reproduce", "table3"])
    assert isinstance(result.exception, ModelError)
    assert str(result.exception) == "these rows differ from the paper's Table 3: exit 2."
    assert "8 of 10 numbers agree" in result.stdout
