"""Losses of leaving early, measured against the network's own final exit."""

import re
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from endoexit.errors import PolicyError, UsageError, unknown_name
from endoexit.policy.logits import LogitSet

RiskName = Literal["disagreement", "accuracy_loss", "missed"]
RISKS: tuple[RiskName, ...] = get_args(RiskName)

_PATTERN = re.compile(r"\s*(\w+)\s*(?:\[(.+)\])?\s*<=\s*([0-9.eE+-]+)\s*")


@dataclass(frozen=True)
class Risk:
    """A mean loss that must stay under a tolerance.

    - `disagreement`: 1 where the answer differs from the final exit's.
    - `accuracy_loss`: 1 where the answer is wrong and the final exit right, −1 the other way
      round: its mean is the accuracy given up.
    - `missed[class]`: of the images of that class, 1 where the final exit names the class and the
      answer does not. What the early exits find in addition is not set against it.

    The first two can be restricted to the images of one class as well.

    Attributes:
        name: one of `RISKS`.
        tolerance: ε, between 0 and 1.
        of_class: name of the class that it is restricted to.
    """

    name: RiskName
    tolerance: float
    of_class: str | None = None

    def __post_init__(self) -> None:
        if self.name not in RISKS:
            raise unknown_name("risk", self.name, RISKS)
        if not 0.0 < self.tolerance < 1.0:
            raise UsageError(
                f"the tolerance of {self.label} must lie between 0 and 1, got {self.tolerance}."
            )
        if self.name == "missed" and self.of_class is None:
            raise UsageError('missed needs a class, such as "missed[polyp]<=0.01".')

    @property
    def label(self) -> str:
        """Return the name with its class, such as "missed[polyp]"."""
        return self.name if self.of_class is None else f"{self.name}[{self.of_class}]"

    @property
    def binary(self) -> bool:
        """Tell whether the loss of an image is 0 or 1 (otherwise −1, 0 or 1)."""
        return self.name != "accuracy_loss"

    def __str__(self) -> str:
        return f"{self.label}<={self.tolerance:g}"


def parse_risk(text: str) -> Risk:
    """Read a risk such as "disagreement<=0.02" or "missed[polyp]<=0.01".

    Raises:
        UsageError: not of this form, unknown risk, tolerance outside (0, 1).
    """
    match = _PATTERN.fullmatch(text)
    try:
        name, of_class, tolerance = match.groups() if match else (None, None, None)
        value = float(tolerance) if tolerance else None
    except ValueError:
        value = None
    if value is None or name is None:
        raise UsageError(
            f'cannot read the guarantee {text!r}: write it as "disagreement<=0.02", '
            '"accuracy_loss<=0.01" or "missed[polyp]<=0.01".'
        )
    if name not in RISKS:
        raise unknown_name("risk", name, RISKS)
    return Risk(name, value, of_class)


@dataclass(frozen=True, eq=False)
class LossTable:
    """One risk on one cohort.

    Attributes:
        risk: which.
        losses: (M, N) loss of image n if it leaves at exit k; 0 outside the class.
        counted: (N,) images that the risk is a mean over.
    """

    risk: Risk
    losses: NDArray[np.float32]
    counted: NDArray[np.bool_]

    @property
    def num_images(self) -> int:
        """Images that the mean is over."""
        return int(self.counted.sum())

    def of(self, exits: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the losses (n,) of the counted images when they leave at `exits` (N,)."""
        losses = self.losses[exits - 1, np.arange(len(exits))]
        return losses[self.counted].astype(np.float64)


def loss_table(risk: Risk, data: LogitSet, classes: tuple[str, ...]) -> LossTable:
    """Return the losses of leaving at each exit.

    Raises:
        UsageError: the class does not exist.
        PolicyError: the cohort has no image of the class.
    """
    if len(classes) != data.num_classes:
        raise PolicyError(
            f"{len(classes)} class names for logits of {data.num_classes} classes: pass the names "
            "in the order of the logits."
        )
    counted = np.ones(data.num_images, dtype=np.bool_)
    if risk.of_class is not None:
        if risk.of_class not in classes:
            raise unknown_name("class", risk.of_class, classes)
        counted = data.labels == classes.index(risk.of_class)
        if not counted.any():
            raise PolicyError(
                f"{data.name} has no image of class {risk.of_class!r}, so nothing can be said "
                f"about {risk.label}: give the role some with `endoexit split`."
            )
    if risk.name == "disagreement":
        losses = (data.predictions != data.predictions[-1]).astype(np.float32)
    else:
        losses = data.correct[-1].astype(np.float32) - data.correct
        if risk.name == "missed":
            losses = np.maximum(losses, 0)
    return LossTable(risk, np.asarray(losses * counted, dtype=np.float32), counted)
