"""`endoexit reproduce table3` and `endoexit models`, as a user runs them."""

import dataclasses
import json

import pytest
from typer.testing import CliRunner

from endoexit.cli.main import app
from endoexit.errors import ModelError
from endoexit.models import list_models
from endoexit.models.catalog import FAMILIES
from endoexit.models.hifuse import table3

runner = CliRunner()


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
    rows = table3.reproduce_table3()
    rows[2] = dataclasses.replace(rows[2], operations=rows[2].operations + 1_000_000)
    monkeypatch.setattr(table3, "reproduce_table3", lambda: rows)
    result = runner.invoke(app, ["reproduce", "table3"])
    assert isinstance(result.exception, ModelError)
    assert str(result.exception) == "these rows differ from the paper's Table 3: exit 2."
    assert "8 of 10 numbers agree" in result.stdout


def models(*options: str):
    return runner.invoke(app, ["models", *options])


def test_models_lists_its_families_within_eighty_columns():
    families = [f"--family={name}" for name in ("branchynet", "bag_of_features", "timm")]
    result = models("--size", "64", "--classes", "5", "--json", *families)
    document = json.loads(result.stdout)
    by_name = {entry["name"]: entry for entry in document["models"]}
    assert list(by_name) == ["b_alexnet", "b_lenet", "b_resnet110", "bof_cifar10"]
    lenet = by_name["b_lenet"]
    assert (lenet["size"], lenet["meant_for"], lenet["family"]) == (28, 28, "branchynet")
    assert len(lenet["macs"]) == len(lenet["parameters"]) == 2
    assert "attention" in document["left_out"]
    table = result.stderr
    assert "…" not in table.replace("exit 1 … M", "")
    assert max(len(line) for line in table.splitlines()) <= 80
    assert all(f" {name} " in table for name in by_name)  # no name is broken
    assert "meant for 28 or 32 pixels; takes that alone; 5 classes" in table
    assert "such as timm:resnet18" in table


def test_names_and_numbers_of_many_exits_fit_as_well(monkeypatch):
    family = FAMILIES["msdnet"]
    names = {name: family.names[name] for name in ("phuong_lampert_msdnet", "msdnet_cifar10_10")}
    monkeypatch.setitem(FAMILIES, "msdnet", dataclasses.replace(family, names=names))
    table = models("--family", "msdnet", "--size", "64").stdout
    assert all(f" {name} " in table for name in names)
    assert max(len(line) for line in table.splitlines()) <= 80


def test_without_a_family_the_names_are_listed_and_nothing_is_counted(monkeypatch):
    monkeypatch.setattr("endoexit.models.spec.NetworkSpec", None)
    result = models("--json")
    names = {entry["name"] for entry in json.loads(result.stdout)["models"]}
    assert names == set(list_models())
    assert all(name in result.stderr for name in names)
    assert "endoexit models --family NAME" in result.stderr
    assert max(len(line) for line in result.stderr.splitlines()) <= 80


def test_a_network_is_counted_at_the_size_that_was_asked_for():
    cut = json.loads(models("--family=efficientnet_lite", "--size=96", "--json").stdout)["models"]
    assert {entry["size"] for entry in cut} == {96}
    assert [entry["meant_for"] for entry in cut] == [224, 240, 260]
    assert all(len(entry["macs"]) == 4 for entry in cut)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--size", "64"], "--size is for counting: name a family with --family"),
        (["--classes", "1", "--family", "rdi"], "num_classes must be at least 2, got 1"),
        (["--family", "msdnt"], "unknown family 'msdnt': did you mean 'msdnet'?"),
    ],
)
def test_models_refuses_what_no_network_can_take(options, message):
    result = models(*options)
    assert message in str(result.exception)
    assert result.exception.exit_code == 2
