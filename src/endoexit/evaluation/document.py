"""What `evaluation.json` holds: typed, without NaN, enough to redraw every table and figure."""

from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import Field, model_validator

from endoexit.documents import Record, parse_record
from endoexit.errors import RunError, unknown_name
from endoexit.files import read_json, write_json
from endoexit.policy import ExitPolicy
from endoexit.policy.document import Promise

NEWEST = 2
FIRST: Final = "endoexit-evaluation-1"
CURRENT: Final = "endoexit-evaluation-2"

Share = Annotated[float, Field(ge=0.0, le=1.0)]


class Interval(Record):
    """A 95 % interval.

    Attributes:
        low: its lower end.
        high: its upper end.
        method: how it was computed.
    """

    low: float
    high: float
    method: str


class Estimate(Record):
    """One figure of a cohort.

    Attributes:
        value: None where the cohort does not define it.
        interval: its 95 % interval, where there is one.
        reason: why the value or its interval is missing, or what it leaves out.
    """

    value: float | None
    interval: Interval | None = None
    reason: str | None = None


class ClassScores(Record):
    """One class against all others.

    Attributes:
        name: of the class.
        images: of this class in the cohort.
        sensitivity: share of its images that are named right.
        specificity: share of the others' images that are not taken for it.
    """

    name: str
    images: int
    sensitivity: Estimate
    specificity: Estimate


class Scores(Record):
    """How good the answers to one cohort are.

    Attributes:
        accuracy: share of right answers.
        macro_f1: mean F1 of the classes that occur.
        mcc: Matthews correlation coefficient, all classes.
        ece: expected calibration error of the largest probability, 15 bins of equal width.
        auroc: mean over the classes that occur of the area under the ROC curve, one against rest.
        confidence_auroc: how well the largest probability ranks right answers before wrong ones.
        classes: in the order of the logits.
        confusion: (C, C) number of images; rows are the true class, columns the answer.
    """

    accuracy: Estimate
    macro_f1: Estimate
    mcc: Estimate
    ece: Estimate
    auroc: Estimate
    confidence_auroc: Estimate
    classes: tuple[ClassScores, ...]
    confusion: tuple[tuple[int, ...], ...]


class Time(Record):
    """Measured time of one image, from the decoded image to the answer.

    Attributes:
        ms: milliseconds: the median; for the adaptive rule the mean over the cohort of the
            medians of its exits.
        low_ms: first decile; for the adaptive rule of its cheapest exit.
        high_ms: last decile; for the adaptive rule of its dearest exit.
        runs: number of measurements.
    """

    ms: Annotated[float, Field(gt=0.0)]
    low_ms: float
    high_ms: float
    runs: int


class Timing(Record):
    """How times were measured.

    Attributes:
        threads: of one stage.
        precision: backend and numeric precision.
        size: side of the image in pixels.
        rounds: measurements of each contender, one after another in turn.
        includes: what the clock covers.
        machine: processor, cores, memory.
    """

    threads: int
    precision: str
    size: int
    rounds: int
    includes: str
    machine: dict[str, Any]


class Row(Record):
    """One line of the table: an exit that all images leave at, the adaptive rule, or a twin.

    Attributes:
        name: of the line.
        kind: what it is.
        exit: 1-based; None for the adaptive rule.
        scores: of its answers.
        beside_final: its accuracy minus the final exit's, on the same images.
        beside_twin: its accuracy minus the single-exit twin's, likewise.
        parameters: that must be in memory.
        macs: true multiply-adds of an image, the mean over the cohort.
        time: None when times were not measured.
        share: of the images that leave at this exit under the adaptive rule.
        predicted: (N,) class index of each image.
        confidence: (N,) largest probability of each image.
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
    """A promise of the policy beside what this cohort shows, in the unit that it was made in.

    Attributes:
        promise: what was promised, and what certify showed.
        units: images (or groups) of this cohort that the risk is a mean over.
        observed: their mean loss.
        kept: whether that is within the tolerance; None where there are no such images.
    """

    promise: Promise
    units: int
    observed: Estimate
    kept: bool | None


class Reference(Record):
    """Another use of the same exits, which the adaptive rule is measured against.

    Attributes:
        accuracy: share of right answers.
        gap: the adaptive rule's accuracy minus this one, on the same images.
        macs: mean multiply-adds of an image.
        ms: mean time of an image; None when times were not measured.
        shares: (M,) of the images that leave at each exit.
    """

    accuracy: Estimate
    gap: Estimate
    macs: float
    ms: float | None
    shares: tuple[Share, ...]


class Adaptive(Record):
    """The adaptive rule, who leaves where, and how good that is.

    Attributes:
        policy: Exit policy, as in `policy.json`.
        origin: where it comes from, in words.
        exits: (N,) the exit of each image, 1 to M.
        shares: (M,) of the images that leave at each exit.
        shares_by_class: for each class that occurs, the same of its images.
        promises: of the policy; empty where it makes none.
        oracle: each image at the first exit that is right; where none is, at exit 1.
        random: the same shares at each exit, but drawn at random (its expectation).
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
        paths: relative to the root of the data.
        labels: class indices.
        groups: names of the groups.
        contents_sha256: Hash of the content of the images, see
            `endoexit.images.cache.contents_sha256`; None in evaluations of the first release.
    """

    paths: tuple[str, ...]
    labels: tuple[int, ...]
    groups: tuple[str, ...]
    contents_sha256: str | None = None


class Subject(Record):
    """What was evaluated.

    Attributes:
        model: name in the catalog.
        overrides: settings of the network that differ from the catalog's.
        weights_sha256: of the weights file.
        preprocessing: its fingerprint.
        precision: backend and numeric precision of the logits.
        seed: of the training.
        logits: file with the logits of all exits, relative to the folder of the document (of a
            twin, where its own would lie).
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


class Evaluation(Record):
    """The document `evaluation.json`.

    Attributes:
        format: Version of the document. The first release wrote the first one, in which the
            content of the images has no hash and a policy has the form of that release.
        role: of the images.
        classes: in the order of the logits.
        manifest_sha256: of the manifest that gave the role.
        run: what was evaluated.
        twin: what stands beside it, if anything.
        images: the cohort.
        rows: the table, in the order of the paper's: twin, exits, adaptive rule.
        adaptive: None for a network with one exit.
        timing: None when times were not measured.
        resamples: of the bootstrap.
        seed: of the bootstrap.
        left_out: what the counts of multiply-adds and parameters leave out.
        caution: why the figures of this role are not those of new images; None for test.
        versions: of the libraries.
    """

    format: Literal["endoexit-evaluation-2"] = CURRENT
    role: str
    classes: tuple[str, ...]
    manifest_sha256: str
    run: Subject
    twin: Subject | None
    images: Images
    rows: tuple[Row, ...]
    adaptive: Adaptive | None
    timing: Timing | None
    resamples: int
    seed: int
    left_out: str
    caution: str | None
    versions: dict[str, str]

    @model_validator(mode="before")
    @classmethod
    def _of_the_first_format(cls, document: Any) -> Any:
        """Read what the first release wrote: the policy inside reads its older form itself."""
        if isinstance(document, dict) and document.get("format") == FIRST:
            return document | {"format": CURRENT}
        return document

    @property
    def times_fall(self) -> bool:
        """Whether a later exit was measured to be quicker than an earlier one; see `FALLING`."""
        times = [row.time.ms for row in self.rows if row.kind == "exit" and row.time]
        return times != sorted(times)

    def row(self, name: str) -> Row:
        """Return the row of this name, such as "exit 1", "final", "adaptive" or "twin".

        Raises:
            UsageError: there is none.
        """
        rows = {row.name: row for row in self.rows}
        if name not in rows:
            raise unknown_name("row", name, rows)
        return rows[name]

    def write(self, path: Path) -> None:
        """Write the document, whole or not at all."""
        write_json(path, self.model_dump(mode="json"))

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read an `evaluation.json`.

        Raises:
            RunError: it is missing, not JSON, or not such a document.
        """
        remedy = "Make it again with `endoexit evaluate`."
        document = read_json(path, RunError)
        return parse_record(cls, document, path, RunError, newest=NEWEST, remedy=remedy)
