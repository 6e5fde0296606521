"""The exit policy: a small, checked, serialisable object that decides per image."""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import Field, ModelWrapValidatorHandler, ValidationError, model_validator

from endoexit.documents import Record, all_faults, unless_none
from endoexit.errors import PolicyError, UsageError
from endoexit.files import refuse_lfs_pointer, write_text
from endoexit.policy.answers import Answers
from endoexit.policy.confidence import softmax
from endoexit.policy.distance import Features, features_of
from endoexit.policy.document import Costs, FrontPoint, Promise, Provenance, Request
from endoexit.policy.first_format import current_form
from endoexit.policy.referral import Reason, Referral, reason_of
from endoexit.policy.rules.catalog import StoredRule
from endoexit.policy.rules.fixed import FixedRule
from endoexit.policy.rules.gate import GateRule

Temperature = Annotated[float, Field(gt=0.0, strict=True)]

MAX_POLICY_BYTES = 64 * 2**20


class ExitPolicy(Record):
    """Decides at which exit each image exits, and whether it is answered.

    The rule decides at the exits 1 to M − 1 (see `endoexit.policy.rules`). Every image that has
    not exited before exits at M. With `deadline_ms` the clock decides as well: out of time, the
    answer is that of the last exit that finished (the engine keeps the time). With `referral`
    some images that exit get no answer: a human must look at them.

    Attributes:
        format: Version of the document.
        rule: Kind of decision, with its numbers.
        num_exits: Number of exits, M.
        temperatures: Softmax temperature (M,) of each exit.
        deadline_ms: Milliseconds that an image may take, if the clock decides as well.
        referral: Images that are referred to a human instead of answered; None for none.
        provenance: What the policy was fitted for; None for a policy typed by hand.
        goal: What was asked for, in words.
        request: What was asked for; None for a policy typed by hand.
        promises: Guarantees that hold for this policy.
        note: What a reader must know, such as why nothing was promised. Text to show; the facts
            are in `fell_back` and in the promises.
        costs: What an image costs at each exit.
        front: Candidates that no cheaper one beats, cheapest first.
        calibrated: What it answered on the calibrate role; None where the clock decides as well,
            for a policy typed by hand, and in documents before this field.

    Raises:
        PolicyError: A field that does not fit; the message names it.
    """

    format: Literal["endoexit-policy-2"] = "endoexit-policy-2"
    rule: StoredRule
    num_exits: Annotated[int, Field(ge=1)]
    temperatures: tuple[Temperature, ...]
    deadline_ms: Annotated[float, Field(gt=0.0)] | None = None
    referral: Referral | None = unless_none
    provenance: Provenance | None = None
    goal: str | None = None
    request: Request | None = None
    promises: tuple[Promise, ...] = ()
    note: str | None = None
    costs: Costs | None = None
    front: tuple[FrontPoint, ...] = ()
    calibrated: Answers | None = unless_none

    @model_validator(mode="wrap")
    @classmethod
    def _explain(cls, value: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        """Read older formats, and turn what pydantic finds into one PolicyError."""
        try:
            policy = handler(current_form(value))
        except ValidationError as error:
            raise _not_valid(f"{all_faults(error)}.") from error
        except UsageError as error:  # a goal, a risk or an option that words its faults itself
            raise _not_valid(str(error)) from error
        policy._require_fit()
        return policy

    def _require_fit(self) -> None:
        faults = self.rule.faults(self.num_exits)
        if len(self.temperatures) != self.num_exits:
            faults.append(f"{len(self.temperatures)} temperatures for {self.num_exits} exits")
        if self.costs is not None and len(self.costs.values) != self.num_exits:
            faults.append(f"{len(self.costs.values)} costs for {self.num_exits} exits")
        if self.referral is not None:
            faults += self.referral.faults(self.num_exits)
        if self.provenance is not None and isinstance(self.rule, GateRule):
            faults += self.rule.faults_of_classes(len(self.provenance.classes))
        if self.calibrated is not None and len(self.calibrated.exits) != self.num_exits:
            faults.append(f"answers of {len(self.calibrated.exits)} exits for {self.num_exits}")
        if faults:
            raise PolicyError(f"the exit policy does not fit: {'; '.join(faults)}. Make it again.")

    @property
    def fell_back(self) -> bool:
        """Whether no early exit could be proven safe, so that all images use the final exit."""
        return bool(self.promises) and (
            self.rule == FixedRule(exit=self.num_exits)
            or all(promise.method == "by construction" for promise in self.promises)
        )

    def gate(
        self, exit_number: int, logits: ArrayLike, previous: ArrayLike, gates: NDArray[np.float64]
    ) -> NDArray[np.float64] | None:
        """Return the value (B,) of the gate of exit k, for `leaves` here and at later exits.

        None at the final exit, and for a rule without gates; see `Rule.gate`.

        Args:
            exit_number: Number of the exit k, 1 to M.
            logits: Logits (B, C) of exit k, of the images that have not exited yet.
            previous: Labels (B, k − 1), class indices, that the earlier exits gave them.
            gates: Values (B, k − 1) of the gates of the earlier exits.

        Raises:
            PolicyError: Logits that do not fit the gate, an exit that does not exist.
        """
        scores = self._checked(exit_number, logits)
        if exit_number == self.num_exits:
            return None
        temperature = self.temperatures[exit_number - 1]
        return self.rule.gate(exit_number, scores, np.asarray(previous), gates, temperature)

    def leaves(
        self,
        exit_number: int,
        logits: ArrayLike,
        previous: ArrayLike,
        gates: NDArray[np.float64] | None = None,
        features: Features | None = None,
    ) -> NDArray[np.bool_]:
        """Tell which images exit at an exit.

        Args:
            exit_number: Number of the exit k, 1 to M.
            logits: Logits (B, C) of exit k, of the images that have not exited yet.
            previous: Labels (B, k − 1), class indices, that the earlier exits gave them.
            gates: Values (B, k) of the gates of exits 1 to k, from `gate`; not needed for a rule
                without gates.
            features: Features of the images at exit 1, for a policy that `needs_features`.

        Returns:
            Shape (B,); all True at exit M.

        Raises:
            PolicyError: Shapes that do not fit, an exit that does not exist, logits that the rule
                reads and that are not finite.
        """
        scores = self._checked(exit_number, logits)
        earlier = np.asarray(previous)
        if earlier.shape != (len(scores), exit_number - 1):
            raise PolicyError(
                f"exit {exit_number} of {len(scores)} images needs the earlier labels as "
                f"({len(scores)}, {exit_number - 1}), got {earlier.shape}: give one label for "
                "each image and earlier exit."
            )
        if exit_number == self.num_exits:
            return np.ones(len(scores), dtype=np.bool_)
        temperature = self.temperatures[exit_number - 1]
        leaving = self.rule.decide(exit_number, scores, earlier, temperature, gates)
        if self.referral is not None:  # an image that is referred as unlike costs no later stage
            leaving = leaving | self.referral.unlike_at(exit_number, scores, features)
        return leaving

    @property
    def needs_features(self) -> bool:
        """Whether images are referred by their features at exit 1."""
        return self.referral is not None and self.referral.needs_features

    def reasons(
        self,
        exit_number: int,
        logits: ArrayLike,
        previous: ArrayLike,
        features: Features | None = None,
    ) -> tuple[Reason | None, ...]:
        """Return for images (B,) that exit at exit k why each is referred; None for an answer.

        Args:
            exit_number: Number of the exit k, 1 to M.
            logits: Logits (B, C) of exit k.
            previous: Labels (B, k − 1) that the earlier exits gave them.
            features: Features of the images at exit 1, for a policy that `needs_features`.

        Raises:
            PolicyError: An exit that does not exist, logits that are not (B, C) or not finite.
        """
        scores = self._checked(exit_number, logits)
        if self.referral is None:
            return (None,) * len(scores)
        codes = self.referral.codes(exit_number, scores, previous, self.temperatures, features)
        return tuple(reason_of(code) for code in codes.tolist())

    def referred(
        self, logits: ArrayLike, exits: NDArray[np.int64], features: Features | None = None
    ) -> NDArray[np.int8]:
        """Return for each image (N,) of a cohort whether it is answered; see `Referral.codes`.

        Args:
            logits: Logits (M, N, C) of all exits.
            exits: Exit (N,) of each image, as `assign` returns them.
            features: Features (N, D) at exit 1, for a policy that `needs_features`.
        """
        codes = np.zeros(len(exits), dtype=np.int8)
        if self.referral is not None:
            scores = np.asarray(logits)
            labels = scores.argmax(axis=2)
            for number in np.unique(exits).tolist():
                at = exits == number
                codes[at] = self.referral.codes(
                    number, scores[number - 1, at], labels[: number - 1, at].T, self.temperatures,
                    features_of(features, at),
                )  # fmt: skip
        return codes

    def assign(self, logits: ArrayLike, features: Features | None = None) -> NDArray[np.int64]:
        """Return the exit, 1 to M, at which each image exits.

        Args:
            logits: Logits (M, N, C), all exits of all images.
            features: Features (N, D) at exit 1, for a policy that `needs_features`.

        Raises:
            PolicyError: Shapes that do not fit, logits that the rule reads and that are not finite.
        """
        scores = np.asarray(logits)
        if scores.ndim != 3 or len(scores) != self.num_exits:
            raise PolicyError(
                f"logits have shape {scores.shape}: a policy for {self.num_exits} exits needs "
                f"({self.num_exits}, images, classes)."
            )
        exits = self.rule.assign(scores, self.temperatures)
        if self.referral is None:
            return exits
        return np.minimum(exits, self.referral.first_unlike(scores, features))

    def conditions(self) -> tuple[str, ...]:
        """Return for each exit (M,) in words when an image exits there."""
        words, ended = [], False
        for number in range(1, self.num_exits + 1):
            condition = number == self.num_exits or self.rule.condition(number)
            if ended or condition is False:
                in_time = "never"
            else:
                in_time = "always" if condition is True else condition
            clock = self.deadline_ms is not None and not ended and condition is not True
            if clock:
                in_time = "out of time" if condition is False else f"{in_time}, or out of time"
            words.append(in_time)
            ended = ended or condition is True
        return tuple(words)

    def probabilities(self, exit_number: int, logits: ArrayLike) -> NDArray[np.float64]:
        """Return the class probabilities (B, C) of exit k at its temperature.

        Raises:
            PolicyError: An exit that does not exist, logits that are not (B, C) or not finite.
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
        """Refuse to serve anything except what the policy was fitted for.

        A policy typed by hand (no provenance, no promise) may serve any network.

        Raises:
            PolicyError: Weights, preprocessing, classes or precision differ.
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
            PolicyError: Not JSON, unknown keys, NaN, anything out of range.
        """
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            raise _not_valid(f"{all_faults(error)}.") from error

    def write(self, path: Path) -> None:
        """Write `policy.json`, whole or not at all."""
        write_text(path, self.to_json())

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read `policy.json`.

        Raises:
            PolicyError: Missing, too large, or not a policy; the message names the file.
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


def _not_valid(why: str) -> PolicyError:
    return PolicyError(f"not a valid exit policy: {why} Correct it, or calibrate again.")
