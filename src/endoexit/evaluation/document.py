"""What `evaluation.json` holds: typed, without NaN, enough to redraw every table and figure."""

from typing import Annotated, Any, Final, Literal

from pydantic import Field, model_validator

from endoexit.documents import Document, Record, unless_none
from endoexit.errors import unknown_name
from endoexit.evaluation.estimates import Estimate, Foreign, Referrals, Scores
from endoexit.policy import ExitPolicy
from endoexit.policy.document import Promise
from endoexit.runtime.deciding import NO_POLICY

FIRST: Final = "endoexit-evaluation-1"
CURRENT: Final = "endoexit-evaluation-2"

Share = Annotated[float, Field(ge=0.0, le=1.0)]


class Time(Record):
    """Measured time of one image, from the decoded image to the answer.

    Attributes:
        ms: Median in milliseconds; for the policy the mean over the images, each with the median
            of its exit.
        low_ms: First decile; for the policy that of its quickest exit.
        high_ms: Last decile; for the policy that of its slowest exit.
        runs: Number of measurements.
    """

    ms: Annotated[float, Field(gt=0.0)]
    low_ms: float
    high_ms: float
    runs: int


class Timing(Record):
    """How times were measured.

    Attributes:
        threads: Number of threads of one stage.
        precision: Backend and numeric precision.
        size: Side of the image in pixels.
        rounds: Number of measurements of each contender; contenders are measured alternately.
        includes: What the clock covers.
        machine: Processor, cores, memory.
    """

    threads: int
    precision: str
    size: int
    rounds: int
    includes: str
    machine: dict[str, Any]


class EvaluationRow(Record):
    """One line of the table: one exit for all images, the policy, or a twin.

    Attributes:
        name: Name of the line, such as "exit 1".
        kind: What the line is about; "adaptive" is the policy.
        exit: Number of the exit, from 1; None for the policy.
        scores: Scores of its answers.
        beside_final: Accuracy minus that of the final exit, on the same images.
        beside_twin: Accuracy minus that of the twin, on the same images.
        parameters: Number of parameters that must be in memory.
        macs: True multiply-adds of an image, mean over the cohort.
        time: Time of an image; None when times were not measured.
        share: Share of the images that exit here under the policy.
        predicted: Class index (N,) of the answer to each image.
        confidence: Largest probability (N,) of each image.
    """

    name: str
    kind: Literal["exit", "adaptive", "twin"]
    exit: int | None
    scores: Scores
    beside_final: Estimate | None
    beside_twin: Estimate | None
    parameters: int
    macs: float
    time: Time | None
    share: Share | None
    predicted: tuple[int, ...]
    confidence: tuple[Share, ...]


class PromiseShown(Record):
    """A promise of the policy and what this cohort shows of it, in the unit of the promise.

    Attributes:
        promise: What was promised, and what certify showed.
        units: Number of images (or groups) of this cohort that the risk is a mean over.
        observed: Mean loss of these.
        kept: Whether that is within the tolerance; None where there are no such images.
    """

    promise: Promise
    units: int
    observed: Estimate
    kept: bool | None

    @property
    def as_named(self) -> Estimate:
        """What was observed, as the share that the risk is named after, such as sensitivity."""
        value, interval, risk = self.observed.value, self.observed.interval, self.promise.risk
        if value is None or not risk.is_floor:
            return self.observed
        if interval is not None:
            ends = {"low": risk.as_named(interval.high), "high": risk.as_named(interval.low)}
            interval = interval.replaced(**ends)
        return self.observed.replaced(value=risk.as_named(value), interval=interval)


class Reference(Record):
    """Another use of the same exits, which the policy is measured against.

    Attributes:
        accuracy: Share of right answers.
        gap: Accuracy of the policy minus this one, on the same images.
        macs: Mean multiply-adds of an image.
        ms: Mean time of an image; None when times were not measured.
        shares: Shares (M,) of the images that exit at each exit.
    """

    accuracy: Estimate
    gap: Estimate
    macs: float
    ms: float | None
    shares: tuple[Share, ...]


class Adaptive(Record):
    """The policy, where images exit under it, and how good that is.

    Attributes:
        policy: Exit policy, as in `policy.json`.
        origin: Origin of the policy, in words.
        exits: Exit (N,) of each image, 1 to M.
        shares: Shares (M,) of the images that exit at each exit.
        shares_by_class: Shares (M,) of the images of each class that occurs.
        promises: Promises of the policy; empty where it makes none.
        oracle: Each image at the first exit that is right; where none is, at exit 1.
        random: The same shares at each exit, but drawn at random: the expectation.
    """

    policy: ExitPolicy
    origin: str
    exits: tuple[int, ...]
    shares: tuple[Share, ...]
    shares_by_class: dict[str, tuple[Share, ...]]
    promises: tuple[PromiseShown, ...]
    oracle: Reference
    random: Reference


class Images(Record):
    """The cohort, in the order of every per-image field.

    Attributes:
        paths: Paths of the images, relative to the root of the data.
        labels: Class indices.
        groups: Names of the groups.
        contents_sha256: Hash of the content of the images, see
            `endoexit.images.cache.contents_sha256`; None in evaluations of the first release.
    """

    paths: tuple[str, ...]
    labels: tuple[int, ...]
    groups: tuple[str, ...]
    contents_sha256: str | None = None


class EvaluatedSource(Record):
    """What was evaluated.

    Attributes:
        model: Name in the catalog.
        overrides: Settings of the network that differ from the catalog's.
        weights_sha256: SHA-256 of the weights file.
        preprocessing: Fingerprint of the preprocessing.
        precision: Backend and numeric precision of the logits.
        seed: Random seed of the training.
        logits: File with the logits of all exits, relative to the folder of the document; for a
            twin relative to the folder of the twin.
    """

    model: str
    overrides: dict[str, Any]
    weights_sha256: str
    preprocessing: str
    precision: str
    seed: int
    logits: str


FALLING = (
    "A later exit was measured to be quicker than an earlier one, which cannot be: the machine was "
    "busy. Trust no time and no ratio here, and measure again when it is quiet."
)


class Evaluation(Document):
    """The document `evaluation.json`.

    Attributes:
        format: Version of the document. The first release wrote the first one, in which the
            content of the images has no hash and a policy has the form of that release.
        role: Role of the images.
        classes: Names of the classes, in the order of the logits.
        manifest_sha256: SHA-256 of the manifest that gave the role.
        run: What was evaluated.
        twin: Network without early exits that it was compared with; None for none.
        images: Images of the cohort.
        rows: Lines of the table, in the order of the paper's: twin, exits, policy.
        adaptive: Policy on the cohort; None where every image goes to the last exit: in a network
            with one exit, or without policy and threshold.
        timing: How times were measured; None when they were not.
        resamples: Number of draws of the bootstrap.
        seed: Random seed of the bootstrap.
        left_out: What the counts of multiply-adds and parameters leave out.
        caution: Reason why the figures of this role are not those of new images; None for test.
        versions: Versions of the libraries.
        referrals: What the referral of the policy does here; None where it answers all images.
        foreign: What becomes of images from elsewhere; None where none were named.
    """

    remedy = "Make it again with `endoexit evaluate`."
    newest = 2

    format: Literal["endoexit-evaluation-2"] = CURRENT
    role: str
    classes: tuple[str, ...]
    manifest_sha256: str
    run: EvaluatedSource
    twin: EvaluatedSource | None
    images: Images
    rows: tuple[EvaluationRow, ...]
    adaptive: Adaptive | None
    timing: Timing | None
    resamples: int
    seed: int
    left_out: str
    caution: str | None
    versions: dict[str, str]
    referrals: Referrals | None = unless_none
    foreign: tuple[Foreign, ...] | None = unless_none

    @model_validator(mode="before")
    @classmethod
    def _of_the_first_format(cls, document: Any) -> Any:
        """Read what the first release wrote: the policy inside reads its older form itself."""
        if isinstance(document, dict) and document.get("format") == FIRST:
            return document | {"format": CURRENT}
        return document

    @property
    def decided_by(self) -> str:
        """Rule that decides where images exit, and where it comes from, in words."""
        if self.adaptive is not None:
            return self.adaptive.origin
        return NO_POLICY if sum(row.kind == "exit" for row in self.rows) > 1 else "the only exit"

    @property
    def times_fall(self) -> bool:
        """Whether a later exit was measured to be quicker than an earlier one; see `FALLING`."""
        times = [row.time.ms for row in self.rows if row.kind == "exit" and row.time]
        return times != sorted(times)

    def row(self, name: str) -> EvaluationRow:
        """Return the row of this name, such as "exit 1", "final", "adaptive" or "twin".

        Raises:
            UsageError: There is none.
        """
        rows = {row.name: row for row in self.rows}
        if name not in rows:
            raise unknown_name("row", name, rows)
        return rows[name]
