"""The routes of a service, over HTTP."""

import asyncio
import json
import secrets
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from http import HTTPStatus

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from endoexit import __version__
from endoexit.serve import openapi
from endoexit.serve.access import client_of, deadline_of, frame_of, length_of, query_of
from endoexit.serve.answers import Answered, ExitAnswer, NotAnswered, Predicted, Referred, Result
from endoexit.serve.bodies import GoneError, images_of, media_type, read_body, until_gone
from endoexit.serve.gate import Slot
from endoexit.serve.model import RESEARCH_USE, Model
from endoexit.serve.page import add_page
from endoexit.serve.problems import Problem
from endoexit.serve.reload import Reloads
from endoexit.serve.service import Service
from endoexit.serve.tracing import RequestTrace

NDJSON = "application/x-ndjson"
_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def make_app(service: Service, reloads: Reloads) -> FastAPI:
    """Return the application of a service.

    Args:
        service: Service that answers.
        reloads: Object that changes its model.
    """
    app = FastAPI(
        title="endoexit",
        version=__version__,
        description=f"Early-exit image classification. {RESEARCH_USE}",
        docs_url=None,  # its pages fetch scripts from other hosts
        redoc_url=None,
    )
    app.add_exception_handler(Problem, _problem)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(RequestValidationError, _http_error)
    _add_health(app, service)
    _add_predict(app, service)
    _add_reload(app, service, reloads)
    add_page(app, service)
    if service.tokens is not None:
        openapi.ask_for_tokens(app)
    return app


def _add_health(app: FastAPI, service: Service) -> None:
    @app.get("/livez", tags=["health"], **openapi.route(200, 503))
    async def livez() -> JSONResponse:
        """Return whether the service runs: its loop turns and its engine does not hang."""
        lives = service.state != "failed" and not service.is_hung
        return JSONResponse({"status": "ok" if lives else "failed"}, 200 if lives else 503)

    @app.get("/readyz", tags=["health"], **openapi.route(200, 503))
    async def readyz() -> JSONResponse:
        """Return whether the service takes requests."""
        state = "failed" if service.is_hung else service.state
        return JSONResponse({"status": state}, 200 if state == "ready" else 503)

    @app.get("/metrics", tags=["health"], **openapi.route(200, 401, 403, text="text/plain"))
    async def metrics(request: Request) -> Response:
        """Return all metrics in the text format of Prometheus."""
        client_of(request, service.tokens, "metrics")
        service.metrics.show_shift(service.shift.document())
        service.metrics.draining.set(service.state == "draining")
        kind = "text/plain; version=0.0.4; charset=utf-8"
        return Response(service.metrics.text(), media_type=kind)

    @app.get("/v1/model", tags=["model"], **openapi.route(200, 401, 403, 503))
    async def model(request: Request) -> JSONResponse:
        """Return the model: classes, exits, promises in words, hashes, limits, answers today."""
        client_of(request, service.tokens, "predict")
        answering, _ = service.accepting()
        return JSONResponse(
            answering.describe()
            | {
                "limits": service.settings.limits.model_dump(),
                "today": service.shift.document(),
                "attention": service.attention is not None,
            }
        )


def _add_predict(app: FastAPI, service: Service) -> None:
    @app.post("/v1/predict", tags=["predict"], **openapi.predict(service.settings.limits))
    async def predict(request: Request) -> Response:
        """Classify images; the policy decides at which exit each is answered.

        The body is one image, or several as the parts of a form. With `Accept:
        application/x-ndjson` each answer is a line, sent as soon as its image exits.
        """
        deadline, client, frame = await _checked(service, request)
        model, _ = service.accepting()
        kind, options = media_type(request.headers.get("content-type"))
        seconds = deadline - asyncio.get_running_loop().time()
        slot = await _admitted(service, request, client, seconds)
        trace = _begin_trace(service, request)
        try:
            contents = await _contents(service, request, kind, options)
        except BaseException as error:
            gone = isinstance(error, GoneError | asyncio.CancelledError)
            service.gate.close(slot, "cancelled" if gone else "failed")
            if isinstance(error, GoneError):
                return Response(status_code=499)  # to no one
            raise
        if trace is not None:
            trace.received(request.state.begin, len(contents))
        identifier = request.state.identifier
        request.state.audit |= {"images": len(contents), "weights": model.identity["weights"]}
        as_lines = NDJSON in request.headers.get("accept", "")
        every = as_lines and query_of(request, openapi.QUERY).get("exits") == "all"
        events = service.answers(
            model, contents, slot, deadline, frame=frame, every_exit=every, trace=trace
        )

        async def close() -> None:
            await events.aclose()
            service.gate.close(slot)

        if as_lines:
            return _Lines(_lines(request, events, model), close)
        try:
            results = await _unless_gone(request, _collect(events))
        finally:
            await close()
        if results is None:
            return Response(status_code=499)
        _note(request, *results)
        return _one_or_many(results, model, identifier)


async def _checked(service: Service, request: Request) -> tuple[float, str, int | None]:
    """Return the deadline of a request, its client, and the frame that it names."""
    client = client_of(request, service.tokens, "predict")
    name = (
        client if service.tokens is not None else None
    )  # without tokens, an address is not a name
    request.state.audit = {"client": name, "images": 0, "exits": [], "statuses": []}
    query = query_of(request, openapi.QUERY)
    if query.get("exits", "all") != "all":
        raise Problem("query.unknown")
    model, _ = service.accepting()
    seconds = deadline_of(query, service.settings.limits, model.deadline_ms)
    return request.state.begin + seconds, client, frame_of(query)


async def _admitted(service: Service, request: Request, client: str, seconds: float) -> Slot:
    """Return the place of a request; its refusal waits for its turn."""
    try:
        return service.gate.enter(client, length_of(request.headers), seconds)
    except Problem as problem:
        if problem.status == HTTPStatus.TOO_MANY_REQUESTS:
            await service.refusals.turn()
        raise


async def _contents(
    service: Service, request: Request, kind: str, options: dict[bytes, bytes]
) -> list[bytes]:
    limits = service.settings.limits
    return images_of(await read_body(request.receive, limits), kind, options, limits)


def _begin_trace(service: Service, request: Request) -> RequestTrace | None:
    if service.tracing is None:
        return None
    above = request.headers.get("traceparent")
    request.state.trace = service.tracing.request(above, request.state.begin)
    trace: RequestTrace = request.state.trace
    return trace


async def _collect(events: AsyncGenerator[Result | ExitAnswer, None]) -> list[Result]:
    results = [
        event async for event in events if isinstance(event, Answered | Referred | NotAnswered)
    ]
    return sorted(results, key=lambda result: result.index)


async def _unless_gone(request: Request, work: Awaitable[list[Result]]) -> list[Result] | None:
    """Return the result of work. If the client leaves before, cancel it and return None."""
    working = asyncio.ensure_future(work)
    leaving = asyncio.create_task(until_gone(request.receive))
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        return working.result() if working.done() else None
    finally:
        leaving.cancel()
        working.cancel()
        await asyncio.gather(working, leaving, return_exceptions=True)


def _one_or_many(results: list[Result], model: Model, identifier: str) -> Response:
    if len(results) == 1 and isinstance(results[0], NotAnswered):
        raise Problem(results[0].error.code)
    document = Predicted(
        request=identifier, model=model.identity, results=tuple(results), use=RESEARCH_USE
    )
    return Response(document.model_dump_json(), media_type="application/json")


def _note(request: Request, *results: Result | ExitAnswer) -> None:
    """Note for the audit log what became of images."""
    for result in results:
        if isinstance(result, Answered):
            request.state.audit["exits"].append(result.exit)
            request.state.audit["statuses"].append(result.deadline)
        elif isinstance(result, Referred):
            request.state.audit["exits"].append(result.exit)
            request.state.audit["statuses"].append(result.reason)
        elif isinstance(result, NotAnswered):
            request.state.audit["statuses"].append(result.error.code)


class _Lines(StreamingResponse):
    """Answers as lines; `close` is called in the end, even if not one line was sent."""

    def __init__(self, lines: AsyncIterator[bytes], close: Callable[[], Awaitable[None]]) -> None:
        super().__init__(lines, media_type=NDJSON)
        self._close = close

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the lines."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self._close()


async def _lines(
    request: Request, events: AsyncGenerator[Result | ExitAnswer, None], model: Model
) -> AsyncIterator[bytes]:
    of_all = {"request": request.state.identifier, "weights": model.identity["weights"]}
    async for event in events:
        _note(request, event)
        yield json.dumps(event.model_dump(mode="json") | of_all).encode() + b"\n"


def _add_reload(app: FastAPI, service: Service, reloads: Reloads) -> None:
    @app.post("/v1/reload", tags=["model"], **openapi.reload())
    async def reload(request: Request) -> JSONResponse:
        """Open another model while the present one answers, and change to it if it is whole."""
        client_of(request, service.tokens, "admin")
        service.accepting()
        body = await read_body(request.receive, service.settings.limits)
        model = await reloads.change(reloads.name_of(body))
        return JSONResponse({"status": "ready", "model": model.identity})


async def _problem(request: Request, problem: Exception) -> Response:
    assert isinstance(problem, Problem)  # noqa: S101  registered for these
    fields = problem.document() | {"request": getattr(request.state, "identifier", "")}
    return Response(json.dumps(fields), problem.status, problem.headers())


async def _http_error(request: Request, error: Exception) -> Response:
    codes = {404: "route.unknown", 405: "method.unknown"}
    code = codes.get(getattr(error, "status_code", 400), "request.invalid")
    response = await _problem(request, Problem(code))
    response.headers.update(getattr(error, "headers", None) or {})
    return response


def new_identifier(clock: Callable[[], float] = time.time) -> str:
    """Return an identifier of a request: a ULID, 48 bits of milliseconds and 80 random ones."""
    number = (int(clock() * 1000) << 80) | secrets.randbits(80)
    return "".join(_CROCKFORD[(number >> 5 * place) & 31] for place in reversed(range(26)))
