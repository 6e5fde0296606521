"""What `/openapi.json` says of a route."""

from fastapi import FastAPI

from endoexit.serve.openapi import ask_for_tokens, attention, predict, reload, route
from endoexit.serve.problems import FAULTS, TYPE
from endoexit.serve.settings import Limits


def test_a_status_says_what_it_may_mean():
    responses = route(200, 429)["responses"]
    assert set(responses) == {200, 400, 405, 429, 431, 500}
    titles = [fault.title for fault in FAULTS.values() if fault.status == 429]
    assert all(title in responses[429]["description"] for title in titles)
    assert TYPE in responses[429]["content"]


def test_the_bodies_are_those_that_are_read():
    content = predict(Limits())["openapi_extra"]["requestBody"]["content"]
    assert {"image/jpeg", "multipart/form-data"} <= set(content)
    assert "multipart/form-data" not in attention()["openapi_extra"]["requestBody"]["content"]
    assert set(reload()["openapi_extra"]["requestBody"]["content"]) == {"application/json"}


def test_deadlines_have_the_bounds_of_the_service():
    arguments = predict(Limits(min_deadline_ms=20, deadline_ms=30, max_deadline_ms=40))
    (deadline, *_) = arguments["openapi_extra"]["parameters"]
    schema = deadline["schema"]
    assert (schema["minimum"], schema["default"], schema["maximum"]) == (20, 30, 40)


def test_routes_that_need_a_token_say_so():
    app = FastAPI()
    app.add_api_route("/open", lambda: None, **route(200))
    app.add_api_route("/closed", lambda: None, **route(200, 401))
    assert "components" not in app.openapi()
    ask_for_tokens(app)
    paths = app.openapi()["paths"]
    assert paths["/closed"]["get"]["security"] == [{"token": []}]
    assert "security" not in paths["/open"]["get"]
    assert app.openapi()["components"]["securitySchemes"]["token"]["scheme"] == "bearer"
