"""What `/openapi.json` says of each route: its bodies, its parameters, every status."""

from typing import Any

from fastapi import FastAPI

from endoexit.images.dicom.header import MAX_FRAMES as MOST_FRAMES
from endoexit.serve.answers import Predicted, ProblemDocument
from endoexit.serve.bodies import FORM, IMAGES
from endoexit.serve.problems import FAULTS, TYPE
from endoexit.serve.settings import Limits

QUERY = ("deadline_ms", "exits", "frame")
_PROBLEM = ProblemDocument.model_json_schema()
_JSON = {"application/json": {"schema": {"type": "object"}}}


def ask_for_tokens(app: FastAPI) -> None:
    """Say in the schema of an application which routes need a token."""
    without = app.openapi

    def with_tokens() -> dict[str, Any]:
        document = without()
        schemes = {"token": {"type": "http", "scheme": "bearer"}}
        document.setdefault("components", {})["securitySchemes"] = schemes
        for methods in document["paths"].values():
            for operation in methods.values():
                if "401" in operation["responses"]:
                    operation["security"] = [{"token": []}]
        return document

    app.openapi = with_tokens  # type: ignore[method-assign]


def route(*statuses: int, text: str | None = None) -> dict[str, Any]:
    """Return the arguments of a route with these statuses.

    Args:
        statuses: All that it may answer with; 400, 405, 431 and 500 are added.
        text: Type of its answer, where that is not JSON.
    """
    answer = _JSON if text is None else {text: {"schema": {"type": "string"}}}
    responses: dict[int | str, dict[str, Any]] = {}
    for status in sorted({*statuses, 400, 405, 431, 500}):
        if status < 400:
            responses[status] = {"description": "The answer.", "content": answer}
            continue
        titles = [fault.title for fault in FAULTS.values() if fault.status == status]
        responses[status] = {
            "description": "; or: ".join(titles) + ".",
            "content": {TYPE: {"schema": _PROBLEM}},
        }
    if 503 in responses and 401 not in responses and text is None:  # of health: a status
        responses[503]["content"] = _JSON
    return {"responses": responses, "response_model": None}


def predict(limits: Limits) -> dict[str, Any]:
    """Return the arguments of `/v1/predict`, with the limits of a service."""
    arguments = route(200, 401, 403, 408, 413, 415, 422, 429, 503, 504)
    line = {"schema": {"type": "string", "description": "A line of JSON for each image."}}
    arguments["responses"][200] = {
        "model": Predicted,
        "description": "The answers.",
        "content": {"application/x-ndjson": line},
    }
    for status in (429, 503):
        arguments["responses"][status]["headers"] = {
            "Retry-After": {"schema": {"type": "integer"}, "description": "Seconds to wait."}
        }
    image = {"schema": {"type": "string", "format": "binary"}}
    files = {
        "type": "array",
        "items": {"type": "string", "format": "binary"},
        "minItems": 1,
        "maxItems": limits.files,
    }
    form = {
        "type": "object",
        "properties": {"file": files},
        "required": ["file"],
        "additionalProperties": False,
    }
    body = dict.fromkeys(sorted(IMAGES), image) | {FORM: {"schema": form}}
    arguments["openapi_extra"] = {
        "requestBody": {"required": True, "content": body},
        "parameters": [
            {
                "name": "deadline_ms",
                "in": "query",
                "required": False,
                "schema": {
                    "type": "number",
                    "minimum": limits.min_deadline_ms,
                    "maximum": limits.max_deadline_ms,
                    "default": limits.deadline_ms,
                },
                "description": "Milliseconds from the first byte in which to answer.",
            },
            {
                "name": "exits",
                "in": "query",
                "required": False,
                "schema": {"type": "string", "enum": ["all"]},
                "description": "With lines of JSON: also what each exit says on the way.",
            },
            {
                "name": "frame",
                "in": "query",
                "required": False,
                "schema": {"type": "integer", "minimum": 0, "maximum": MOST_FRAMES - 1},
                "description": "Frame of DICOM objects that hold several, from 0.",
            },
        ],
    }
    return arguments


def reload() -> dict[str, Any]:
    """Return the arguments of `/v1/reload`."""
    arguments = route(200, 401, 403, 408, 409, 413, 422, 503)
    schema = {
        "type": "object",
        "properties": {"source": {"type": "string", "pattern": "^[A-Za-z0-9._-]+$"}},
        "required": ["source"],
    }
    arguments["openapi_extra"] = {
        "requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}
    }
    return arguments


def attention() -> dict[str, Any]:
    """Return the arguments of `/v1/attention`."""
    arguments = route(200, 401, 403, 404, 408, 413, 415, 422, 429, 503)
    image = {"schema": {"type": "string", "format": "binary"}}
    content = dict.fromkeys(sorted(IMAGES), image)
    arguments["openapi_extra"] = {"requestBody": {"required": True, "content": content}}
    return arguments
