"""Risks: what is lost when images exit early, and how often the answers are wrong."""

import re
from dataclasses import dataclass
from typing import Literal, Self, get_args

import numpy as np
from numpy.typing import NDArray
from pydantic import model_validator

from endoexit.documents import Asked
from endoexit.errors import PolicyError, UsageError, unknown_name
from endoexit.policy.logits import LogitSet

RiskName = Literal["disagreement", "accuracy_loss", "missed", "error", "sensitivity", "specificity"]
RISKS: tuple[RiskName, ...] = get_args(RiskName)

# Measured against the labels, not against the final exit: an early exit may be no worse than it.
ABSOLUTE: frozenset[RiskName] = frozenset({"error", "sensitivity", "specificity"})
# Named after a share that has to be large: the loss is what is missing to 1.
_FLOORS = frozenset({"sensitivity", "specificity"})
_OF_CLASS = frozenset({"missed", "sensitivity", "specificity"})

_PATTERN = re.compile(r"\s*(\w+)\s*(?:\[(.+)\])?\s*([<>]=)\s*([0-9.eE+-]+)\s*")


class Risk(Asked):
    """A mean loss that must stay under a tolerance.

    - `disagreement`: 1 where the answer differs from the final exit's answer.
    - `accuracy_loss`: 1 where the answer is wrong and the final exit right, −1 where the answer
      is right and the final exit wrong. Its mean is the accuracy that is given up.
    - `missed[class]`: of the images of that class, 1 where the final exit names the class and the
      answer does not. Images that only an early exit names right do not make up for it.
    - `error`: 1 where the answer is wrong.
    - `sensitivity[class]`: of the images of that class, 1 where the answer is another class. The
      tolerance is 1 minus the smallest sensitivity.
    - `specificity[class]`: of the images of other classes, 1 where the answer is that class. The
      tolerance is 1 minus the smallest specificity.

    The first three compare with the network's final exit, the others with the labels.
    `disagreement`, `accuracy_loss` and `error` can be restricted to the images of one class.

    Attributes:
        name: Name of the loss, one of `RISKS`.
        tolerance: Largest mean loss that is accepted, ε, between 0 and 1.
        of_class: Name of the class that the risk is restricted to; None for all images.

    Raises:
        UsageError: An unknown loss, a tolerance outside (0, 1), no class where one is needed.
    """

    name: RiskName
    tolerance: float
    of_class: str | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not 0.0 < self.tolerance < 1.0:
            what = "smallest" if self.is_floor else "tolerance of"
            got = self.as_named(self.tolerance)
            raise UsageError(
                f"the {what} {self.label} must lie between 0 and 1, got {got}: 0.02 means 2 %."
            )
        if self.name in _OF_CLASS and self.of_class is None:
            example = f"{self.name}[polyp]{'>=0.95' if self.is_floor else '<=0.01'}"
            raise UsageError(f'{self.name} needs a class, such as "{example}".')
        return self

    @property
    def label(self) -> str:
        """Name with its class, such as "missed[polyp]"."""
        return self.name if self.of_class is None else f"{self.name}[{self.of_class}]"

    @property
    def binary(self) -> bool:
        """Whether the loss of an image is 0 or 1 (otherwise −1, 0 or 1)."""
        return self.name != "accuracy_loss"

    @property
    def absolute(self) -> bool:
        """Whether the answers are compared with the labels, not with the final exit."""
        return self.name in ABSOLUTE

    @property
    def is_floor(self) -> bool:
        """Whether the risk is named after a share that has to be large, such as sensitivity."""
        return self.name in _FLOORS

    def as_named(self, loss: float) -> float:
        """Return a mean loss as the share that the risk is named after, or the other way round."""
        return round(1.0 - loss, 12) if self.is_floor else loss

    @property
    def words(self) -> str:
        """What is asked for, such as "missed[polyp] <= 0.01" or "sensitivity[polyp] >= 0.95"."""
        return f"{self.label} {'>=' if self.is_floor else '<='} {self.as_named(self.tolerance):g}"

    @property
    def option(self) -> str:
        """Text that `parse_risk` reads as this risk."""
        return f"{self.label}{'>=' if self.is_floor else '<='}{self.as_named(self.tolerance)!r}"

    def __str__(self) -> str:
        return f"{self.label}{'>=' if self.is_floor else '<='}{self.as_named(self.tolerance):g}"


def parse_risk(text: str) -> Risk:
    """Read a risk that a user typed, such as "disagreement<=0.02" or "sensitivity[polyp]>=0.95".

    Raises:
        UsageError: Not of this form, unknown risk, tolerance outside (0, 1), a floor for what has
            to be small, a ceiling for what has to be large.
    """
    match = _PATTERN.fullmatch(text)
    try:
        name, of_class, sign, share = match.groups() if match else (None, None, None, None)
        value = float(share) if share else None
    except ValueError:
        value = None
    if value is None or name is None:
        raise UsageError(
            f'cannot read the guarantee {text!r}: write it as "disagreement<=0.02", '
            '"accuracy_loss<=0.01", "missed[polyp]<=0.01", "error<=0.05" or '
            '"sensitivity[polyp]>=0.95".'
        )
    if name not in RISKS:
        raise unknown_name("risk", name, RISKS)
    is_floor = name in _FLOORS
    if (sign == ">=") != is_floor:
        # Of the share and its complement, the one that promises more.
        meant = round(max(value, 1 - value) if is_floor else min(value, 1 - value), 12)
        right, size = (">=", "large") if is_floor else ("<=", "small")
        label = name if of_class is None else f"{name}[{of_class}]"
        raise UsageError(f"{name} has to be {size}: write '{label}{right}{meant:g}'.")
    return Risk(
        name=name, tolerance=round(1.0 - value, 12) if is_floor else value, of_class=of_class
    )


def split_label(label: str) -> tuple[str, str | None]:
    """Return the name and the class of a label such as "missed[polyp]"; see `Risk.label`."""
    name, bracket, rest = label.partition("[")
    return name, rest.removesuffix("]") if bracket else None


@dataclass(frozen=True, eq=False)
class LossTable:
    """One risk on one cohort.

    Attributes:
        risk: Risk that the losses belong to.
        losses: Loss (M, N) of image n if it exits at exit k; 0 where it is not counted.
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
    counted = counted_images(risk, data, classes)
    if not counted.any():
        which = "another class than" if risk.name == "specificity" else "class"
        raise PolicyError(
            f"{data.name} has no image of {which} {risk.of_class!r}, so nothing can be said "
            f"about {risk.label}: give the role images of it with `endoexit split`."
        )
    if risk.name == "disagreement":
        losses = (data.predictions != data.predictions[-1]).astype(np.float32)
    elif risk.absolute:  # of other classes, an image is wrong here only by the answer `of_class`
        wrong = ~data.correct
        if risk.name == "specificity":
            wrong = data.predictions == classes.index(str(risk.of_class))
        losses = wrong.astype(np.float32)
    else:
        losses = data.correct[-1].astype(np.float32) - data.correct
        if risk.name == "missed":
            losses = np.maximum(losses, 0)
    return LossTable(risk, np.asarray(losses * counted, dtype=np.float32), counted)


def counted_images(risk: Risk, data: LogitSet, classes: tuple[str, ...]) -> NDArray[np.bool_]:
    """Return which images (N,) of a cohort the risk is a mean over.

    Raises:
        UsageError: The class does not exist.
    """
    if risk.of_class is None:
        return np.ones(data.num_images, dtype=np.bool_)
    if risk.of_class not in classes:
        raise unknown_name("class", risk.of_class, classes)
    of_class = data.labels == classes.index(risk.of_class)
    return np.asarray(~of_class if risk.name == "specificity" else of_class)
