"""The schema of what a benchmark finds."""

from typing import Annotated, Any, Literal

from pydantic import Field

from endoexit.documents import Record

_Positive = Annotated[float, Field(gt=0.0)]


class Spread(Record):
    """Values of all rounds.

    Attributes:
        median: of them.
        low: first quartile.
        high: third quartile.
    """

    median: float
    low: float
    high: float


class Ratio(Spread):
    """One time over another of the same round.

    Attributes:
        name: whose time stands above.
        to: whose time stands below.
    """

    name: str
    to: str


class Line(Record):
    """The time of one image.

    Attributes:
        name: of the contender, such as "exit 1", "policy" or "eager".
        kind: an exit of the subject, its policy, or a peer, which is one whole network.
        what: it is, in words.
        precision: backend and numeric precision, such as "openvino-bf16".
        p50_ms: median over the rounds; of the policy over images and rounds.
        p95_ms: 95th percentile, likewise.
        mean_ms: mean over the rounds; of the policy the median over the rounds of the mean
            over the images.
        to_reference: its ratio to the reference.
    """

    name: str
    kind: Literal["exit", "policy", "peer"]
    what: str
    precision: str
    p50_ms: _Positive
    p95_ms: _Positive
    mean_ms: _Positive
    to_reference: Ratio


class Limit(Record):
    """How far one exit is from a processor that does nothing but multiply.

    Attributes:
        exit: 1 to M.
        macs: true multiply-adds of an image, everything before the exit included.
        ms: milliseconds that they take at the measured rate.
        reached: that time over the exit's.
    """

    exit: int
    macs: int
    ms: _Positive
    reached: Spread


class Product(Record):
    """The matrix product that gives the rate.

    Attributes:
        library: that computed it.
        precision: "f32", "bf16" or "int8".
        side: of the square matrices.
        gmacs_per_second: thousand millions of multiply-adds a second.
        limits: of the exits.
    """

    library: str
    precision: str
    side: int
    gmacs_per_second: Spread
    limits: tuple[Limit, ...]


class Throughput(Record):
    """How many images go through when they come in batches.

    Attributes:
        batch: images of a full batch; 1 is one image after another, larger ones are
            throughput mode, in which survivors wait for a full batch.
        images: of one pass.
        rounds: passes of each.
        per_second: images a second under the policy; None without one that streams.
        per_second_without: images a second when all go to the final exit.
        gain: their ratio, as images a second with the policy over those without.
        overhead_ms: milliseconds an image outside of the stages and of normalisation: policy,
            gathering, bookkeeping.
    """

    batch: int
    images: int
    rounds: int
    per_second: Spread | None
    per_second_without: Spread
    gain: Ratio | None
    overhead_ms: Spread


class MeasuredSource(Record):
    """What was measured.

    Attributes:
        path: the folder.
        kind: run or bundle.
        model: name in the catalog.
        precision: backend and numeric precision.
        size: side of the images in pixels.
        weights_sha256: of the run's weights, or of the bundle's stages.
        policy: what decides who leaves, in words.
        shares: of the images, by the exit that they leave at under the policy.
    """

    path: str
    kind: Literal["run", "bundle"]
    model: str
    precision: str
    size: int
    weights_sha256: str
    policy: str
    shares: dict[int, float]


class Setting(Record):
    """How it was measured.

    Attributes:
        threads: of every contender.
        rounds: of the times of one image.
        includes: what the clock covers.
        images: how many, and what they are.
        synthetic: the images are rendered ones, so the shares of the exits mean nothing.
        command: the command line.
        machine: processor, cores, memory.
        versions: of the libraries.
    """

    threads: int
    rounds: int
    includes: str
    images: str
    synthetic: bool
    command: str
    machine: dict[str, Any]
    versions: dict[str, str]


class Benchmark(Record):
    """Everything that `endoexit bench` finds.

    Attributes:
        subject: what was measured.
        setting: how.
        reference: the contender that the times are compared with.
        lines: time of one image of every contender.
        ratios: of the subject's parts: exits to the final exit, all stages in sequence to the
            unsplit network.
        product: the limit; None when no installed library multiplies at this precision.
        throughput: for each size of batch.
        peak_memory_mib: of a process that predicts with the subject alone, libraries included,
            by the size of its batches.
        notes: what a reader must know.
    """

    format: Literal["endoexit-benchmark-1"] = "endoexit-benchmark-1"
    subject: MeasuredSource
    setting: Setting
    reference: str
    lines: tuple[Line, ...]
    ratios: tuple[Ratio, ...]
    product: Product | None
    throughput: tuple[Throughput, ...]
    peak_memory_mib: dict[int, float]
    notes: tuple[str, ...]

    def line(self, name: str) -> Line:
        """Return the line of a contender."""
        return next(line for line in self.lines if line.name == name)
