"""What `/openapi.json` says of a route."""

from endoexit.serve.openapi import attention, predict, reload, route
from endoexit.serve.problems import FAULTS, TYPE


def test_a_status_says_what_it_may_mean():
    responses = route(200, 429)["responses"]
    assert set(responses) == {200, 400, 405, 429, 431, 500}
    titles = [fault.title for fault in FAULTS.values() if fault.status == 429]
    assert all(title in responses[429]["description"] for title in titles)
    assert TYPE in responses[429]["content"]


def test_the_bodies_are_those_that_are_read():
    content = predict()["openapi_extra"]["requestBody"]["content"]
    assert {"image/jpeg", "multipart/form-data"} <= set(content)
    assert "multipart/form-data" not in attention()["openapi_extra"]["requestBody"]["content"]
    assert set(reload()["openapi_extra"]["requestBody"]["content"]) == {"application/json"}
