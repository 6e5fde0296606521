"""`endoexit serve`: a service over HTTP, with a page."""

import importlib.util
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from endoexit.cli.console import JsonOption, Output, ThresholdOption
from endoexit.errors import UsageError

_LIBRARIES = ("fastapi", "uvicorn", "python_multipart", "prometheus_client")


def serve(
    source: Annotated[Path, typer.Argument(help="Run folder of `endoexit train`, or bundle.")],
    *,
    host: Annotated[
        str | None, typer.Option(help="Address to listen on.  [default: 127.0.0.1]")
    ] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port to listen on.  [default: 8080]")
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="YAML file with settings and limits; options override it.")
    ] = None,
    threshold: ThresholdOption = None,
    threads: Annotated[
        int | None,
        typer.Option(
            min=1, help="Threads of the network.  [default: OMP_NUM_THREADS, else all cores]"
        ),
    ] = None,
    streams: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Batches that run at the same time and share the threads.  [default: one a "
            "thread, at most 4]",
        ),
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option(min=1, help="Images of a full batch.  [default: 16]")
    ] = None,
    max_wait_ms: Annotated[
        float | None,
        typer.Option(help="Longest wait for a fuller batch, under load.  [default: 5]"),
    ] = None,
    images_inside: Annotated[
        int | None, typer.Option(min=1, help="Most images at the same time.  [default: 256]")
    ] = None,
    deadline_ms: Annotated[
        float | None, typer.Option(help="Deadline of requests that name none.  [default: 1000]")
    ] = None,
    drain_s: Annotated[
        float | None, typer.Option(min=0, help="Longest time to end after SIGTERM.  [default: 20]")
    ] = None,
    drain_delay_s: Annotated[
        float | None,
        typer.Option(min=0, help="Time to take requests after SIGTERM.  [default: 0]"),
    ] = None,
    token_file: Annotated[
        Path | None, typer.Option(help="File with the hashes of tokens; see the guide.")
    ] = None,
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Allow other machines without tokens.")
    ] = False,
    allow_host: Annotated[
        list[str] | None, typer.Option(help="Another name of the service, for its clients.")
    ] = None,
    tls_cert: Annotated[Path | None, typer.Option(help="Certificate for TLS, in PEM.")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="Key of the certificate, in PEM.")] = None,
    cors: Annotated[
        list[str] | None, typer.Option(help="Origin whose pages may send requests.")
    ] = None,
    models: Annotated[
        Path | None, typer.Option(help="Folder of the models that /v1/reload may open.")
    ] = None,
    audit_log: Annotated[
        Path | None, typer.Option(help="File that gets a line of JSON for each request.")
    ] = None,
    otlp: Annotated[
        str | None, typer.Option(metavar="URL", help="Collector of traces, for OTLP over HTTP.")
    ] = None,
    attention: Annotated[
        Path | None,
        typer.Option(help="Run of the same weights, for what an exit looked at."),
    ] = None,
    ray: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="Serve on a cluster of Ray: HOST:PORT of its head, auto (that of this machine) or "
            "local (start one).",
        ),
    ] = None,
    replicas: Annotated[
        int | None,
        typer.Option(min=1, help="Replicas on the cluster.  [default: one on each node]"),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Answer images over HTTP; images of all requests share batches, and each exits early.

    Example: `endoexit serve bundles/nano --port 8080`

    Opens a page at the address that it prints. Listens on this machine only; anything else needs
    tokens. With `--json`, the document is printed when the service listens, and has its address.
    SIGTERM or Ctrl-C ends it when all accepted requests are answered. Research use only;
    not a medical device.

    With --ray, nodes of a cluster answer, each with a replica of the service. All of them need the
    model under the same path.
    """
    missing = [name for name in _LIBRARIES if importlib.util.find_spec(name) is None]
    if missing:
        raise UsageError("the service is not installed: pip install 'endoexit[serve]'.")
    from endoexit.artifacts.bundle import is_bundle
    from endoexit.artifacts.run import open_run
    from endoexit.serve.server import serve as run_service
    from endoexit.serve.settings import read_settings

    given: dict[str, Any] = {
        "host": host, "port": port, "threshold": threshold, "threads": threads,
        "streams": streams, "batch_size": batch_size, "max_wait_ms": max_wait_ms,
        "drain_s": drain_s, "drain_delay_s": drain_delay_s, "token_file": token_file,
        "insecure": insecure or None, "hosts": tuple(allow_host) if allow_host else None,
        "tls_cert": tls_cert, "tls_key": tls_key, "cors": tuple(cors) if cors else None,
        "models": models, "attention": attention, "audit_log": audit_log, "otlp": otlp,
    }  # fmt: skip
    limits = {"images_inside": images_inside, "deadline_ms": deadline_ms}
    options = _given(given) | {"limits": _given(limits)}
    output = Output(as_json)
    if not is_bundle(source):
        open_run(source)  # refused before the address is printed
    output.warn_if_unfinished(source)

    def tell(url: str) -> None:
        output.document({"url": url, "source": str(source)})
        sys.stdout.flush()

    if ray is None:
        if replicas is not None:
            raise UsageError("replicas are services on a cluster: give --ray with --replicas.")
        run_service(source, lambda: read_settings(config, options), tell)
        return
    from endoexit.serve.replicas import serve_on_cluster

    settings = read_settings(config, options)
    serve_on_cluster(source, settings, tell, address=ray, replicas=replicas)


def _given(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
