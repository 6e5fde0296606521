"""`endoexit models` lists networks with what each of their exits costs."""

import json

from endoexit.models.catalog import FAMILIES
from endoexit.models.cost import measure_complexity
from endoexit.models.spec import NetworkSpec
from tiny_project import endoexit


def test_costs_are_those_of_the_size_and_the_classes():
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
