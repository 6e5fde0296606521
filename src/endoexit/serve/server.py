"""The life of a service: its socket, its signals, its drain, its exit code."""

import asyncio
import contextlib
import importlib.util
import logging
import os
import resource
import signal
import socket
import sys
from collections.abc import Callable, Coroutine, Generator
from pathlib import Path
from types import FrameType
from typing import Any

import uvicorn
from starlette.middleware.cors import CORSMiddleware

from endoexit.errors import EndoexitError, UsageError
from endoexit.serve.app import make_app, new_identifier
from endoexit.serve.frame import App, Frame
from endoexit.serve.protocol import OTHERS, backlog_for, within
from endoexit.serve.reload import Reloads
from endoexit.serve.service import Service
from endoexit.serve.settings import Settings, check_tls

MOST_DESCRIPTORS = 2**16
EX_SOFTWARE = 70  # of sysexits.h: the service has ended by an error
log = logging.getLogger("endoexit.serve")


class EngineError(EndoexitError):
    """The engine of a service has ended."""

    exit_code = EX_SOFTWARE


class Server(uvicorn.Server):
    """A server of uvicorn whose signals drain the service first.

    Args:
        config: Settings of uvicorn.
        service: Service that it serves.
        reloads: Object that changes its model.
    """

    def __init__(self, config: uvicorn.Config, service: Service, reloads: Reloads) -> None:
        super().__init__(config)
        self._service = service
        self._reloads = reloads
        self._tasks: set[asyncio.Task[None]] = set()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Handle signals: SIGTERM and SIGINT drain, SIGHUP reads all that may change again."""
        loop = asyncio.get_running_loop()
        before = {sig: signal.getsignal(sig) for sig in (signal.SIGTERM, signal.SIGINT)}
        for sig in before:
            signal.signal(sig, self.handle_exit)
        loop.add_signal_handler(signal.SIGHUP, lambda: self._begin(self._again()))
        try:
            yield
        finally:
            for sig, handler in before.items():
                signal.signal(sig, handler)
            loop.remove_signal_handler(signal.SIGHUP)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Drain at the first signal; end at once at the second."""
        del sig, frame
        if self._service.state == "draining":
            os._exit(1)
        self._service.state = "draining"
        loop = asyncio.get_running_loop()
        loop.call_soon_threadsafe(lambda: self._begin(self._drain()))

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close the listeners and the connections that wait for a request."""
        self._service.closed = True
        await super().shutdown(sockets)

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _again(self) -> None:
        await self._reloads.again()
        limits = self._service.settings.limits  # new connections have these of uvicorn
        self.config.timeout_keep_alive = limits.keep_alive_s
        self.config.h11_max_incomplete_event_size = limits.head_bytes

    async def _drain(self) -> None:
        """Take requests for a while, then answer those that were accepted, then end."""
        settings = self._service.settings
        log.info("draining")
        await asyncio.sleep(settings.drain_delay_s)
        self.should_exit = True  # listeners close; connections end with their answers
        await asyncio.sleep(settings.drain_s)
        if self._service.worker is not None:
            self._service.worker.let_go()


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens.

    Raises:
        UsageError: The port is in use, or the address is not one of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With the protocol named, asyncio sends each part of an answer at once. Otherwise the second
    # one waits for the acknowledgement of the first: 40 ms on each connection that is kept.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(2048)
    except OSError as error:
        listener.close()
        raise UsageError(
            f"cannot listen on {host}:{port} ({error.strerror or error}): end what uses the port, "
            "or choose another with --port."
        ) from error
    listener.setblocking(False)
    return listener


def more_descriptors() -> int:
    """Let this process open as many files as the system allows it; return their number.

    The usual limit of 1024 is that of programs that use select(2).
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = MOST_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, MOST_DESCRIPTORS)
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    return allowed


def serve(source: Path, read: Callable[[], Settings], tell: Callable[[str], None]) -> None:
    """Serve a run or a bundle until a signal ends it.

    Args:
        source: Folder of the run or the bundle.
        read: Function that reads the settings, now and again at SIGHUP.
        tell: Function that is called with the address of the service when it listens.

    Raises:
        EndoexitError: It cannot be served, the port is in use, or the engine ended by an error.
    """
    log_to_stderr()
    settings = read()
    if settings.tls_cert is not None and settings.tls_key is not None:
        check_tls(settings.tls_cert, settings.tls_key)
    listener = listen(settings.host, settings.port)
    host, port = listener.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    url = f"{settings.scheme}://{shown}:{port}"
    log.info("listening on %s", url)
    tell(url)
    with listener, asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(_serve(source, settings, read, listener))


def new_loop() -> asyncio.AbstractEventLoop:
    """Return an event loop: that of uvloop where it is installed, which takes less time."""
    if importlib.util.find_spec("uvloop") is None:  # on Windows there is none
        return asyncio.new_event_loop()
    import uvloop  # noqa: PLC0415  (an extra)

    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop


def application(service: Service, reloads: Reloads) -> App:
    """Return the whole application of a service, as any server runs it."""
    app: App = Frame(make_app(service, reloads), service, new_identifier)
    if service.settings.cors:
        app = CORSMiddleware(
            app,
            allow_origins=service.settings.cors,
            allow_methods=["GET", "POST"],
            allow_headers=["authorization", "content-type"],
        )
    return app


async def _serve(
    source: Path, settings: Settings, read: Callable[[], Settings], listener: socket.socket
) -> None:
    service = Service(source, settings)
    reloads = Reloads(service, read)
    app = application(service, reloads)
    limits = settings.limits
    descriptors = more_descriptors()
    backlog = backlog_for(descriptors, limits.connections)
    config = uvicorn.Config(
        app,
        http=within(lambda: service.settings.limits, descriptors - backlog - OTHERS),
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=limits.keep_alive_s,
        timeout_graceful_shutdown=int(settings.drain_s) + 2,
        h11_max_incomplete_event_size=limits.head_bytes,
        backlog=backlog,
        ssl_certfile=settings.tls_cert,
        ssl_keyfile=settings.tls_key,
    )
    server = Server(config, service, reloads)
    starting = asyncio.create_task(_start(service, server))
    dying = asyncio.create_task(_end_with(service, server))
    try:
        await server.serve(sockets=[listener])
    finally:
        starting.cancel()
        dying.cancel()
        await asyncio.gather(starting, dying, return_exceptions=True)
        await service.close()
        log.info("ended: %s", service.metrics.balance())
    if isinstance(service.error, EndoexitError):
        raise service.error
    if service.error is not None:
        raise EngineError("the service has ended by an error: see above, and start it again.")


async def _start(service: Service, server: Server) -> None:
    try:
        await service.start()
    except Exception as error:  # whoever started the service gets it when the server has ended
        service.state, service.error = "failed", error
        if not isinstance(error, EndoexitError):
            log.exception("the model cannot be served")
        server.should_exit = True


async def _end_with(service: Service, server: Server) -> None:
    await service.ended.wait()
    await asyncio.sleep(0.5)  # readiness says so before
    server.should_exit = True


def log_to_stderr() -> None:
    """Send the log of a service to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    for name, level in (("endoexit.serve", logging.INFO), ("uvicorn", logging.ERROR)):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(level)
