"""Traces: sent to the collector that was named, with times and numbers alone."""

import http.server
import re
import threading
import time

import pytest
from servers import PHOTOS, form, serving, terminate

CANARY = "MUELLER-19530412"
ABOVE = "4bf92f3577b34da6a3ce929d0e0e4736"


@pytest.fixture
def collector():
    """A collector on loopback that keeps what it gets."""
    bodies = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            bodies.append(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/v1/traces", bodies
        server.shutdown()


def test_a_request_is_traced_without_anything_of_its_images(served_run, collector):
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
        ExportTraceServiceRequest,
    )

    url, bodies = collector
    with serving(served_run, "--otlp", url) as server, server.client() as client:
        headers = {"traceparent": f"00-{ABOVE}-00f067aa0ba902b7-01", "x-patient": CANARY}
        before = time.time_ns()
        answer = client.post("/v1/predict", files=form(PHOTOS[:1], CANARY), headers=headers)
        (result,) = answer.json()["results"]
        client.post("/v1/predict", files=form([b"no image"]), headers={"traceparent": CANARY})
        assert terminate(server) == 0
    text = b"".join(bodies)
    assert CANARY.encode() not in text
    assert str(served_run).encode() not in text
    spans = [
        span
        for body in bodies
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]
    followed = [span for span in spans if span.trace_id.hex() == ABOVE]
    stages = [f"stage {number}" for number in range(1, result["exit"] + 1)]
    assert sorted(span.name for span in followed) == sorted(
        ["predict", "receive", "decode", *stages]
    )
    for span in followed:
        assert before - 10**9 <= span.start_time_unix_nano <= span.end_time_unix_nano
    others = [span for span in spans if span.trace_id.hex() != ABOVE]
    assert {span.name for span in others} == {"predict", "receive"}
    assert all(re.fullmatch(r"[a-z]+( \d+)?", span.name) for span in spans)
