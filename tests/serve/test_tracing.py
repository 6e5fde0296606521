"""Traces: sent to the collector that was named, with times and numbers alone."""

import http.server
import io
import re
import threading
import time

import pytest
from PIL import Image
from servers import PHOTOS, form, serving, terminate

from tiny import tiny_photos

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


def with_exif(text):
    """Return a JPEG whose EXIF names someone."""
    exif, content = Image.Exif(), io.BytesIO()
    exif[0x010E] = text  # ImageDescription
    Image.fromarray(tiny_photos()[0]).save(content, "JPEG", exif=exif)
    assert text.encode() in content.getvalue()
    return content.getvalue()


def test_requests_are_traced_and_logged_without_anything_of_their_images(
    served_run, collector, tmp_path
):
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
        ExportTraceServiceRequest,
    )

    url, bodies = collector
    audit, named = tmp_path / "audit.jsonl", with_exif(CANARY)
    options = ("--otlp", url, "--audit-log", audit)
    with serving(served_run, *options) as server, server.client() as client:
        headers = {"traceparent": f"00-{ABOVE}-00f067aa0ba902b7-01", "x-patient": CANARY}
        before = time.time_ns()
        answer = client.post("/v1/predict", files=form(PHOTOS[:1], CANARY), headers=headers)
        (result,) = answer.json()["results"]
        client.post("/v1/predict", files=form([b"no image"]), headers={"traceparent": CANARY})
        both = client.post("/v1/predict", files=form([named, named[:-400]], CANARY)).text
        client.post("/v1/predict", files=[(CANARY, named)])
        assert terminate(server) == 0
    text = b"".join(bodies)
    assert '"answered"' in both
    assert '"failed"' in both
    assert len(audit.read_text().splitlines()) == 4
    assert " ended: {'accepted': 5," in server.log
    for written in (text.decode("latin-1"), both, server.log, audit.read_text()):
        assert CANARY not in written
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
    assert {"predict", "receive", "decode"} <= {span.name for span in others}
    assert all(re.fullmatch(r"[a-z]+( \d+)?", span.name) for span in spans)
