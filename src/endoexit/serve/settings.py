"""How a service is run: all settings and limits, from options and from a file."""

import ipaddress
import ssl
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import Field, model_validator

from endoexit.documents import Asked
from endoexit.errors import UsageError, unknown_name
from endoexit.runtime.threads import check_threads

MIB = 2**20

_Count = Annotated[int, Field(ge=1)]
_Seconds = Annotated[float, Field(gt=0, le=3600)]
_Milliseconds = Annotated[float, Field(gt=0, le=600_000)]

_MOST_STREAMS = 4  # each has the network in memory


class Limits(Asked):
    """Limits of a service, with what a request gets that breaks one.

    Attributes:
        body_bytes: Bytes of a request's body; 413.
        file_bytes: Bytes of one image file; 413.
        files: Number of images of a request; 413.
        image_pixels: Number of pixels of an image, by its header; 422.
        min_side: Smallest side of an image, in pixels; 422.
        max_side: Largest side of an image, in pixels; 422.
        images_inside: Number of images that are inside at the same time; 429.
        bytes_in_flight: Bytes of all bodies that are inside at the same time; 429.
        client_share: Share of the images inside that one client may have while others have any;
            429. A client is a token, or an address where there are no tokens.
        body_s: Seconds in which a body must arrive; 408.
        decode_s: Seconds in which an image must be decoded; 422.
        decode_bytes: Bytes of address space of a process that decodes; 422.
        connections: Number of connections; 503.
        head_bytes: Bytes of the head of a request; 431.
        head_s: Seconds in which the head of a request must arrive; the connection is closed.
        keep_alive_s: Seconds that a connection may wait for its next request; it is closed.
        deadline_ms: Milliseconds in which a request is answered that names no deadline; 504.
        min_deadline_ms: Shortest deadline that may be asked for; 400.
        max_deadline_ms: Longest deadline that may be asked for; 400.
    """

    body_bytes: _Count = 32 * MIB
    file_bytes: _Count = 32 * MIB
    files: _Count = 32
    image_pixels: Annotated[int, Field(ge=64, le=100_000_000)] = 50_000_000
    min_side: Annotated[int, Field(ge=8)] = 8
    max_side: _Count = 20_000
    images_inside: _Count = 256
    bytes_in_flight: _Count = 256 * MIB
    client_share: Annotated[float, Field(gt=0, le=1)] = 0.5
    body_s: _Seconds = 15.0
    decode_s: _Seconds = 5.0
    decode_bytes: Annotated[int, Field(ge=256 * MIB)] = 1024 * MIB
    connections: _Count = 512
    head_bytes: Annotated[int, Field(ge=1024)] = 16 * 1024
    head_s: _Seconds = 5.0
    keep_alive_s: Annotated[int, Field(ge=1, le=3600)] = 5
    deadline_ms: _Milliseconds = 1000.0
    min_deadline_ms: _Milliseconds = 10.0
    max_deadline_ms: _Milliseconds = 10_000.0

    @model_validator(mode="after")
    def _check(self) -> "Limits":
        if not self.min_deadline_ms <= self.deadline_ms <= self.max_deadline_ms:
            raise UsageError(
                f"deadline_ms is {self.deadline_ms:g}, outside of min_deadline_ms "
                f"{self.min_deadline_ms:g} and max_deadline_ms {self.max_deadline_ms:g}: move one."
            )
        if self.bytes_in_flight < self.body_bytes:
            raise UsageError(
                f"bytes_in_flight is {self.bytes_in_flight}, less than body_bytes "
                f"{self.body_bytes}, so that no such body ever came in: raise it."
            )
        return self


class Settings(Asked):
    """How a service is run.

    Attributes:
        host: Address that it listens on.
        port: Port that it listens on; 0 for any that is free.
        hosts: Names by which clients may address it, besides its own and those of loopback.
        insecure: Whether it may listen beyond loopback without tokens.
        token_file: File with the hashes of tokens.
        tls_cert: Certificate of TLS.
        tls_key: Key of the certificate.
        cors: Origins whose pages may send requests.
        batch_size: Number of images of a full batch.
        max_wait_ms: Milliseconds that an image waits for others while there is other work.
        decoders: Number of processes that decode images.
        threads: Number of threads of the network; None for all cores, or for what is fastest for a
            bundle here if there is one stream.
        streams: Number of batches that run at the same time, each with its share of the threads;
            None for one on each thread, and at most 4.
        threshold: Confidence at which images exit, in place of the policy of the source.
        drain_s: Seconds in which accepted requests are answered after SIGTERM.
        drain_delay_s: Seconds after SIGTERM in which requests are still accepted.
        models: Folder in which `/v1/reload` finds other runs and bundles, by name.
        attention: Run, or bundle in PyTorch, with the same weights, that says where it looks.
        audit_log: File that gets a line for each request.
        otlp: Address of a collector of traces, for OTLP over HTTP.
        drift_images: Number of the last answers that are compared with those of calibration.
        drift_p_value: Chance under which a shift of exits, labels or confidence counts as one.
        limits: Limits of requests.
    """

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8080
    hosts: tuple[str, ...] = ()
    insecure: bool = False
    token_file: Path | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None
    cors: tuple[str, ...] = ()
    batch_size: Annotated[int, Field(ge=1, le=1024)] = 16
    max_wait_ms: Annotated[float, Field(ge=0, le=1000)] = 5.0
    decoders: Annotated[int, Field(ge=1, le=64)] = 2
    threads: _Count | None = None
    streams: Annotated[int, Field(ge=1, le=64)] | None = None
    threshold: Annotated[float, Field(ge=0, le=1)] | None = None
    drain_s: Annotated[float, Field(ge=0, le=3600)] = 20.0
    drain_delay_s: Annotated[float, Field(ge=0, le=3600)] = 0.0
    models: Path | None = None
    attention: Path | None = None
    audit_log: Path | None = None
    otlp: Annotated[str, Field(pattern=r"^https?://")] | None = None
    drift_images: Annotated[int, Field(ge=50)] = 1000
    drift_p_value: Annotated[float, Field(gt=0, lt=1)] = 1e-4
    limits: Limits = Field(default_factory=Limits)

    @model_validator(mode="after")
    def _check(self) -> "Settings":
        if not self.is_local and self.token_file is None and not self.insecure:
            raise UsageError(
                f"the service would answer anyone who reaches {self.host}: name a file of tokens "
                "with --token-file, listen on 127.0.0.1, or add --insecure."
            )
        if (self.tls_cert is None) != (self.tls_key is None):
            raise UsageError("TLS needs both --tls-cert and --tls-key.")
        if "*" in self.cors:
            raise UsageError("--cors takes origins such as https://clinic.example, never *.")
        if self.streams is not None and self.streams > check_threads(self.threads):
            raise UsageError(
                f"streams is {self.streams}, more than the {check_threads(self.threads)} threads "
                "that they share: lower --streams, or raise --threads."
            )
        if self.limits.images_inside < self.batch_size:
            raise UsageError(
                f"images_inside is {self.limits.images_inside}, less than a batch of "
                f"{self.batch_size}: raise it, or lower --batch-size."
            )
        return self

    @property
    def is_local(self) -> bool:
        """Whether only this machine reaches the service."""
        return is_loopback(self.host)

    def shares(self) -> tuple[int, int | None]:
        """Return the number of streams, and the number of threads of each, as `threads` has it."""
        if self.streams == 1:
            return 1, self.threads
        threads = check_threads(self.threads)
        streams = self.streams or min(threads, _MOST_STREAMS)
        return streams, max(1, threads // streams)

    def differing(self, other: "Settings") -> list[str]:
        """Return the names of the settings, without limits, whose values differ."""
        names = sorted(type(self).model_fields.keys() - {"limits"})
        return [name for name in names if getattr(self, name) != getattr(other, name)]

    @property
    def scheme(self) -> str:
        """Scheme of the service's address."""
        return "http" if self.tls_cert is None else "https"


def is_loopback(host: str) -> bool:
    """Tell whether an address is one of this machine alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def read_settings(config: Path | None, given: dict[str, Any]) -> Settings:
    """Return the settings of a file, with the options that were given in their place.

    Args:
        config: YAML with the names of `Settings`; its `limits` has those of `Limits`.
        given: Settings by name; `limits` with those that were given.

    Raises:
        UsageError: The file cannot be read, or a name or a value does not fit.
    """
    values: Any = {} if config is None else _read(config)
    values = _named(values, Settings, "setting")
    limits = _named(values.get("limits") or {}, Limits, "limit") | given.get("limits", {})
    return Settings.model_validate(values | given | {"limits": limits})


def _read(config: Path) -> Any:
    try:
        values = yaml.safe_load(config.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{config} cannot be read ({error}): check the path.") from error
    except yaml.YAMLError as error:
        raise UsageError(f"{config} is not valid YAML ({error}): correct it.") from error
    return {} if values is None else values


def _named(values: Any, schema: type[Asked], kind: str) -> dict[str, Any]:
    if not isinstance(values, dict):
        raise UsageError(f"a {kind} has a name and a value, such as port: 8080; got {values!r}.")
    for name in values:
        if name not in schema.model_fields:
            raise unknown_name(kind, str(name), schema.model_fields)
    return dict(values)


def check_tls(cert: Path, key: Path) -> None:
    """Refuse a certificate that cannot be used, before anything is opened.

    Raises:
        UsageError: A file cannot be read, or they do not belong together.
    """
    try:
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(cert, key)
    except (OSError, ssl.SSLError) as error:
        raise UsageError(
            f"{cert} and {key} cannot be used for TLS ({error}): name a certificate and its key "
            "in PEM."
        ) from error
