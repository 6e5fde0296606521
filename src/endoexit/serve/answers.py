"""What a service answers: the documents of `/v1/predict`, as schemas and as JSON."""

from typing import Any, Literal

from pydantic import Field

from endoexit.documents import Record
from endoexit.policy.referral import Reason
from endoexit.runtime.prediction import Prediction
from endoexit.serve.model import Model
from endoexit.serve.problems import Problem


class ModelIdentity(Record):
    """Identity of the model that answered.

    Attributes:
        name: Name of its folder.
        weights: SHA-256 of its weights.
        policy: SHA-256 of its policy.
        precision: Precision that it computes in.
    """

    name: str
    weights: str
    policy: str
    precision: str


class Milliseconds(Record):
    """Time of each part of the work on an image.

    Attributes:
        decode: Milliseconds of decoding.
        queue: Milliseconds in the pools, without its share of the stages.
        stages: Milliseconds of each stage that ran: its equal share of the batch.
    """

    decode: float
    queue: float
    stages: tuple[float, ...]


class ImageFault(Record):
    """Reason why an image has no answer.

    Attributes:
        code: Code of the problem.
        title: Fault in words.
        remedy: Remedy for the sender.
    """

    code: str
    title: str
    remedy: str


class ExitAnswer(Record):
    """What one exit says about an image.

    Attributes:
        index: Position of the image in the request, from 0.
        label: Most probable class.
        probability: Probability of that class.
        probabilities: Probability of each class.
        exit: Number of the exit, from 1.
        exits: Number of exits.
    """

    index: int
    label: str
    probability: float
    probabilities: dict[str, float]
    exit: int
    exits: int


class Answered(ExitAnswer):
    """The answer for one image.

    Attributes:
        status: Text "answered", which sets it apart from other kinds of results.
        deadline: Whether the policy was satisfied before the deadline. An answer that was cut is
            that of the last exit that finished, and no promise of the policy holds for it.
        ms: Time of each part of the work.
    """

    status: Literal["answered"] = "answered"
    deadline: Literal["kept", "cut"]
    ms: Milliseconds


class Referred(Record):
    """An image that a human must look at; its most probable class is no answer.

    Attributes:
        index: Position of the image in the request, from 0.
        status: Text "referred".
        reason: Reason: the final exit is unsure, or the image looks unlike those of calibrate.
        probabilities: Probability of each class.
        exit: Number of the exit that referred it, from 1.
        exits: Number of exits.
        deadline: Text "kept": the policy decided before the deadline.
        ms: Time of each part of the work.
    """

    index: int
    status: Literal["referred"] = "referred"
    reason: Reason
    probabilities: dict[str, float]
    exit: int
    exits: int
    deadline: Literal["kept"] = "kept"
    ms: Milliseconds


class NotAnswered(Record):
    """An image without an answer.

    Attributes:
        index: Position of the image in the request, from 0.
        status: Text "failed".
        error: Reason.
    """

    index: int
    status: Literal["failed"] = "failed"
    error: ImageFault


Result = Answered | Referred | NotAnswered


class Predicted(Record):
    """Answers for all images of a request.

    Attributes:
        request: Identifier of the request, made by the service.
        model: Model that answered.
        results: Results of the images, in the order of the request.
        use: Use for which the answers are meant.
    """

    request: str
    model: ModelIdentity
    results: tuple[Result, ...] = Field(min_length=1)
    use: str


class ProblemDocument(Record):
    """A problem by RFC 9457.

    Attributes:
        type: Name of the kind of problem.
        title: Fault in words.
        status: Status of HTTP.
        code: Code of the problem.
        remedy: Remedy for the sender.
        limit: Limit that was broken, by name.
        retry_after_s: Seconds after which the request may be accepted.
        request: Identifier of the request; None for what is refused before it is one.
    """

    type: str
    title: str
    status: int
    code: str
    remedy: str
    limit: dict[str, float] | None = None
    retry_after_s: int | None = None
    request: str | None = None


def exit_answer(model: Model, index: int, prediction: Prediction) -> ExitAnswer:
    """Return what an exit says as a document."""
    return ExitAnswer(**_fields(model, index, prediction))


def answered(
    model: Model, index: int, prediction: Prediction, *, cut: bool, decode_s: float, inside_s: float
) -> Answered | Referred:
    """Return an answer as a document, or why there is none from this model.

    Args:
        model: Model that answered.
        index: Position of the image.
        prediction: Answer of the exit.
        cut: Whether the deadline ended the computation.
        decode_s: Seconds of decoding.
        inside_s: Seconds in the pools.
    """
    stages = tuple(round(ms, 3) for ms in prediction.stage_ms)
    queue = max(0.0, inside_s * 1000 - prediction.milliseconds)
    ms = Milliseconds(decode=round(decode_s * 1000, 3), queue=round(queue, 3), stages=stages)
    fields = _fields(model, index, prediction)
    if prediction.referred is not None:
        del fields["label"], fields["probability"]
        return Referred(**fields, reason=prediction.referred, ms=ms)
    return Answered(
        **fields,
        deadline="cut" if cut else "kept",
        ms=ms,
    )


def not_answered(index: int, problem: Problem) -> NotAnswered:
    """Return an image without an answer as a document."""
    fault = problem.fault
    error = ImageFault(code=problem.code, title=fault.title, remedy=fault.remedy)
    return NotAnswered(index=index, error=error)


def _fields(model: Model, index: int, prediction: Prediction) -> dict[str, Any]:
    probabilities = [round(float(value), 6) for value in prediction.probabilities]
    return {
        "index": index,
        "label": model.classes[prediction.label],
        "probability": probabilities[prediction.label],
        "probabilities": dict(zip(model.classes, probabilities, strict=True)),
        "exit": prediction.exit,
        "exits": model.exits,
    }
