"""What `policy.json` holds besides the rule: costs, the front, promises, provenance."""

import itertools
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from endoexit.documents import Record, unless_none
from endoexit.errors import PolicyError
from endoexit.policy.goals import CostUnit, Goal, GroupValue, Method, Unit
from endoexit.policy.options import RuleOptions
from endoexit.policy.risks import Risk, split_label
from endoexit.policy.rules.catalog import StoredRule

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Count = Annotated[int, Field(ge=0)]


class Costs(Record):
    """What an image costs that exits at each exit, with all the work before it.

    Attributes:
        values: Costs (M,), positive and not falling.
        unit: Unit of the costs: milliseconds or multiply-adds of an image, or a share of the
            whole network.
        source: Description of how and where they were measured.

    Raises:
        PolicyError: The costs fall from one exit to the next.
    """

    values: tuple[Annotated[float, Field(gt=0.0)], ...]
    unit: CostUnit
    source: str

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not self.values or any(a > b for a, b in itertools.pairwise(self.values)):
            raise PolicyError(
                f"costs {list(self.values)} must not fall from one exit to the next: each holds "
                "all the work before it. Measure again on a quiet machine, or use multiply-adds."
            )
        return self


class Request(Record):
    """What was asked for, so that it can be asked again at another numeric precision.

    Attributes:
        goal: Goal of the policy.
        rules: Options that say which policies were tried.
    """

    goal: Goal
    rules: RuleOptions


class Provenance(Record):
    """What a policy was fitted for.

    Attributes:
        weights_sha256: Hash of the weights file.
        preprocessing: Fingerprint of the preprocessing.
        precision: Numeric precision and backend of the logits, such as "torch-f32".
        classes: Names in the order of the logits.
        manifest_sha256: Hash of the manifest with the calibrate and certify roles.
    """

    weights_sha256: str
    preprocessing: str
    precision: str
    classes: tuple[str, ...]
    manifest_sha256: str | None = None

    def differences(self, served: "Provenance") -> list[str]:
        """Return what differs from `served`, in words; the manifest may differ."""
        pairs = (
            ("weights", self.weights_sha256[:12], served.weights_sha256[:12]),
            ("preprocessing", self.preprocessing[:12], served.preprocessing[:12]),
            ("precision", self.precision, served.precision),
            ("classes", ", ".join(self.classes), ", ".join(served.classes)),
        )
        return [f"{name} {ours!r}, served {theirs!r}" for name, ours, theirs in pairs
                if ours != theirs]  # fmt: skip


class FrontPoint(Record):
    """One candidate that no cheaper one beats, with its figures on the calibrate role.

    Attributes:
        rule: Rule with its numbers.
        cost: Mean cost of an image, in the unit of the costs.
        score: What was to be kept high: accuracy, or how far the risks lie below their
            tolerances, in standard errors.
        accuracy: Share of right answers; with referral, of the images that are answered.
        exit_shares: Share (M,) of the images that exit at each exit.
        p_value: Largest p-value over the risks on certify, for a policy that was tested there.
        unsure: Sureness at the final exit under which images are referred; None for none.
        referred: Share of the images that are referred; None without referral.
    """

    rule: StoredRule
    cost: float
    score: float
    accuracy: Share
    exit_shares: tuple[Share, ...]
    p_value: Share | None = None
    unsure: Share | None = unless_none
    referred: Share | None = unless_none


class Promise(Record):
    """One guarantee: with probability 1 − delta over the certify images, the risk is small.

    Attributes:
        risk: Risk with its tolerance ε.
        delta: Chance that the promise fails, δ.
        images: Number of independent certify images (or groups) that it rests on.
        unit: What counts as one: an image, or a group with its mean loss.
        group_value: Loss by which a group was tested: its mean, or that of one image that was
            drawn from it without looking at the losses. The promise is about means in both cases.
        unit_reason: Reason why that counts as one, in words.
        observed: Mean loss on certify.
        p_value: P-value of the hypothesis "risk > ε".
        method: How the p-value was computed; "by construction" for the final exit, which needs no
            test because it is what the risks are measured against.
        referred: Share of the certify units that were referred; the promise is then about those
            that are answered. None where every image is answered.
    """

    risk: Risk
    delta: float
    images: Count
    unit: Unit = "image"
    group_value: GroupValue = "mean"
    unit_reason: str | None = None
    observed: float
    p_value: Share
    method: Method | Literal["by construction"]
    referred: Share | None = unless_none

    @property
    def words(self) -> str:
        """What is promised, such as "error <= 0.02 among the answered"."""
        return f"{self.risk.words}{'' if self.referred is None else ' among the answered'}"

    @model_validator(mode="before")
    @classmethod
    def _read_first_format(cls, value: Any) -> Any:
        """Read the risk of the first release, which wrote its label and its tolerance apart."""
        if not isinstance(value, dict) or not isinstance(value.get("risk"), str):
            return value
        name, of_class = split_label(value["risk"])
        risk = {"name": name, "tolerance": value.get("tolerance"), "of_class": of_class}
        rest = {key: field for key, field in value.items() if key not in ("risk", "tolerance")}
        return rest | {"risk": risk}
