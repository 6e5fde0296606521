"""The one interface of every network here: a staged classifier."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar, Self

from torch import Tensor, nn

from endoexit.errors import UsageError, unknown_name

State = tuple[Tensor, ...]
"""What one stage hands to the next: tensors whose first dimension is the batch."""


class SizeError(UsageError):
    """Images of a size that a network cannot take."""


@dataclass(frozen=True)
class NetworkSettings:
    """Base of what a network is made of.

    Attributes:
        family: Name of its family for messages.
        kept: Settings that tell which network it is, and do not change.
    """

    family: ClassVar[str]
    kept: ClassVar[tuple[str, ...]] = ()

    def replaced(self, changes: Mapping[str, Any]) -> Self:
        """Return a copy with some settings changed; a misspelt one raises UsageError."""
        known = [field.name for field in fields(self) if field.name not in self.kept]
        for name in changes:
            if name not in known:
                raise unknown_name("model setting", name, known)
        return replace(self, **changes)

    def _require(self, holds: bool, name: str, what: str) -> None:
        """Raise UsageError unless a setting holds, with words for what it must be."""
        if not holds:
            raise UsageError(f"{self.family}: {name} must be {what}, got {getattr(self, name)!r}.")


class Stage(nn.Module):
    """One stage and its exit.

    Args:
        trunk: Modules applied in order, each turning a state into the next one.
        head: Module that turns the last state into logits, shape (batch, classes).
    """

    def __init__(self, trunk: Iterable[nn.Module], head: nn.Module) -> None:
        super().__init__()
        self.trunk = nn.ModuleList(trunk)
        self.head = head

    def forward(self, state: State) -> tuple[State, Tensor]:
        """Return this stage's state and the logits of its exit."""
        for part in self.trunk:
            state = part(state)
        return state, self.head(state)

    def opened(self, state: State) -> tuple[State, nn.Module, State]:
        """Run; return the state after the stage, the exit's head and what that reads."""
        for part in self.trunk:
            state = part(state)
        return state, self.head, state


class StagedClassifier(nn.Module):
    """A classifier in M consecutive stages, each with an exit.

    Calling it computes all exits (training); `stage` computes one stage alone
    (inference). Both run the same modules, so their results are identical.

    Args:
        stages: The M stages in order. The first one's input state is
            `(images,)`, images of shape (batch, 3, height, width).
        num_classes: Number of classes C of every exit.
        size_multiple: Number that height and width must be multiples of.

    Attributes:
        state_names: Names of the tensors that every stage hands on; empty for names that are
            derived from their number of dimensions.
    """

    state_names: tuple[str, ...] = ()

    def __init__(self, stages: Iterable[Stage], num_classes: int, size_multiple: int) -> None:
        super().__init__()
        self.stages = nn.ModuleList(stages)
        self.num_classes = num_classes
        self.size_multiple = size_multiple

    @property
    def num_stages(self) -> int:
        """Number of stages M, which is the number of exits."""
        return len(self.stages)

    def check_size(self, height: int, width: int) -> None:
        """Raise SizeError if images of this size cannot pass through the network."""
        step = self.size_multiple
        if min(height, width) < step or height % step or width % step:
            near = max(step, round(min(height, width) / step) * step)
            raise SizeError(
                f"images of {height}×{width} pixels do not fit this network: height and width "
                f"must be multiples of {step}; {near} is the nearest."
            )

    def whole(self) -> "StagedClassifier":
        """Return the same layers in one stage, without the heads of the early exits."""
        stages: list[Stage] = list(self.stages)  # type: ignore[arg-type]
        parts = [part for stage in stages for part in stage.trunk]
        joined = Stage(parts, stages[-1].head)
        return StagedClassifier([joined], self.num_classes, self.size_multiple)

    def stage(self, number: int, state: State) -> tuple[State, Tensor]:
        """Run stage `number` alone.

        Args:
            number: 1 to M.
            state: State that stage `number` - 1 returned; `(images,)` for stage 1.

        Returns:
            The state after the stage, and its exit's logits (batch, classes).

        Raises:
            UsageError: There is no such stage, or the images' size does not fit.
        """
        if not 1 <= number <= self.num_stages:
            raise UsageError(f"stage must be 1 to {self.num_stages}, got {number}.")
        if number == 1:
            self.check_size(*state[0].shape[-2:])
        result: tuple[State, Tensor] = self.stages[number - 1](state)
        return result

    def forward(self, images: Tensor) -> list[Tensor]:
        """Return the logits of all M exits, each (batch, classes)."""
        state: State = (images,)
        logits = []
        for number in range(1, self.num_stages + 1):
            state, exit_logits = self.stage(number, state)
            logits.append(exit_logits)
        return logits


class FixedSizeClassifier(StagedClassifier):
    """A staged classifier whose linear layers read maps, so that images of one size alone fit.

    Its `size_multiple` is that size.
    """

    def check_size(self, height: int, width: int) -> None:
        """Raise SizeError if images are of another size than the linear layers fix."""
        side = self.size_multiple
        if (height, width) != (side, side):
            raise SizeError(
                f"images of {height}×{width} pixels do not fit this network: its linear layers "
                f"take {side}×{side} alone. Set the size to {side}, or choose another network."
            )
