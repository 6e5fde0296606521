"""Connections: how many, how large a head, how long they may take, before any request is seen."""

import asyncio
from collections.abc import Callable
from typing import Any, cast

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from endoexit.serve.problems import Problem
from endoexit.serve.settings import Limits

LINGER_S = 1.0
OTHERS = 128  # descriptors of a service that are no connections


class Connection(H11Protocol):
    """A connection of uvicorn within limits; `within` makes the subclass with its attributes.

    Attributes:
        current: Function that returns the limits of now.
        most: Number of connections, refused ones among them, for which there are descriptors.
    """

    current: Callable[[], Limits]
    most: int
    _late: asyncio.TimerHandle | None = None
    _refused = False

    @property
    def limits(self) -> Limits:
        """Limits of now."""
        return type(self).current()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a connection, or answer 503 and close it if there are too many."""
        super().connection_made(transport)
        if len(self.connections) > self.limits.connections:
            self._end(Problem("connections", retry_after=1))
            return
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget a connection."""
        self._on_time()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take bytes; the head of a request must be whole in time."""
        if self._refused:
            return
        if self._late is None and (self.cycle is None or self.cycle.response_complete):
            self._await_head()
        super().data_received(data)

    def shutdown(self) -> None:
        """End the connection, after the answer that is on its way."""
        if self._refused:
            self._close()
        else:
            super().shutdown()

    def handle_events(self) -> None:
        """Note when the head of a request is whole."""
        cycle = self.cycle
        super().handle_events()
        if self.cycle is not cycle:
            self._on_time()

    def on_response_complete(self) -> None:
        """Wait a limited time for the rest of a body that was refused."""
        super().on_response_complete()
        if self.conn.their_state is h11.SEND_BODY and not self.transport.is_closing():
            self._await_head()

    def send_400_response(self, msg: str) -> None:
        """Answer what is not HTTP, or has too large a head, with a problem."""
        del msg
        received = len(self.conn.trailing_data[0])
        large = self.conn.their_state is h11.ERROR and received >= self.limits.head_bytes
        self._end(Problem("head.too_large" if large else "request.invalid"))

    def _await_head(self) -> None:
        self._on_time()
        self._late = self.loop.call_later(self.limits.head_s, self._close)

    def _on_time(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def _close(self) -> None:
        if not self.transport.is_closing():
            self.transport.close()

    def _end(self, problem: Problem) -> None:
        """Answer with a problem, and close the connection.

        What still comes is read for a moment. Otherwise the system would discard the answer.
        """
        self._refused = True
        self._on_time()
        body = problem.body()
        headers = problem.headers() | {"content-length": str(len(body)), "connection": "close"}
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        line = f"HTTP/1.1 {problem.status} {problem.fault.title[:60]}\r\n"
        self.transport.write(f"{line}{head}\r\n".encode("ascii") + body)
        if len(self.connections) > self.most:
            self._close()
            return
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.loop.call_later(LINGER_S, self._close)


def backlog_for(descriptors: int, connections: int) -> int:
    """Return how many connections may be taken at once, so that there are descriptors for all.

    As many are left for connections that are refused, which are read for a moment.

    Args:
        descriptors: Number of files that the process may have open.
        connections: Number of connections that are allowed.
    """
    return min(max((descriptors - connections - OTHERS) // 2, 16), 2048)


def within(current: Callable[[], Limits], most: int) -> type[asyncio.Protocol]:
    """Return the class of connections within limits; see the attributes of `Connection`."""
    fields = {"current": staticmethod(current), "most": most}
    made: Any = type("LimitedConnection", (Connection,), fields)
    return cast(type[asyncio.Protocol], made)
