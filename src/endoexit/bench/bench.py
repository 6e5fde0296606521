"""One benchmark, start to end: a run or a bundle compared with its peers."""

import tempfile
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from endoexit.bench.document import Benchmark, Line, MeasuredSource, Product, Ratio, Setting
from endoexit.bench.images import BenchImages, load_images
from endoexit.bench.limit import MatrixProduct, limits, matrix_product
from endoexit.bench.memory import BATCHES, measure_memory
from endoexit.bench.peers import RANDOM_WEIGHTS, Peer, choose_peers, open_peer
from endoexit.bench.ratios import mixed, mixed_quantiles, ratio, ratio_of
from endoexit.bench.subject import (
    FINAL,
    POLICY,
    exit_names,
    exit_works,
    exits_taken,
    policy_works,
)
from endoexit.bench.throughput import measure_throughput
from endoexit.errors import UsageError
from endoexit.evaluation.document import FALLING
from endoexit.evaluation.latency import Contender, keeping_threads
from endoexit.evaluation.turns import Work, take_turns
from endoexit.machine import describe_machine, library_versions, share_at_work
from endoexit.runtime.session import Session
from endoexit.runtime.threads import check_threads

PRODUCT = "matrix product"
INCLUDES = (
    "batch of 1, from the decoded and resized image to the answer: normalisation, network, "
    "softmax, routing; reading and decoding of the file not included; in every round each "
    "contender takes its turn, once off the clock and once on it"
)
DEADLINE = (
    "The policy has a deadline ({:g} ms), so the clock of this machine decides where images exit: "
    "no images a second are measured under it"
)
LITTLE = 0.2  # share of all cores' time that other work may take: alternating evens that out
BUSY = (
    "Other work held {:.0%} of this machine when the benchmark began. The threads of some "
    "contenders then wait for each other and those of others do not: do not rely on these ratios, "
    "and measure again on a quiet machine, or with fewer --threads."
)
ENERGY = "Energy is not measured: the processor does not report it."
SYNTHETIC = (
    "The images are SYNTHETIC: the times of the exits hold for any image, but where images exit "
    "under the policy, and so its time, means nothing. Name real ones with --images."
)
UNCUT_INT8 = "The uncut graphs of an int8 bundle are not quantised: they compute in its floats."


@dataclass(frozen=True, kw_only=True)
class BenchOptions:
    """What is measured besides the subject, and how often.

    Attributes:
        rounds: Number of measurements of the time of one image.
        images: Files, folders and globs; none for rendered images.
        against: Names of peers; see `endoexit.bench.peers.choose_peers`.
        command: Command line, for the record.
    """

    rounds: int
    images: tuple[str, ...] = ()
    against: tuple[str, ...] = ()
    command: str = ""


def bench(subject: Session, options: BenchOptions) -> Benchmark:
    """Measure a run or a bundle and its peers, alternately in one process.

    Args:
        subject: What is measured, with its threads and its threshold.
        options: See `BenchOptions`.

    Raises:
        UsageError: No such peer, one that is not installed, or too few rounds.
        EndoexitError: See `endoexit.runtime.session.Session.engine` and
            `endoexit.bench.images.load_images`.
    """
    if options.rounds < 2:
        raise UsageError(f"ratios need at least 2 rounds to spread, got {options.rounds}.")
    at_work = share_at_work()  # before this process works itself
    with keeping_threads(), tempfile.TemporaryDirectory() as folder:
        # All contenders have the same: not what is fastest for the one that is measured.
        subject = replace(subject, threads=check_threads(subject.threads))
        threads = subject.engine.backend.threads
        names = choose_peers(options.against, subject.precision.backend)
        # Both start processes: done before this one has threads at work and much memory.
        describe_machine()
        peaks = measure_memory(subject.source.path, subject.precision.floats, threads)
        images = load_images(options.images, subject.preprocessing, subject.track)
        peers = []
        with subject.track("building peers", len(names)) as bar:
            for name in names:
                peer = open_peer(
                    name,
                    subject.source.config.network,
                    subject.preprocessing,
                    subject.precision,
                    threads=threads,
                    folder=Path(folder),
                )
                peers.append(peer)
                bar.advance()
        return _Work(options, subject, images, peers, peaks, at_work).measure()


@dataclass(frozen=True)
class _Work:
    options: BenchOptions
    subject: Session
    images: BenchImages
    peers: list[Peer]
    peaks: dict[int, float]
    at_work: float
    times: dict[str, list[float]] = field(default_factory=dict)

    def measure(self) -> Benchmark:
        subject, images = self.subject, self.images.images
        exits = exits_taken(subject, images, self.subject.track)
        counts = dict(sorted(Counter(exits.tolist()).items()))
        product = matrix_product(subject.precision.products, subject.backend.threads)
        works: dict[str, Work] = exit_works(subject, images)
        if subject.adaptive:
            works |= {_exiting(k): work for k, work in policy_works(subject, images, exits).items()}
        for peer in self.peers:
            works[peer.name] = Contender(peer.engine, self._taken_by(peer)).answer
        if product is not None:
            works[PRODUCT] = lambda _: product.multiply()
        with self.subject.track("timing, one image at a time", self.options.rounds) as bar:
            self.times.update(take_turns(works, self.options.rounds, bar, untimed=1))
        reference = self.peers[0].name if self.peers else FINAL
        return Benchmark(
            subject=self._subject_record({k: n / len(exits) for k, n in counts.items()}),
            setting=self._setting(),
            reference=reference,
            lines=tuple(self._lines(counts, reference)),
            ratios=tuple(self._ratios(counts)),
            product=self._limits(product),
            throughput=tuple(
                measure_throughput(
                    subject.engine,
                    images,
                    BATCHES,
                    rounds=max(3, self.options.rounds // 6),
                    track=self.subject.track,
                )
            ),
            peak_memory_mib=self.peaks,
            notes=tuple(self._notes()),
        )

    def _lines(self, counts: dict[int, int], reference: str) -> list[Line]:
        precision = str(self.subject.precision)
        lines = []
        for name in exit_names(self.subject):
            what = f"all images exit at {name if name != FINAL else 'the final exit'}"
            lines.append(self._line(name, "exit", what, precision, reference))
        if self.subject.adaptive:
            by_exit = self._by_exit(counts)
            means = mixed(by_exit, counts)
            middle, high = mixed_quantiles(by_exit, counts, (0.5, 0.95))
            lines.append(
                Line(
                    name=POLICY,
                    kind="policy",
                    what="each image exits where the policy accepts the answer",
                    precision=precision,
                    p50_ms=middle,
                    p95_ms=high,
                    mean_ms=float(np.median(means)),
                    to_reference=ratio_of(POLICY, means, reference, self.times[reference]),
                )
            )
        for peer in self.peers:
            peer_precision = str(peer.engine.backend.precision)
            lines.append(self._line(peer.name, "peer", peer.what, peer_precision, reference))
        return lines

    def _line(self, name: str, kind: str, what: str, precision: str, reference: str) -> Line:
        middle, high = np.quantile(self.times[name], (0.5, 0.95)).tolist()
        return Line(
            name=name,
            kind="exit" if kind == "exit" else "peer",
            what=what,
            precision=precision,
            p50_ms=middle,
            p95_ms=high,
            mean_ms=float(np.mean(self.times[name])),
            to_reference=ratio(self.times, name, reference),
        )

    def _ratios(self, counts: dict[int, int]) -> list[Ratio]:
        """Return the ratios within the subject, and to itself in one piece."""
        ratios = [ratio(self.times, name, FINAL) for name in exit_names(self.subject)[:-1]]
        if self.subject.adaptive:
            means = mixed(self._by_exit(counts), counts)
            ratios.append(ratio_of(POLICY, means, FINAL, self.times[FINAL]))
        if (kind := self.subject.precision.backend) != "torch":
            ratios += [ratio(self.times, FINAL, name) for name in (kind, f"{kind}-all-exits")]
        return ratios

    def _taken_by(self, peer: Peer) -> NDArray[np.uint8]:
        """Return the images as a peer takes them: of a sheet, the largest tile."""
        images, preprocessing = self.images.images, self.subject.preprocessing
        same = peer.engine.preprocessing == preprocessing
        return images if same else np.ascontiguousarray(preprocessing.viewed(images))

    def _by_exit(self, counts: dict[int, int]) -> dict[int, list[float]]:
        return {number: self.times[_exiting(number)] for number in counts}

    def _limits(self, product: MatrixProduct | None) -> Product | None:
        if product is None:
            return None
        times = [self.times[name] for name in exit_names(self.subject)]
        return limits(product, self.times[PRODUCT], self.subject.source.complexity.macs, times)

    def _subject_record(self, shares: dict[int, float]) -> MeasuredSource:
        source = self.subject.source
        return MeasuredSource(
            path=str(source.path),
            kind=source.kind,
            model=source.config.model,
            precision=str(self.subject.precision),
            size=source.config.preprocessing.view.size,
            weights_sha256=source.weights_sha256,
            policy=self.subject.decider.words,
            shares=shares,
        )

    def _setting(self) -> Setting:
        return Setting(
            threads=self.subject.backend.threads,
            rounds=self.options.rounds,
            includes=INCLUDES,
            images=self.images.words,
            synthetic=self.images.synthetic,
            command=self.options.command,
            machine=describe_machine(),
            versions=library_versions(),
        )

    def _notes(self) -> list[str]:
        notes = [BUSY.format(self.at_work)] if self.at_work > LITTLE else []
        if (rising := [np.median(self.times[at]) for at in exit_names(self.subject)]) != sorted(
            rising
        ):
            notes.append(FALLING)
        if self.peers:
            notes.append(RANDOM_WEIGHTS)
        if self.images.synthetic and self.subject.adaptive:
            notes.append(SYNTHETIC)
        if self.subject.precision.products == "int8":
            notes.append(UNCUT_INT8)
        if (deadline := self.subject.engine.deadline_ms) is not None:
            # Where nothing but the clock decides, its time would be the deadline itself.
            rest = "." if self.subject.adaptive else ", and its time has no line."
            notes.append(DEADLINE.format(deadline) + rest)
        return [*notes, ENERGY]


def _exiting(number: int) -> str:
    return f"{POLICY}, exit {number}"
