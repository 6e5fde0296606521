"""What a service counts, for Prometheus. No label comes from a request."""

from collections.abc import Callable
from functools import partial
from typing import Any, Literal, get_args

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    ProcessCollector,
    generate_latest,
)

from endoexit.policy.referral import REASONS

Ending = Literal["answered", "cut", "failed", "cancelled"]

_SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)
_IMAGES = (1, 2, 4, 8, 16, 32, 64, 128)


class Metrics:
    """All metrics of a service, in a separate registry."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        kept: dict[str, Any] = {"registry": self.registry, "namespace": "endoexit"}
        self.requests = Counter(
            "requests", "Requests, by route and status.", ["route", "code"], **kept
        )
        self.request_seconds = Histogram(
            "request_seconds", "Time of a request.", ["route"], buckets=_SECONDS, **kept
        )
        self.accepted = Counter("accepted_images", "Images that were taken in.", **kept)
        self.images = Counter("images", "Images, by what became of them.", ["outcome"], **kept)
        self.inside = Gauge("inside_images", "Images taken in that have no outcome yet.", **kept)
        self.rejected = Counter("rejected", "Requests not taken in, by reason.", ["reason"], **kept)
        self.exits = Counter("exit_images", "Answers, by exit.", ["exit"], **kept)
        self.labels = Counter("labels", "Answers, by label.", ["label"], **kept)
        self.referred = Counter(
            "referred", "Images referred to a human, by reason.", ["reason"], **kept
        )
        self.stage_seconds = Histogram(
            "stage_seconds", "Time of a batch.", ["stage"], buckets=_SECONDS, **kept
        )
        self.stage_batch = Histogram(
            "stage_batch_images", "Images of a batch.", ["stage"], buckets=_IMAGES, **kept
        )
        self.pool_images = Gauge("pool_images", "Images that wait for a stage.", ["stage"], **kept)
        self.queue_seconds = Histogram(
            "queue_seconds", "Time of an image in the pools.", buckets=_SECONDS, **kept
        )
        self.decode_seconds = Histogram(
            "decode_seconds", "Time of decoding.", buckets=_SECONDS, **kept
        )
        self.bytes_in_flight = Gauge("in_flight_bytes", "Bytes of bodies that are inside.", **kept)
        self.deadlines = Counter("deadline", "Deadlines, by result.", ["result"], **kept)
        self.decoder_restarts = Counter(
            "decoder_restarts", "Processes of decoding replaced, by reason.", ["reason"], **kept
        )
        self.heartbeat = Gauge(
            "engine_heartbeat_seconds", "Seconds since the engine last turned.", **kept
        )
        self.audit_lost = Counter("audit_lost", "Lines of the audit log that are lost.", **kept)
        self.reloads = Counter("reloads", "Changes of the model, by result.", ["result"], **kept)
        self.draining = Gauge("draining", "Whether the service is about to end.", **kept)
        self.shift = Gauge(
            "shift_p_value",
            "Chance of answers that differ so much on images like those of calibration.",
            ["of"],
            **kept,
        )
        self.shifted = Gauge(
            "promise_may_not_hold",
            "1 while answers are other than at calibration: the promise may not hold.",
            **kept,
        )
        self.model = Info("model", "The model that answers.", **kept)
        ProcessCollector(registry=self.registry)
        for ending in get_args(Ending):
            self.images.labels(ending)  # so that all are there from the start
        for reason in REASONS:
            self.referred.labels(reason)

    def show_shift(self, today: dict[str, Any]) -> None:
        """Show whether answers are like those of calibration; see `Shift.document`."""
        for name in ("exits", "labels", "confidence"):
            p_value = today[name]["p_value"]
            self.shift.labels(name).set(float("nan") if p_value is None else p_value)
        self.shifted.set(today["shifted"])

    def take_in(self) -> None:
        """Count an image that was taken in."""
        self.accepted.inc()
        self.inside.inc()

    def end(self, ending: Ending) -> None:
        """Count what became of an image."""
        self.inside.dec()
        self.images.labels(ending).inc()

    def balance(self) -> dict[str, int]:
        """Return how many images were taken in, what became of them, and how many are inside."""
        value = self.registry.get_sample_value
        endings = {
            ending: value("endoexit_images_total", {"outcome": ending})
            for ending in get_args(Ending)
        }
        counts = {
            "accepted": value("endoexit_accepted_images_total"),
            **endings,
            "inside": value("endoexit_inside_images"),
        }
        return {name: int(count or 0) for name, count in counts.items()}

    def observe_stage(self, stage: int, images: int, seconds: float) -> None:
        """Count a batch of one stage."""
        self.stage_seconds.labels(str(stage)).observe(seconds)
        self.stage_batch.labels(str(stage)).observe(images)

    def follow(self, counts: Callable[[], tuple[int, ...]], stages: int) -> None:
        """Show how many images wait for each stage whenever the metrics are read."""
        for stage in range(1, stages + 1):
            waiting = partial(_at, counts, stage - 1)
            self.pool_images.labels(str(stage)).set_function(waiting)

    def text(self) -> bytes:
        """Return all metrics in the text format of Prometheus."""
        return generate_latest(self.registry)


def _at(counts: Callable[[], tuple[int, ...]], place: int) -> float:
    values = counts()
    return values[place] if place < len(values) else 0
