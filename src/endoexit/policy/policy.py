"""The exit policy: a small, checked, serialisable object that decides per image."""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import Field, ModelWrapValidatorHandler, ValidationError, model_validator

from endoexit.documents import Record
from endoexit.errors import PolicyError
from endoexit.files import refuse_lfs_pointer, write_text
from endoexit.policy.confidence import CONFIDENCES, ConfidenceName, confidence, softmax
from endoexit.policy.document import Costs, FrontPoint, Promise, Provenance, Request

Rule = Literal["max_probability", "entropy", "margin", "patience", "fixed"]
Threshold = Annotated[float, Field(ge=0.0, le=1.0, strict=True)]
Temperature = Annotated[float, Field(gt=0.0, strict=True)]

MAX_POLICY_BYTES = 64 * 2**20


class ExitPolicy(Record):
    """Decides at which exit each image leaves.

    The rules `max_probability`, `entropy` and `margin` let an image leave at exit k when its
    confidence there reaches `thresholds[k - 1]`; None means that nobody leaves at that exit.
    `patience` lets it leave when that many consecutive exits gave the same label (PABEE, Zhou et
    al. 2020); `fixed` sends everyone to `exit`. Exit M takes whoever is left. With `deadline_ms`
    the clock decides as well: out of time, the answer is that of the last exit that finished
    (the engine keeps the time).

    Attributes:
        rule: the kind of decision.
        num_exits: M.
        temperatures: (M,) softmax temperature of each exit.
        thresholds: (M − 1,) for the confidence rules, empty for the others.
        patience: exits that must agree, 2 to M; for the rule `patience` only.
        exit: 1 to M; for the rule `fixed` only.
        deadline_ms: milliseconds an image may take, if the clock decides as well.
        provenance: what the policy was fitted for; None for a policy typed by hand.
        goal: what was asked for, in words.
        request: the same as options; None for a policy typed by hand.
        promises: the guarantees that hold for this policy.
        note: what a reader must know, such as why nothing was promised.
        costs: what leaving at each exit costs.
        front: the candidates that were not beaten, cheapest first.

    Raises:
        PolicyError: any field that does not fit; the message names it.
    """

    format: Literal["endoexit-policy-1"] = "endoexit-policy-1"
    rule: Rule
    num_exits: Annotated[int, Field(ge=1)]
    temperatures: tuple[Temperature, ...]
    thresholds: tuple[Threshold | None, ...] = ()
    patience: int | None = None
    exit: int | None = None
    deadline_ms: Annotated[float, Field(gt=0.0)] | None = None
    provenance: Provenance | None = None
    goal: str | None = None
    request: Request | None = None
    promises: tuple[Promise, ...] = ()
    note: str | None = None
    costs: Costs | None = None
    front: tuple[FrontPoint, ...] = ()

    @model_validator(mode="wrap")
    @classmethod
    def _explain(cls, value: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        """Turn what pydantic found into one PolicyError."""
        try:
            policy = handler(value)
        except ValidationError as error:
            raise PolicyError(_describe(error)) from error
        policy._check_rule()
        return policy

    def _check_rule(self) -> None:
        exits = self.num_exits
        early = exits - 1 if self.rule in CONFIDENCES else 0
        wrong = []
        if len(self.temperatures) != exits:
            wrong.append(f"{len(self.temperatures)} temperatures for {exits} exits")
        if len(self.thresholds) != early:
            wrong.append(
                f"{len(self.thresholds)} thresholds, but the rule {self.rule} with {exits} exits "
                f"takes {early}"
            )
        wrong += _misplaced("patience", self.patience, self.rule == "patience", (2, exits))
        wrong += _misplaced("exit", self.exit, self.rule == "fixed", (1, exits))
        if self.costs is not None and len(self.costs.values) != exits:
            wrong.append(f"{len(self.costs.values)} costs for {exits} exits")
        if wrong:
            raise PolicyError(f"the exit policy does not fit: {'; '.join(wrong)}. Make it again.")

    def leaves(self, exit_number: int, logits: ArrayLike, previous: ArrayLike) -> NDArray[np.bool_]:
        """Tell which images leave at this exit.

        Args:
            exit_number: k, 1 to M.
            logits: (B, C) of exit k, for the images that are still in.
            previous: (B, k − 1) labels (class indices) that the earlier exits gave them.

        Returns:
            Shape (B,); all True at exit M.

        Raises:
            PolicyError: shapes that do not fit, an exit that does not exist, logits not finite.
        """
        scores = self._checked(exit_number, logits)
        earlier = np.asarray(previous)
        if earlier.shape != (len(scores), exit_number - 1):
            raise PolicyError(
                f"exit {exit_number} of {len(scores)} images needs the earlier labels as "
                f"({len(scores)}, {exit_number - 1}), got {earlier.shape}."
            )
        if exit_number == self.num_exits:
            return np.ones(len(scores), dtype=np.bool_)
        if self.rule == "fixed":
            return np.full(len(scores), exit_number == self.exit, dtype=np.bool_)
        if self.rule == "patience":
            assert self.patience is not None  # noqa: S101  (checked when the policy was made)
            return _agreed(scores.argmax(axis=1), earlier, self.patience)
        threshold = self.thresholds[exit_number - 1]
        if threshold is None:
            return np.zeros(len(scores), dtype=np.bool_)
        values = confidence(scores, self.rule, self.temperatures[exit_number - 1])
        return np.asarray(values >= threshold)

    def assign(self, logits: ArrayLike) -> NDArray[np.int64]:
        """Return the exit, 1 to M, at which each image leaves.

        Args:
            logits: (M, N, C), all exits of all images.

        Raises:
            PolicyError: shapes that do not fit, logits not finite.
        """
        scores = np.asarray(logits)
        if scores.ndim != 3 or len(scores) != self.num_exits:
            raise PolicyError(
                f"logits have shape {scores.shape}: a policy for {self.num_exits} exits needs "
                f"({self.num_exits}, images, classes)."
            )
        labels = scores.argmax(axis=2)
        exits = np.full(scores.shape[1], self.num_exits, dtype=np.int64)
        inside = np.arange(scores.shape[1])
        for number in range(1, self.num_exits):
            earlier = labels[: number - 1, inside].T
            leaving = self.leaves(number, scores[number - 1, inside], earlier)
            exits[inside[leaving]] = number
            inside = inside[~leaving]
        return exits

    def probabilities(self, exit_number: int, logits: ArrayLike) -> NDArray[np.float64]:
        """Return the class probabilities (B, C) of exit k at its temperature.

        Raises:
            PolicyError: an exit that does not exist, logits that are not (B, C) or not finite.
        """
        scores = self._checked(exit_number, logits)
        return softmax(scores, self.temperatures[exit_number - 1])

    def _checked(self, exit_number: int, logits: ArrayLike) -> NDArray[Any]:
        if not 1 <= exit_number <= self.num_exits:
            raise PolicyError(
                f"exit {exit_number} does not exist: this policy has exits 1 to {self.num_exits}."
            )
        scores = np.asarray(logits)
        if scores.ndim != 2:
            raise PolicyError(
                f"logits of exit {exit_number} must be (images, classes), got {scores.shape}."
            )
        return scores

    def require_served_as(self, served: Provenance) -> None:
        """Refuse to serve anything but what the policy was fitted for.

        A policy typed by hand (no provenance, no promise) may serve any network.

        Raises:
            PolicyError: weights, preprocessing, classes or precision differ.
        """
        if self.provenance is None:
            if self.promises:
                raise PolicyError(
                    "the policy makes a promise but does not say for which weights: "
                    "run `endoexit calibrate` again."
                )
            return
        different = self.provenance.differences(served)
        if different:
            raise PolicyError(
                f"the policy was fitted for something else: {'; '.join(different)}. Its thresholds "
                "and promises do not hold here; run `endoexit calibrate` on what is served."
            )

    def to_json(self) -> str:
        """Return the policy as the text of `policy.json`."""
        return self.model_dump_json(indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Return the policy written as JSON.

        Raises:
            PolicyError: not JSON, unknown keys, NaN, anything out of range.
        """
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            raise PolicyError(_describe(error)) from error

    def write(self, path: Path) -> None:
        """Write `policy.json`, whole or not at all."""
        write_text(path, self.to_json())

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read `policy.json`.

        Raises:
            PolicyError: missing, too large, or not a policy; the message names the file.
        """
        refuse_lfs_pointer(path, PolicyError)
        try:
            with path.open("rb") as stream:
                text = stream.read(MAX_POLICY_BYTES + 1)
        except OSError as error:
            raise PolicyError(
                f"cannot read {path} ({error.strerror}): run `endoexit calibrate` to make it."
            ) from error
        if len(text) > MAX_POLICY_BYTES:
            raise PolicyError(f"{path} is larger than any policy: restore or remake it.")
        try:
            return cls.from_json(text)
        except PolicyError as error:
            raise PolicyError(f"{path}: {error}") from error


def _misplaced(name: str, value: int | None, wanted: bool, span: tuple[int, int]) -> list[str]:
    if wanted and (value is None or not span[0] <= value <= span[1]):
        return [f"{name} must be {span[0]} to {span[1]}, got {value}"]
    if not wanted and value is not None:
        return [f"{name} is not an option of this rule"]
    return []


def _agreed(labels: NDArray[np.int64], earlier: NDArray[Any], patience: int) -> NDArray[np.bool_]:
    """Tell where the last `patience` exits, this one included, gave the same label."""
    if earlier.shape[1] < patience - 1:
        return np.zeros(len(labels), dtype=np.bool_)
    recent = earlier[:, earlier.shape[1] - (patience - 1) :]
    return np.asarray((recent == labels[:, None]).all(axis=1))


def _describe(error: ValidationError) -> str:
    faults = []
    for fault in error.errors(include_url=False, include_context=False):
        where = ".".join(str(part) for part in fault["loc"]) or "policy"
        faults.append(f"{where}: {fault['msg']} (got {str(fault['input'])[:60]})")
    return f"not a valid exit policy: {'; '.join(faults)}. Correct it, or calibrate again."


def threshold_policy(
    num_exits: int, threshold: float, rule: ConfidenceName = "max_probability"
) -> ExitPolicy:
    """Return the policy of one shared threshold typed by hand, temperatures 1."""
    return ExitPolicy(
        rule=rule,
        num_exits=num_exits,
        temperatures=(1.0,) * num_exits,
        thresholds=(threshold,) * (num_exits - 1),
    )


def fixed_exit(num_exits: int, k: int) -> ExitPolicy:
    """Return the policy that sends every image to exit `k` (1 to M), temperatures 1."""
    return ExitPolicy(rule="fixed", num_exits=num_exits, temperatures=(1.0,) * num_exits, exit=k)


def patience_policy(num_exits: int, patience: int) -> ExitPolicy:
    """Return the policy that waits until `patience` consecutive exits agree, temperatures 1."""
    return ExitPolicy(
        rule="patience", num_exits=num_exits, temperatures=(1.0,) * num_exits, patience=patience
    )


def deadline_policy(num_exits: int, deadline_ms: float) -> ExitPolicy:
    """Return the "anytime" policy: go on until the time is up, answer with the last exit done."""
    return ExitPolicy(
        rule="fixed",
        num_exits=num_exits,
        temperatures=(1.0,) * num_exits,
        exit=num_exits,
        deadline_ms=deadline_ms,
    )
