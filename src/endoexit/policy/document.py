"""What `policy.json` keeps beside the decision: costs, the front, promises, provenance."""

import itertools
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from endoexit.documents import Record
from endoexit.errors import PolicyError

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Count = Annotated[int, Field(ge=0)]


class Costs(Record):
    """What it costs to leave at each exit, everything before it included.

    Attributes:
        values: (M,) positive and not falling.
        unit: milliseconds of an image, multiply-adds of an image, or a share of the whole network.
        source: how and where they were measured.
    """

    values: tuple[Annotated[float, Field(gt=0.0)], ...]
    unit: Literal["ms", "macs", "relative"]
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
        goal: the options of `endoexit.policy.goals.make_goal`.
        rules: the fields of `endoexit.policy.candidates.RuleOptions`.
    """

    goal: dict[str, float | str | tuple[str, ...]]
    rules: dict[str, str | int | bool | None]


class Provenance(Record):
    """What a policy was fitted for.

    Attributes:
        weights_sha256: hash of the weights file.
        preprocessing: fingerprint of the preprocessing.
        precision: numeric precision and backend of the logits, such as "torch-f32".
        classes: names, in the order of the logits.
        manifest_sha256: hash of the manifest with the calibrate and certify roles.
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
    """One candidate that no cheaper one beats, as it did on the calibrate role.

    Attributes:
        thresholds: (M − 1,), empty when the rule takes none.
        patience: for the rule `patience`.
        exit: for the rule `fixed`.
        cost: mean cost of an image, in the unit of the costs.
        score: what was to be kept high: accuracy, or how far the risks lie below their tolerances,
            in standard errors.
        accuracy: share of right answers.
        exit_shares: (M,) share of images that leave at each exit.
        p_value: the largest over the risks on certify, for a policy that was tested there.
    """

    thresholds: tuple[Share | None, ...] = ()
    patience: int | None = None
    exit: int | None = None
    cost: float
    score: float
    accuracy: Share
    exit_shares: tuple[Share, ...]
    p_value: Share | None = None


class Promise(Record):
    """One guarantee: with probability 1 − delta over the certify images, risk <= tolerance.

    Attributes:
        risk: its name, such as "disagreement" or "missed[polyp]".
        tolerance: ε.
        delta: δ.
        images: how many independent certify images (or groups) it rests on.
        unit: what counts as one: an image, or a group with its mean loss.
        unit_reason: why that counts as one, in words.
        observed: mean loss on them.
        p_value: of the hypothesis risk > ε.
        method: how the p-value was computed.
    """

    risk: str
    tolerance: float
    delta: float
    images: Count
    unit: Literal["image", "group"] = "image"
    unit_reason: str | None = None
    observed: float
    p_value: Share
    method: Literal["exact binomial", "betting", "by construction"]
