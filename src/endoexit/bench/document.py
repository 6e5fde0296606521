"""The schema of the results of a benchmark."""

from typing import Annotated, Any, Literal

from pydantic import Field

from endoexit.documents import Record

_Positive = Annotated[float, Field(gt=0.0)]


class Spread(Record):
    """Values of all rounds.

    Attributes:
        median: Median.
        low: First quartile.
        high: Third quartile.
    """

    median: float
    low: float
    high: float


class Ratio(Spread):
    """One time divided by another of the same round.

    Attributes:
        name: Contender whose time is divided.
        to: Contender whose time it is divided by.
    """

    name: str
    to: str


class Line(Record):
    """The time of one image.

    Attributes:
        name: Name of the contender, such as "exit 1", "policy" or "eager".
        kind: Exit of the subject, its policy, or a peer, which is one whole network.
        what: Description in words.
        precision: Backend and numeric precision, such as "openvino-bf16".
        p50_ms: Median over the rounds; for the policy over images and rounds.
        p95_ms: 95th percentile over the rounds; for the policy over images and rounds.
        mean_ms: Mean over the rounds; for the policy the median over the rounds of the mean
            over the images.
        to_reference: Ratio to the reference.
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
        exit: Number of the exit, 1 to M.
        macs: True multiply-adds of an image, with everything before the exit.
        ms: Milliseconds that they take at the measured rate.
        reached: Share of that rate that the exit reaches: `ms` divided by its time.
    """

    exit: int
    macs: int
    ms: _Positive
    reached: Spread


class Product(Record):
    """The matrix product that gives the rate.

    Attributes:
        library: Library that computed it.
        precision: "f32", "bf16" or "int8".
        side: Side of the square matrices.
        gmacs_per_second: Thousand millions of multiply-adds a second.
        limits: Limits of the exits.
    """

    library: str
    precision: str
    side: int
    gmacs_per_second: Spread
    limits: tuple[Limit, ...]


class Throughput(Record):
    """How many images go through when they come in batches.

    Attributes:
        batch: Number of images of a full batch; 1 is one image after another, larger ones are
            throughput mode, in which images that continue wait for a full batch.
        images: Number of images of one pass.
        rounds: Number of passes of each.
        per_second: Images a second under the policy; None without one that streams.
        per_second_without: Images a second if all images use the final exit.
        gain: Ratio of the two, with the policy divided by without it.
        overhead_ms: Milliseconds of an image outside the stages and normalisation: policy,
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
        path: Folder.
        kind: Run or bundle.
        model: Name in the catalog.
        precision: Backend and numeric precision.
        size: Side of the images in pixels.
        weights_sha256: SHA-256 of the run's weights, or of the bundle's stages.
        policy: What decides where images exit, in words.
        shares: Share of the images that exit at each exit under the policy, by its number.
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
        threads: Number of threads of every contender.
        rounds: Number of times that one image is timed in each contender.
        includes: What the clock covers.
        images: Number of images, and what they are.
        synthetic: Whether the images are rendered ones, so that the shares of the exits mean
            nothing.
        command: Command line.
        machine: Processor, cores, memory.
        versions: Versions of the libraries.
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
    """Results of `endoexit bench`.

    Attributes:
        subject: What was measured.
        setting: How it was measured.
        reference: Contender that the times are compared with.
        lines: Time of one image of every contender.
        ratios: Ratios within the subject: exits to the final exit, all stages in sequence to the
            uncut network.
        product: Limit; None when no installed library multiplies at this precision.
        throughput: Throughput for each size of batch.
        peak_memory_mib: Peak memory of a process that only predicts with the subject, libraries
            included, by the size of its batches.
        notes: What a reader must know.
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
