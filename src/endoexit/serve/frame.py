"""What is done for every request: identifier, check of the host, safety headers, metrics."""

import json
import logging
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from starlette.datastructures import Headers, MutableHeaders

from endoexit.serve.access import check_host
from endoexit.serve.problems import Problem
from endoexit.serve.service import Service

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

SAFE = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' blob: data:; connect-src 'self'; form-action 'none'; base-uri 'none'; "
    "frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
log = logging.getLogger("endoexit.serve")


class Frame:
    """Wraps the application: does for every request what its routes do not.

    Args:
        app: Application that is wrapped.
        service: Service, for its settings and metrics.
        new_identifier: Function that makes the identifier of a request.
    """

    def __init__(self, app: App, service: Service, new_identifier: Callable[[], str]) -> None:
        self._app = app
        self._service = service
        self._new_identifier = new_identifier

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begin, metrics = time.monotonic(), self._service.metrics
        identifier = self._new_identifier()
        # The clock of the event loop is this one, too.
        scope["state"] = {**scope.get("state", {}), "identifier": identifier, "begin": begin}
        status = 500
        started = False

        async def send_on(message: Message) -> None:
            nonlocal status, started
            if message["type"] == "http.response.start":
                status, started = message["status"], True
                headers = MutableHeaders(scope=message)
                headers["x-request-id"] = identifier
                for name, value in SAFE.items():
                    headers.setdefault(name, value)
                headers.setdefault("cache-control", "no-store")
            await send(message)

        try:
            check_host(Headers(scope=scope), self._service.settings)
            await self._app(scope, receive, send_on)
        except Problem as problem:
            await _answer(problem, identifier, send_on)
        except Exception:
            log.exception("a request failed: %s", identifier)
            if started:
                raise
            await _answer(Problem("failed"), identifier, send_on)
        finally:
            route = getattr(scope.get("route"), "path", "none")
            metrics.requests.labels(route, str(status)).inc()
            self._note(scope, route, status)
            if "trace" in scope["state"]:
                scope["state"]["trace"].end(status)
            metrics.request_seconds.labels(route).observe(time.monotonic() - begin)

    def _note(self, scope: Message, route: str, status: int) -> None:
        """Write a request of the API to the audit log."""
        audit, state = self._service.audit, scope["state"]
        if audit is not None and route.startswith("/v1/"):
            fields = {"request": state["identifier"], "route": route, "status": status}
            audit.write(fields | state.get("audit", {}))


async def _answer(problem: Problem, identifier: str, send: Send) -> None:
    body = json.dumps(problem.document() | {"request": identifier}).encode()
    headers = problem.headers() | {"content-length": str(len(body))}
    encoded = [(name.encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": problem.status, "headers": encoded})
    await send({"type": "http.response.body", "body": body})
