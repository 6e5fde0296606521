"""`endoexit models` lists networks with what each of their exits costs."""

import json

import pytest

from endoexit.models.catalog import FAMILIES
from endoexit.models.cost import measure_complexity
from endoexit.models.spec import NetworkSpec
from tiny_project import endoexit


def test_costs_are_those_of_the_size_and_the_classes():
    done = endoexit(
        "models", "--family", "efficientnet_lite", "--size", 96, "--classes", 3, "--json"
    )
    assert done.returncode == 0, done.stderr
    rows = {row["name"]: row for row in json.loads(done.stdout)["models"]}
    assert set(rows) == set(FAMILIES["efficientnet_lite"].names)
    cost = measure_complexity(NetworkSpec("efficientnet_lite0", 3, 96).build_blank(), 96)
    row = rows["efficientnet_lite0"]
    assert (row["macs"], row["parameters"]) == (list(cost.macs), list(cost.parameters))
    assert {row["size"] for row in rows.values()} == {96}
    assert [row["meant_for"] for row in rows.values()] == [224, 240, 260]
    assert all(len(row["macs"]) == 4 for row in rows.values())


def test_networks_of_the_paper_are_counted_too():
    done = endoexit("models", "--family", "hifuse", "--size", 32, "--classes", 3, "--json")
    assert done.returncode == 0, done.stderr
    rows = {row["name"]: row for row in json.loads(done.stdout)["models"]}
    assert set(rows) == set(FAMILIES["hifuse"].names)
    cost = measure_complexity(NetworkSpec("ee_hifuse_nano", 3, 32).build_blank(), 32)
    row = rows["ee_hifuse_nano"]
    assert (row["macs"], row["parameters"]) == (list(cost.macs), list(cost.parameters))


def test_a_size_that_fits_no_network_is_wrong_usage():
    done = endoexit("models", "--size", 7)
    assert (done.returncode, done.stdout) == (2, "")
    assert "--size" in done.stderr


@pytest.mark.parametrize("family", ["branchynet", "bag_of_features"])
def test_a_table_fits_eighty_columns_and_names_other_sizes(family):
    done = endoexit("models", "--family", family, "--size", 64, "--classes", 5)
    assert done.returncode == 0, done.stderr
    assert "…" not in done.stdout.replace("exit 1 … M", "")
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert "takes that alone; 5 classes" in done.stdout


def test_a_misspelt_family_is_answered_by_the_nearest():
    done = endoexit("models", "--family", "msdnt")
    assert done.returncode == 2
    assert "did you mean 'msdnet'" in done.stderr
