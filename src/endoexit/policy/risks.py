"""Risks: what is lost when images exit early, measured against the network's final exit."""

import re
from dataclasses import dataclass
from typing import Literal, Self, get_args

import numpy as np
from numpy.typing import NDArray
from pydantic import model_validator

from endoexit.documents import Asked
from endoexit.errors import PolicyError, UsageError, unknown_name
from endoexit.policy.logits import LogitSet

RiskName = Literal["disagreement", "accuracy_loss", "missed"]
RISKS: tuple[RiskName, ...] = get_args(RiskName)

_PATTERN = re.compile(r"\s*(\w+)\s*(?:\[(.+)\])?\s*<=\s*([0-9.eE+-]+)\s*")


class Risk(Asked):
    """A mean loss that must stay under a tolerance.

    - `disagreement`: 1 where the answer differs from the final exit's answer.
    - `accuracy_loss`: 1 where the answer is wrong and the final exit right, −1 where the answer
      is right and the final exit wrong. Its mean is the accuracy that is given up.
    - `missed[class]`: of the images of that class, 1 where the final exit names the class and the
      answer does not. Images that only an early exit names right do not make up for it.

    The first two can be restricted to the images of one class as well.

    Attributes:
        name: Name of the loss, one of `RISKS`.
        tolerance: Largest mean loss that is accepted, ε, between 0 and 1.
        of_class: Name of the class that the risk is restricted to; None for all images.

    Raises:
        UsageError: An unknown loss, a tolerance outside (0, 1), `missed` without a class.
    """

    name: RiskName
    tolerance: float
    of_class: str | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not 0.0 < self.tolerance < 1.0:
            raise UsageError(
                f"the tolerance of {self.label} must lie between 0 and 1, got {self.tolerance}: "
                "0.02 means 2 %."
            )
        if self.name == "missed" and self.of_class is None:
            raise UsageError('missed needs a class, such as "missed[polyp]<=0.01".')
        return self

    @property
    def label(self) -> str:
        """Name with its class, such as "missed[polyp]"."""
        return self.name if self.of_class is None else f"{self.name}[{self.of_class}]"

    @property
    def binary(self) -> bool:
        """Whether the loss of an image is 0 or 1 (otherwise −1, 0 or 1)."""
        return self.name != "accuracy_loss"

    def __str__(self) -> str:
        return f"{self.label}<={self.tolerance:g}"


def parse_risk(text: str) -> Risk:
    """Read a risk that a user typed, such as "disagreement<=0.02" or "missed[polyp]<=0.01".

    Raises:
        UsageError: Not of this form, unknown risk, tolerance outside (0, 1).
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
    return Risk(name=name, tolerance=value, of_class=of_class)


def split_label(label: str) -> tuple[str, str | None]:
    """Return the name and the class of a label such as "missed[polyp]"; see `Risk.label`."""
    name, bracket, rest = label.partition("[")
    return name, rest.removesuffix("]") if bracket else None


@dataclass(frozen=True, eq=False)
class LossTable:
    """One risk on one cohort.

    Attributes:
        risk: Risk that the losses belong to.
        losses: Loss (M, N) of image n if it exits at exit k; 0 outside the class.
        counted: Mask (N,) of the images that the risk is a mean over.
    """

    risk: Risk
    losses: NDArray[np.float32]
    counted: NDArray[np.bool_]

    @property
    def num_images(self) -> int:
        """Number of images that the mean is over."""
        return int(self.counted.sum())

    def of(self, exits: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the losses (n,) of the counted images when they exit at `exits` (N,)."""
        losses = self.losses[exits - 1, np.arange(len(exits))]
        return losses[self.counted].astype(np.float64)


def loss_table(risk: Risk, data: LogitSet, classes: tuple[str, ...]) -> LossTable:
    """Return what is lost when images exit at each exit.

    Raises:
        UsageError: The class does not exist.
        PolicyError: The cohort has no image of the class.
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
                f"about {risk.label}: give the role images of it with `endoexit split`."
            )
    if risk.name == "disagreement":
        losses = (data.predictions != data.predictions[-1]).astype(np.float32)
    else:
        losses = data.correct[-1].astype(np.float32) - data.correct
        if risk.name == "missed":
            losses = np.maximum(losses, 0)
    return LossTable(risk, np.asarray(losses * counted, dtype=np.float32), counted)
