"""The page of a service: three files, and the route that only they use."""

import asyncio
from importlib.resources import files
from pathlib import Path

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from endoexit.serve import openapi
from endoexit.serve.access import client_of, length_of
from endoexit.serve.bodies import FORM, GoneError, media_type, read_body
from endoexit.serve.metrics import Ending
from endoexit.serve.problems import Problem
from endoexit.serve.service import Service

_KINDS = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}
_FILES = {"/": "index.html", "/page.css": "page.css", "/page.js": "page.js"}


def add_page(app: FastAPI, service: Service) -> None:
    """Add the page, and the route for what an exit looked at."""
    for path, name in _FILES.items():
        _add_file(app, path, name)

    @app.post("/v1/attention", tags=["page"], **openapi.attention())
    async def attention(request: Request) -> Response:
        """Return what each exit looks at in one image."""
        client = client_of(request, service.tokens, "predict")
        model, _ = service.accepting()
        if service.attention is None:
            raise Problem("attention.absent")
        kind, _ = media_type(request.headers.get("content-type"))
        if kind == FORM:
            raise Problem("type.unknown")
        limits = service.settings.limits
        slot = service.gate.enter(client, length_of(request.headers), limits.max_deadline_ms / 1000)
        ending: Ending = "failed"
        try:
            content = await read_body(request.receive, limits)
            square, _ = await service.decoders.decode(content, model.preprocessing)
            exits = await service.attention.maps(square)
            ending = "answered"
        except (GoneError, asyncio.CancelledError):
            ending = "cancelled"
            return Response(status_code=499)
        finally:
            service.gate.close(slot, ending)
        return JSONResponse({"exits": exits})


def _add_file(app: FastAPI, path: str, name: str) -> None:
    content = (files("endoexit.serve") / "pages" / name).read_bytes()
    kind = f"{_KINDS[Path(name).suffix]}; charset=utf-8"

    @app.get(path, include_in_schema=False)
    async def page() -> Response:
        return Response(content, media_type=kind)
