"""Traces for OpenTelemetry: where the time of a request went, and nothing of its images."""

import importlib.util
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from endoexit.errors import UsageError

if TYPE_CHECKING:
    from opentelemetry.trace import Span

_LIBRARIES = ("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http")


class RequestTrace:
    """The spans of one request: `predict`, and below it those of its images.

    Args:
        tracer: Tracer of the library.
        traceparent: Header of whoever asks; it is followed only if it is well formed.
        begin: Time, on the monotonic clock, at which the request came.
    """

    def __init__(self, tracer: Any, traceparent: str | None, begin: float) -> None:
        from opentelemetry import trace  # noqa: PLC0415
        from opentelemetry.trace.propagation import tracecontext  # noqa: PLC0415

        carrier = {} if traceparent is None else {"traceparent": traceparent}
        above = tracecontext.TraceContextTextMapPropagator().extract(carrier)
        self._tracer = tracer
        self._span: Span = tracer.start_span("predict", above, start_time=_ns(begin))
        self._context = trace.set_span_in_context(self._span)

    def received(self, begin: float, images: int) -> None:
        """Add the span of the body."""
        self._add("receive", begin, time.monotonic(), {"endoexit.images": images})

    def image(self, decoding: tuple[float, float], marks: Sequence[float], exit_: int) -> None:
        """Add the spans of an image.

        Args:
            decoding: Times at which decoding began and ended.
            marks: Times at which the exits answered; the time in between is waiting, too.
            exit_: Number of the exit that answered.
        """
        self._add("decode", *decoding, {})
        before = decoding[1]
        for stage, mark in enumerate(marks, start=1):
            self._add(f"stage {stage}", before, mark, {"endoexit.exit": exit_})
            before = mark

    def end(self, status: int) -> None:
        """End the trace with the status of the answer."""
        self._span.set_attribute("http.response.status_code", status)
        self._span.end()

    def _add(self, name: str, begin: float, end: float, attributes: dict[str, int]) -> None:
        span = self._tracer.start_span(
            name, self._context, attributes=attributes, start_time=_ns(begin)
        )
        span.end(_ns(end))


class Tracing:
    """Sends traces to a collector.

    Args:
        url: Address of the collector for OTLP over HTTP, such as
            `http://127.0.0.1:4318/v1/traces`.

    Raises:
        UsageError: The library is not installed.
    """

    def __init__(self, url: str) -> None:
        if not _is_installed():
            raise UsageError("traces are not installed: pip install 'endoexit[trace]'.")
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415
            OTLPSpanExporter,
        )
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

        # The resource is this alone: what the library would find out tells of the machine.
        self._provider = TracerProvider(resource=Resource({"service.name": "endoexit"}))
        exporter = OTLPSpanExporter(endpoint=url, timeout=5)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("endoexit.serve")

    def request(self, traceparent: str | None, begin: float) -> RequestTrace:
        """Begin the trace of a request."""
        return RequestTrace(self._tracer, traceparent, begin)

    def close(self) -> None:
        """Send what is left, and end."""
        self._provider.shutdown()


def _is_installed() -> bool:
    try:
        return all(importlib.util.find_spec(name) is not None for name in _LIBRARIES)
    except ModuleNotFoundError:
        return False


def _ns(moment: float) -> int:
    """Return a time of the monotonic clock as nanoseconds since 1970."""
    return time.time_ns() + int((moment - time.monotonic()) * 1e9)
