"""Goals: what users ask of a policy, as records."""

import math
from abc import ABC, abstractmethod
from decimal import Decimal
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from endoexit.documents import Asked, unless_none
from endoexit.errors import UsageError
from endoexit.policy.risks import Risk

CostUnit = Literal["ms", "macs", "relative"]
Unit = Literal["image", "group"]
UnitChoice = Literal["auto", "image", "group"]
GroupValue = Literal["mean", "one image"]  # of a group that is tested as one
Method = Literal["exact binomial", "exact trinomial", "betting"]  # of a test
Options = dict[str, float | str | tuple[str, ...]]

UNIT_WORDS: dict[CostUnit, str] = {
    "ms": "milliseconds",
    "macs": "multiply-adds",
    "relative": "of the whole network",
}

# Infinity and NaN pass the type so that each goal can refuse them in its words.
_Number = Annotated[float, Field(allow_inf_nan=True)]


def _require_positive(name: str, value: float) -> None:
    if not (math.isfinite(value) and value > 0.0):
        raise UsageError(f"{name} must be a positive number, got {value:g}: ask for more than 0.")


def _require_share(name: str, value: float) -> None:
    if not 0.0 <= value <= 1.0:
        raise UsageError(f"{name} must lie between 0 and 1, got {value:g} (0.88 means 88 %).")


def probability_words(delta: float) -> str:
    """Return 1 − δ, the probability with which a promise holds, without rounding it to 1."""
    return f"{1 - Decimal(repr(delta)):f}"


class GoalBase(Asked, ABC):
    """What all goals have in common: checks when they are made, words (`str`), options."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        self._require_sense()
        return self

    @abstractmethod
    def _require_sense(self) -> None:
        """Raise a UsageError for values that make no sense."""

    @abstractmethod
    def options(self) -> Options:
        """Return the options with which `make_goal` makes this goal."""

    @property
    def about_time(self) -> bool:
        """Whether the goal is about measured milliseconds of an image."""
        return False


class CostLimit(GoalBase):
    """Best accuracy with a mean cost of an image of at most `limit`.

    Attributes:
        limit: Largest mean cost of an image, in `unit`.
        unit: Unit of the limit; "relative" is a share of the whole network.
    """

    kind: Literal["cost_limit"] = "cost_limit"
    limit: _Number
    unit: CostUnit

    def _require_sense(self) -> None:
        _require_positive(f"the mean cost ({UNIT_WORDS[self.unit]})", self.limit)
        if self.unit == "relative" and self.limit > 1:
            raise UsageError(
                f"the mean cost is a share of the whole network, at most 1, got {self.limit:g} "
                "(0.6 means 60 %)."
            )

    def options(self) -> Options:
        """Return the options with which `make_goal` makes this goal."""
        name = {"ms": "max_ms", "macs": "max_macs", "relative": "mean_exit_cost"}[self.unit]
        return {name: self.limit}

    @property
    def about_time(self) -> bool:
        """Whether the goal is about measured milliseconds of an image."""
        return self.unit == "ms"

    def __str__(self) -> str:
        return f"mean cost <= {self.limit:g} {UNIT_WORDS[self.unit]}"


class AccuracyFloor(GoalBase):
    """Least cost with at least some accuracy on calibrate.

    Attributes:
        accuracy: Smallest accuracy on calibrate.
    """

    kind: Literal["accuracy_floor"] = "accuracy_floor"
    accuracy: _Number

    def _require_sense(self) -> None:
        _require_share("the accuracy", self.accuracy)

    def options(self) -> Options:
        """Return the options with which `make_goal` makes this goal."""
        return {"min_accuracy": self.accuracy}

    def __str__(self) -> str:
        return f"accuracy >= {self.accuracy:g}"


class AccuracyDrop(GoalBase):
    """Least cost with almost the accuracy of the final exit on calibrate.

    Attributes:
        drop: Largest accuracy that may be given up, as a share.
    """

    kind: Literal["accuracy_drop"] = "accuracy_drop"
    drop: _Number

    def _require_sense(self) -> None:
        _require_share("the accuracy drop", self.drop)
        if self.drop == 1:
            raise UsageError("an accuracy drop of 1 allows any loss: one point is 0.01.")

    def options(self) -> Options:
        """Return the options with which `make_goal` makes this goal."""
        return {"max_accuracy_drop": self.drop}

    def __str__(self) -> str:
        return f"accuracy >= final exit - {self.drop:g}"


class Budget(GoalBase):
    """Budgeted batch: so many images in so many seconds (MSDNet's procedure).

    Attributes:
        images: Number of images in the batch.
        seconds: Time for all of them together.
    """

    kind: Literal["budget"] = "budget"
    images: int
    seconds: _Number

    def _require_sense(self) -> None:
        _require_positive("the number of images", self.images)
        _require_positive("the seconds", self.seconds)

    def options(self) -> Options:
        """Return the options with which `make_goal` makes this goal."""
        return {"budget": f"{self.images} images, {self.seconds!r} seconds"}

    @property
    def about_time(self) -> bool:
        """Whether the goal is about measured milliseconds of an image."""
        return True

    def __str__(self) -> str:
        return f"{self.images} images in {self.seconds:g} s"


class Guarantee(GoalBase):
    """Least cost with every risk at most its ε, with probability 1 − δ over certify.

    Attributes:
        risks: One or more risks with their tolerances.
        delta: Chance that the guarantee fails, δ.
        unit: What counts as one independent draw: an image, or a group with its mean loss;
            "auto" takes groups where a certify group holds several images.
        max_referral: Largest share of the images that may be referred to a human; the risks are
            then those of the answered ones, and few are referred; see `pairs.REFERRAL_COST`. None
            where all images are answered.
    """

    kind: Literal["guarantee"] = "guarantee"
    risks: tuple[Risk, ...]
    delta: _Number = 0.05
    unit: UnitChoice = "auto"
    max_referral: _Number | None = unless_none

    def _require_sense(self) -> None:
        if not 0.0 < self.delta < 1.0:
            raise UsageError(
                f"delta must lie between 0 and 1, got {self.delta:g} (0.05 means 5 %)."
            )
        labels = [risk.label for risk in self.risks]
        if not labels:
            raise UsageError('a guarantee needs a risk, such as "disagreement<=0.02".')
        if len(set(labels)) < len(labels):
            raise UsageError(
                f"a guarantee names a risk twice: {', '.join(labels)}. Keep one tolerance for each."
            )
        if self.max_referral is not None:
            self._require_sense_of_referral(self.max_referral)

    def _require_sense_of_referral(self, share: float) -> None:
        if share == 1.0:
            raise UsageError(
                "a referral of up to 1 would refer every image: allow less, such as 0.2."
            )
        if not 0.0 < share < 1.0:
            raise UsageError(
                f"the largest share that is referred must lie between 0 and 1, got {share:g}: 0.2 "
                "means 20 %."
            )
        relative = [risk.label for risk in self.risks if not risk.absolute]
        if relative:
            raise UsageError(
                f"{', '.join(relative)} compares with the final exit, which referral does not "
                "change: ask for error, sensitivity or specificity, or omit max-referral."
            )

    def options(self) -> Options:
        """Return the options with which `make_goal` makes this goal."""
        risks = tuple(risk.option for risk in self.risks)
        options: Options = {"guarantee": risks, "delta": self.delta, "unit": self.unit}
        if self.max_referral is not None:
            options["max_referral"] = self.max_referral
        return options

    def __str__(self) -> str:
        among = ""
        if self.max_referral is not None:
            among = f" among the answered, at most {self.max_referral:g} referred,"
        risks = " and ".join(map(str, self.risks))
        return f"{risks}{among} with probability {probability_words(self.delta)}"


class Anytime(GoalBase):
    """The answer of the last exit that finishes in time.

    Attributes:
        deadline_ms: Milliseconds that an image may take.
    """

    kind: Literal["anytime"] = "anytime"
    deadline_ms: _Number

    def _require_sense(self) -> None:
        _require_positive("the deadline", self.deadline_ms)

    def options(self) -> Options:
        """Return the options with which `make_goal` makes this goal."""
        return {"deadline_ms": self.deadline_ms}

    def __str__(self) -> str:
        return f"the last exit within {self.deadline_ms:g} ms"


Goal = Annotated[
    CostLimit | AccuracyFloor | AccuracyDrop | Budget | Guarantee | Anytime,
    Field(discriminator="kind"),
]
