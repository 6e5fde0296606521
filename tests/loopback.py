"""A server of files on this machine, with the faults of servers elsewhere."""

import contextlib
import hashlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

CHUNK = 4096


@dataclass
class Server:
    """What is served, and how.

    Attributes:
        files: Contents by path, such as `/a.zip`.
        ranges: Whether parts are sent.
        tags: Whether files have an ETag.
        dates: Whether files have a date of their last change.
        lengths: Whether the length is announced.
        breaks: Numbers of bytes after which the next answers break off; an empty list for none.
        statuses: Status codes of the next answers, without content.
        pause: Event that is waited for in the middle of each answer; None for none.
        asked: Path and range of every request.
        proxied: Whole addresses that came as to a proxy.
    """

    files: dict[str, bytes]
    ranges: bool = True
    tags: bool = True
    dates: bool = False
    lengths: bool = True
    breaks: list[int] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    pause: threading.Event | None = None
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    proxied: list[str] = field(default_factory=list)
    port: int = 0

    def url(self, path: str) -> str:
        """Return the address of a file."""
        return f"http://127.0.0.1:{self.port}{path}"


@contextlib.contextmanager
def serving(files: dict[str, bytes], **options: object) -> Iterator[Server]:
    """Serve files while the block runs."""
    server = Server(files, **options)  # type: ignore[arg-type]

    class Handler(_Handler):
        state = server

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http.daemon_threads = True
    server.port = http.server_address[1]
    thread = threading.Thread(target=http.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        if server.pause is not None:
            server.pause.set()
        http.shutdown()
        http.server_close()


class _Handler(BaseHTTPRequestHandler):
    state: Server

    def log_message(self, *arguments: object) -> None:
        """Stay silent."""

    def do_GET(self) -> None:
        state, path = self.state, self.path
        if path.startswith("http://"):
            state.proxied.append(path)
            path = "/" + path.split("/", 3)[3]
        wanted = self.headers.get("Range")
        state.asked.append((path, wanted))
        if state.statuses:
            self._empty(state.statuses.pop(0))
            return
        content = state.files.get(path)
        if content is None:
            self._empty(404)
            return
        tag = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
        date = formatdate(len(content) * 1000, usegmt=True)
        known = [value for value, on in ((tag, state.tags), (date, state.dates)) if on]
        first = 0
        if wanted and state.ranges and self.headers.get("If-Range") in [None, *known]:
            first = int(wanted.removeprefix("bytes=").removesuffix("-"))
            if first >= len(content):
                self._empty(416)
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {first}-{len(content) - 1}/{len(content)}")
        else:
            self.send_response(200)
        if state.tags:
            self.send_header("ETag", tag)
        if state.dates:
            self.send_header("Last-Modified", date)
        if state.lengths:
            self.send_header("Content-Length", str(len(content) - first))
        self.end_headers()
        self._send(content[first:])

    def _send(self, content: bytes) -> None:
        state = self.state
        end = min(len(content), state.breaks.pop(0)) if state.breaks else len(content)
        for start in range(0, end, CHUNK):
            self.wfile.write(content[start : min(end, start + CHUNK)])
            if state.pause is not None and start >= end // 2:
                self.wfile.flush()
                state.pause.wait(30)
        self.close_connection = True

    def _empty(self, status: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()
