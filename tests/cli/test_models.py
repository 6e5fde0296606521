"""`endoexit models` lists every network with what each of its exits costs."""

import json

from endoexit.models import list_models
from endoexit.models.cost import measure_complexity
from endoexit.models.spec import NetworkSpec
from tiny_project import endoexit


def test_costs_are_those_of_the_size_and_the_classes():
    done = endoexit("models", "--size", 32, "--classes", 3, "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert [row["name"] for row in document["models"]] == list_models()
    row = next(row for row in document["models"] if row["name"] == "ee_hifuse_nano")
    cost = measure_complexity(NetworkSpec("ee_hifuse_nano", 3, 32).build_blank(), 32)
    assert (row["macs"], row["parameters"]) == (list(cost.macs), list(cost.parameters))
    assert "Networks at 32×32, 3 classes" in done.stderr


def test_a_size_that_fits_no_network_is_wrong_usage():
    done = endoexit("models", "--size", 7)
    assert done.returncode == 2
    assert "the size must be" in done.stderr or "multiples of 32" in done.stderr
