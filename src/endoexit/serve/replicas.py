"""A service on a cluster of Ray: the same application in replicas of Ray Serve."""

import contextlib
import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from endoexit.cluster import connected, room_for
from endoexit.errors import EndoexitError, UsageError, counted
from endoexit.offline import stay_offline
from endoexit.serve.frame import App, Message, Receive, Send
from endoexit.serve.reload import Reloads
from endoexit.serve.server import application, log_to_stderr
from endoexit.serve.service import Service
from endoexit.serve.settings import Limits, Settings, check_tls

APPLICATION = "endoexit"
DEFAULT_THREADS = 2
_LOOK_S = 0.5
_START_S = 600.0  # a busy machine took 3 minutes
_QUEUED = 32  # requests that wait in front of the replicas, for each
_RETRY_AFTER_S = 2
_DRIVER = "endoexit-driver"
# Ray Serve kills a proxy that is not ready after three times 5 s, which a busy machine exceeds.
_PATIENCE = {"RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S": "30"}
# Settings that a replica among several cannot keep, and why.
_REFUSED = {
    "models": "a reload would change one replica only: start the service again with another model",
    "audit_log": "several replicas would write one file: let a server in front of them keep a log",
    "drain_delay_s": "Ray ends a service: take it out of the load balancer before SIGTERM",
}
_LIMITS_OF_CONNECTIONS = ("connections", "head_bytes", "head_s")
log = logging.getLogger("endoexit.serve")


class Replica:
    """One replica: a service in a process on a node.

    Args:
        source: Folder of the run or the bundle.
        settings: Settings of the service, as a document.
    """

    async def __init__(  # type: ignore[misc]  # Ray Serve awaits it
        self, source: str, settings: dict[str, Any]
    ) -> None:
        stay_offline()
        log_to_stderr()
        given = Settings.model_validate(settings)
        os.environ["OMP_NUM_THREADS"] = str(given.threads)  # before torch is imported
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
        self._service = Service(Path(source), given)
        await self._service.start()

    def __serve_build_asgi_app__(self) -> App:
        """Return the application; Ray Serve asks for it when the replica is ready."""
        settings = self._service.settings
        app = application(self._service, Reloads(self._service, lambda: settings))

        async def with_end(scope: Message, receive: Receive, send: Send) -> None:
            if scope["type"] == "lifespan":
                await self._live(receive, send)
            else:
                await app(scope, receive, send)

        return with_end

    async def _live(self, receive: Receive, send: Send) -> None:
        """Answer that the service has begun, and end it when all requests are answered."""
        while True:
            event = (await receive())["type"]
            if event == "lifespan.shutdown":
                await self._service.close()
            await send({"type": f"{event}.complete"})
            if event == "lifespan.shutdown":
                return

    async def check_health(self) -> None:
        """Raise if the service has failed or its engine hangs: Ray Serve then replaces it."""
        if self._service.state == "failed" or self._service.is_hung:
            raise RuntimeError("the service has failed, or its engine hangs")


class Driver:
    """An actor that lives as long as the command that started a service."""


def serve_on_cluster(
    source: Path,
    settings: Settings,
    tell: Callable[[str], None],
    *,
    address: str,
    replicas: int | None = None,
) -> None:
    """Serve a run or a bundle on a cluster until a signal ends it.

    Args:
        source: Folder of the run or the bundle, which all nodes see.
        settings: Settings of the service.
        tell: Function that is called with the address of the service when it is ready.
        address: Cluster, see `connected`.
        replicas: Number of replicas, on one node each. By default one on each node that has the
            CPUs for it.

    Raises:
        UsageError: A setting cannot be kept on a cluster, or the cluster has too few nodes.
        EndoexitError: The cluster cannot be reached, serves already, or a replica does not start.
    """
    log_to_stderr()
    refuse_settings(settings)
    if settings.tls_cert is not None and settings.tls_key is not None:
        check_tls(settings.tls_cert, settings.tls_key)
    threads = settings.threads or DEFAULT_THREADS
    settings = settings.replaced(threads=threads)
    stopping = threading.Event()
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        with connected(address) as ray:
            for number in before:
                signal.signal(number, lambda *_: _stop(stopping))
            count = _count(ray, threads, replicas)
            driver = _require_alone(ray)
            try:
                _deploy(source, settings, count)
                if _is_ready(stopping):
                    url = f"{settings.scheme}://{settings.host}:{settings.port}"
                    log.info("ready: %s on %s", url, counted(count, "replica"))
                    tell(url)
                    stopping.wait()
            finally:
                log.info("draining")
                _end()
                ray.kill(driver)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    log.info("ended")


def refuse_settings(settings: Settings) -> None:
    """Refuse settings that replicas cannot keep.

    Raises:
        UsageError: There is one; the message says why.
    """
    plain = Settings()
    for name, reason in _REFUSED.items():
        if getattr(settings, name) != getattr(plain, name):
            raise UsageError(f"{name} does not go with --ray: {reason}.")
    for name in _LIMITS_OF_CONNECTIONS:
        if getattr(settings.limits, name) != getattr(Limits(), name):
            raise UsageError(
                f"the limit {name} does not go with --ray, whose proxies limit connections "
                "themselves: set it in a server in front of them."
            )
    if not settings.port:
        raise UsageError("with --ray the port is that of all proxies: name one with --port.")


def _count(ray: Any, threads: int, replicas: int | None) -> int:
    """Return the number of replicas: at most one on each node."""
    room_for(ray, threads)
    nodes = sum(node["Resources"].get("CPU", 0) >= threads for node in ray.nodes() if node["Alive"])
    if replicas is not None and replicas > nodes:
        raise UsageError(
            f"{counted(nodes, 'node')} of the cluster can have a replica of "
            f"{counted(threads, 'thread')}, not {replicas}: lower --replicas or --threads, or add "
            "nodes."
        )
    return replicas or nodes


def _require_alone(ray: Any) -> Any:
    """Refuse a cluster that serves already; end what a killed command left there.

    Returns:
        The actor by which the next command sees that this one lives.
    """
    from ray import serve  # noqa: PLC0415
    from ray.serve.context import _get_global_client  # noqa: PLC0415
    from ray.serve.exceptions import RayServeException  # noqa: PLC0415

    made = ray.remote(Driver).options(name=_DRIVER, namespace=APPLICATION, num_cpus=0)
    try:
        driver = made.remote()
    except ValueError:  # the name is taken
        raise EndoexitError(
            "the cluster is serving for another command: end that with SIGTERM first."
        ) from None
    try:
        client = _get_global_client(raise_if_no_controller_running=False)
    except RayServeException:
        client = None
    if client is not None:
        others = serve.status().applications.keys() - {APPLICATION}
        if others:
            ray.kill(driver)
            raise EndoexitError(
                f"the cluster serves other applications ({', '.join(sorted(others))}) at a port of "
                "theirs: use another cluster."
            )
        serve.shutdown()
    return driver


def _deploy(source: Path, settings: Settings, replicas: int) -> None:
    from ray import serve  # noqa: PLC0415
    from ray.serve.config import BackpressureConfig, HTTPOptions  # noqa: PLC0415

    cert, key = (path and str(path.absolute()) for path in (settings.tls_cert, settings.tls_key))
    quiet = {"enable_access_log": False, "log_level": "WARNING"}
    document = settings.model_dump(mode="json")
    for name in ("token_file", "attention"):
        if document[name] is not None:
            document[name] = str(Path(document[name]).absolute())
    deployment = serve.deployment(
        serve.ingress()(Replica),
        name="replica",
        num_replicas=replicas,
        max_replicas_per_node=1,
        max_ongoing_requests=settings.limits.images_inside,
        max_queued_requests=_QUEUED * replicas,
        backpressure_config=BackpressureConfig(status_code=429, retry_after_s=_RETRY_AFTER_S),
        graceful_shutdown_timeout_s=settings.drain_s + 2,
        max_constructor_retry_count=1,
        ray_actor_options={"num_cpus": settings.threads},
        logging_config=quiet,
    )
    try:
        with contextlib.suppress(TimeoutError):  # its proxies may take longer than it waits
            serve.start(
                http_options=HTTPOptions(
                    host=settings.host,
                    port=settings.port,
                    keep_alive_timeout_s=settings.limits.keep_alive_s,
                    ssl_certfile=cert,
                    ssl_keyfile=key,
                ),
                logging_config=quiet,
                controller_options={"runtime_env": {"env_vars": _PATIENCE}},
            )
        target = deployment.bind(str(source.absolute()), document)
        serve.run_many(
            [serve.RunTarget(target, name=APPLICATION)], wait_for_applications_running=False
        )
    except Exception as error:  # Ray raises RuntimeError, RayActorError and others
        raise EndoexitError(_why(str(error))) from error


def _is_ready(stopping: threading.Event) -> bool:
    """Wait until all replicas are ready; return whether they are, or it was stopped before.

    Raises:
        EndoexitError: A replica does not start.
    """
    from ray import serve  # noqa: PLC0415

    latest = time.monotonic() + _START_S
    while not stopping.wait(_LOOK_S):
        status = serve.status()
        app, proxies = status.applications[APPLICATION], set(status.proxies.values())
        if app.status == "RUNNING" and proxies == {"HEALTHY"}:
            return True
        if app.status in {"DEPLOY_FAILED", "UNHEALTHY"}:
            said = [deployment.message for deployment in app.deployments.values()]
            raise EndoexitError(_why("\n".join([app.message, *said])))
        if time.monotonic() > latest:
            raise EndoexitError(_why(f"not ready after {_START_S:g} s"))
    return False


def _why(said: str) -> str:
    """Return why a service does not start: the last line of what Ray said, the error itself."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return (
        f"the service does not start on the cluster ({lines[-1] if lines else 'no reason'}): all "
        "nodes need the model under the same path, the same endoexit, and a port that is free."
    )


def _end() -> None:
    """Have all accepted requests answered, then end the service."""
    from ray import serve  # noqa: PLC0415

    serve.delete(APPLICATION)
    serve.shutdown()


def _stop(stopping: threading.Event) -> None:
    """Drain at the first signal; end at once at the second."""
    if stopping.is_set():
        os._exit(1)
    stopping.set()
