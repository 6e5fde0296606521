"""What a row says of one image, and what is said of the model, as outputs need it."""

from dataclasses import dataclass, replace
from typing import Literal, Self

from endoexit import __version__
from endoexit.files import sha256_file
from endoexit.runtime.outputs.dicom.source import Reference
from endoexit.runtime.outputs.tables import Row
from endoexit.runtime.session import Session

Status = Literal["answered", "cut short", "unsure", "unlike", "not read"]
WORDS: dict[Status, str] = {
    "answered": "answered",
    "cut short": "answered, cut short by the deadline: no promise holds",
    "unsure": "referred to a human: unsure",
    "unlike": "referred to a human: unlike the images of calibration",
    "not read": "not answered: the image could not be read",
}
USE = "Research use only. Not for diagnosis."


@dataclass(frozen=True)
class Answer:
    """What became of one image.

    Attributes:
        number: Number of the image in the input, counted from 1.
        frame: Number of the frame in its file, from 0.
        status: Outcome.
        label: Name of the class; None where there is no answer.
        probability: Probability of the class; None where there is no answer.
        exit: Number of the exit that answered or referred, from 1; None where none did.
        image: Object that the image is a frame of; None where there is none to refer to.
    """

    number: int
    frame: int
    status: Status
    label: str | None = None
    probability: float | None = None
    exit: int | None = None
    image: Reference | None = None

    @classmethod
    def of(cls, row: Row, classes: tuple[str, ...]) -> Self:
        """Return the answer of a row whose image is an `ImageRef`."""
        said = row.prediction
        blank = cls(row.index + 1, row.image.frame, "not read")
        if said is None:
            return blank
        if said.referred is not None:
            return replace(blank, status=said.referred, exit=said.exit)
        return replace(
            blank,
            status="cut short" if said.cut_short else "answered",
            label=classes[said.label],
            probability=float(said.probabilities[said.label]),
            exit=said.exit,
        )


@dataclass(frozen=True)
class ModelFacts:
    """What identifies the model, and what it promises.

    Attributes:
        name: Name of the network in the catalog.
        version: Version of endoexit.
        weights: SHA-256 of the weights.
        precision: Backend and number format.
        stages: Number of exits.
        classes: Names of the classes, in the order of the logits.
        decided_by: Rule that decides where images exit, in words, without a path.
        policy: SHA-256 of the file of the policy; None where there is none.
        promises: Promises of the policy, in words.
    """

    name: str
    version: str
    weights: str
    precision: str
    stages: int
    classes: tuple[str, ...]
    decided_by: str
    policy: str | None = None
    promises: tuple[str, ...] = ()

    @classmethod
    def of(cls, session: Session) -> Self:
        """Return the facts of a run or a bundle at work."""
        decider = session.decider
        # It imports SciPy, which is slow, and most predictions write no DICOM.
        from endoexit.policy.promises import promise_words  # noqa: PLC0415

        return cls(
            name=session.source.config.model,
            version=__version__,
            weights=session.source.weights_sha256,
            precision=str(session.backend.precision),
            stages=session.backend.num_stages,
            classes=session.classes,
            decided_by=decider.rule,
            policy=None if decider.file is None else sha256_file(decider.file),
            promises=tuple(map(promise_words, decider.policy.promises)),
        )

    def lines(self) -> list[tuple[str, str, str]]:
        """Return code, name and text of each fact that holds for all answers."""
        return [
            ("use", "Intended use", USE),
            ("model", "Model", f"{self.name}, {self.stages} exits, endoexit {self.version}"),
            ("weights", "Weights, SHA-256", self.weights),
            ("precision", "Computed in", self.precision),
            ("decided-by", "Exits decided by", self.decided_by),
            *([("policy", "Policy, SHA-256", self.policy)] if self.policy else []),
            *(("promise", "Promise of the policy", words) for words in self.promise_lines()),
        ]

    def promise_lines(self) -> tuple[str, ...]:
        """Return the promises in words; one line that there is none where there is none."""
        return self.promises or ("none",)
