"""Problems: each has a status, a title and a remedy, in plain words."""

import json

import pytest

from endoexit.serve.problems import FAULTS, TYPE, Problem


@pytest.mark.parametrize("code", FAULTS)
def test_every_problem_has_a_remedy(code):
    fault = FAULTS[code]
    assert 400 <= fault.status < 600
    assert not fault.title.endswith(".")
    assert fault.remedy.endswith(".")
    document = json.loads(Problem(code).body())
    assert document["type"] == f"urn:endoexit:problem:{code}"
    assert document["status"] == fault.status


def test_full_and_broken_are_told_apart():
    full = {code for code, fault in FAULTS.items() if fault.status == 429}
    broken = {code for code, fault in FAULTS.items() if fault.status == 503}
    assert full == {"full", "client.share"}
    assert broken == {"starting", "draining", "dead", "connections"}


def test_limits_and_times_are_told():
    problem = Problem("full", retry_after=3, limit=("images_inside", 4))
    assert problem.document()["limit"] == {"images_inside": 4}
    assert problem.headers()["retry-after"] == "3"
    assert problem.headers()["content-type"] == TYPE
    assert Problem("token.missing").headers()["www-authenticate"] == "Bearer"
