"""Which policies are tried: the options of a search."""

from typing import Literal, Self, get_args

from pydantic import field_validator, model_validator

from endoexit.documents import Asked, unless_none
from endoexit.errors import UsageError, unknown_name
from endoexit.policy.confidence import CONFIDENCES
from endoexit.policy.rules.base import RuleKind

ThresholdFamily = Literal["per-exit", "shared", "geometric"]


class RuleOptions(Asked):
    """Which policies are tried.

    Attributes:
        rule: Kind of decision: a confidence, a learned gate, or another; see `rules.catalog`.
        thresholds: Family of thresholds, for the confidence rules: every combination of
            candidates for each exit ("per-exit"), one threshold for all exits ("shared"), or
            those of MSDNet's geometric exit distributions ("geometric"). None takes "per-exit",
            and "geometric" for a budget.
        candidates: Number of thresholds tried per exit (or shared); None takes 40, or as many as
            can be screened when there are many exits.
        temperature_scaling: Whether a temperature is fitted for each exit on calibrate;
            otherwise T = 1.
        refer_unlike: Largest share of the calibrate images that may be referred to a human because
            they look unlike the others; None for no such referral.
        unlike_by: Measure by which they look unlike: "energy", or "mahalanobis" for the distance
            of the features at exit 1; None takes the energy.

    Raises:
        UsageError: Thresholds or candidates that the rule does not use, an unknown name, a share
            out of range.
    """

    rule: RuleKind = "max_probability"
    thresholds: ThresholdFamily | None = None
    candidates: int | None = None
    temperature_scaling: bool = True
    refer_unlike: float | None = unless_none
    unlike_by: Literal["energy", "mahalanobis"] | None = unless_none

    @field_validator("rule", mode="before")
    @classmethod
    def _known(cls, value: object) -> object:
        """Refuse a misspelt rule with the nearest name."""
        if isinstance(value, str) and value not in get_args(RuleKind):
            raise unknown_name("rule", value, get_args(RuleKind))
        return value

    @model_validator(mode="after")
    def _check(self) -> Self:
        chosen = self.thresholds is not None or self.candidates is not None
        if self.rule not in CONFIDENCES and chosen:
            raise UsageError(
                f"the rule {self.rule} has no thresholds to choose from: omit the options for "
                f"thresholds and candidates, or take one of {', '.join(CONFIDENCES)}."
            )
        if self.thresholds == "geometric" and self.candidates is not None:
            raise UsageError("geometric thresholds follow from the shares: omit candidates.")
        if self.unlike_by is not None and self.refer_unlike is None:
            raise UsageError(
                "a measure of unlike images needs the share of good ones that it may refer: add "
                "--refer-unlike, such as 0.05."
            )
        if self.refer_unlike == 1.0:
            raise UsageError(
                "to refer a share of up to 1 as unlike would refer every image: allow less, such "
                "as 0.05."
            )
        if self.refer_unlike is not None and not 0.0 < self.refer_unlike < 1.0:
            raise UsageError(
                f"the share that is referred as unlike must lie between 0 and 1, got "
                f"{self.refer_unlike:g}: 0.05 means 5 %."
            )
        return self
