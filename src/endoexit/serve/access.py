"""What is checked of every request before anything else: host, token, deadline, length."""

from collections.abc import Sequence
from urllib.parse import parse_qsl

from starlette.datastructures import Headers
from starlette.requests import Request

from endoexit.images.dicom.header import MAX_FRAMES
from endoexit.serve.problems import Problem
from endoexit.serve.settings import Limits, Settings, is_loopback
from endoexit.serve.tokens import Scope, Tokens


def check_host(headers: Headers, settings: Settings) -> None:
    """Refuse a request for another host: a foreign page may use its own name for this address.

    Raises:
        Problem: The request is for another host.
    """
    host = headers.get("host", "")
    name = host.rpartition(":")[0] if _has_port(host) else host
    name = name.strip("[]").lower()
    if is_loopback(name) or name in (settings.host.lower(), *map(str.lower, settings.hosts)):
        return
    raise Problem("host.unknown")


def _has_port(host: str) -> bool:
    return host.rpartition(":")[2].isdigit() and (host.count(":") == 1 or "]:" in host)


def client_of(request: Request, tokens: Tokens | None, scope: Scope) -> str:
    """Return the client that sends a request: the name of its token, or its address.

    Raises:
        Problem: It has no token that allows this.
    """
    if tokens is None:
        return request.client.host if request.client else ""
    token = tokens.of(request.headers.get("authorization"))
    if token is None:
        raise Problem("token.missing")
    if scope not in token.scopes:
        raise Problem("token.scope")
    return token.name


def query_of(request: Request, known: Sequence[str]) -> dict[str, str]:
    """Return the parameters of a query.

    Raises:
        Problem: One is not known, or is there twice.
    """
    pairs = parse_qsl(request.url.query, keep_blank_values=True)
    query = dict(pairs)
    if len(query) < len(pairs) or not query.keys() <= set(known):
        raise Problem("query.unknown")
    return query


def deadline_of(query: dict[str, str], limits: Limits, shortest: float | None) -> float:
    """Return the seconds in which a request is to be answered.

    Args:
        query: Parameters of the request.
        limits: Limits of the service.
        shortest: Deadline of the policy in milliseconds; None for none.

    Raises:
        Problem: The deadline is no number, or outside of the limits.
    """
    asked = query.get("deadline_ms")
    ms = limits.deadline_ms
    if asked is not None:
        try:
            ms = float(asked)
        except ValueError:
            raise Problem("deadline.invalid") from None
        if not limits.min_deadline_ms <= ms <= limits.max_deadline_ms:
            raise Problem("deadline.invalid", limit=("max_deadline_ms", limits.max_deadline_ms))
    return (ms if shortest is None else min(ms, shortest)) / 1000


def frame_of(query: dict[str, str]) -> int | None:
    """Return the frame that a request asks for; None if it names none.

    Raises:
        Problem: The frame is no whole number, or outside of the limits.
    """
    asked = query.get("frame")
    if asked is None:
        return None
    if not (asked.isascii() and asked.isdigit()) or int(asked[:9]) >= MAX_FRAMES:
        raise Problem("frame.invalid", limit=("frame", MAX_FRAMES - 1))
    return int(asked)


def length_of(headers: Headers) -> int | None:
    """Return the length of the body that a request announces; None if it does not."""
    length = headers.get("content-length", "")
    return int(length) if length.isdigit() else None
