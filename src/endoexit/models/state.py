"""`StateSpec`: what each stage of a network hands on to the next. No torch: bundles keep it."""

from collections import Counter
from collections.abc import Sequence
from typing import Annotated

from pydantic import Field, model_validator

from endoexit.documents import Record

IMAGES = "images"  # name of what the first stage takes
LOGITS = "logits"  # name of what every exit answers


class TensorSpec(Record):
    """One tensor of a state.

    Attributes:
        name: Name that exported graphs use.
        shape: Shape as it is handed on, without the batch.
        channels_last: Whether it is a map that the network knows as (B, C, H, W) and that is
            handed on as (B, H, W, C).
    """

    # \x5f is the underscore: the site reads a word that ends with one as a link.
    name: Annotated[str, Field(pattern=r"^[\x5fA-Za-z][\x5fA-Za-z0-9]*$")]
    shape: tuple[Annotated[int, Field(ge=1)], ...]
    channels_last: bool = False

    @model_validator(mode="after")
    def _only_maps_are_turned(self) -> "TensorSpec":
        if self.channels_last and len(self.shape) != 3:
            raise ValueError(f"channels_last is for maps, {self.name} has shape {self.shape}")
        return self


class StateSpec(Record):
    """What the stages of a network hand on.

    Attributes:
        stages: Tensors that each stage hands on; the last stage hands on none.
    """

    stages: Annotated[tuple[tuple[TensorSpec, ...], ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _names_are_unique(self) -> "StateSpec":
        for number, tensors in enumerate(self.stages, start=1):
            names = [IMAGES, LOGITS, *(tensor.name for tensor in tensors)]
            repeated = [name for name, times in Counter(names).items() if times > 1]
            if repeated:
                raise ValueError(f"stage {number} has several tensors named {repeated[0]}")
        return self

    @property
    def shapes(self) -> tuple[tuple[tuple[int, ...], ...], ...]:
        """Shapes of the tensors that each stage hands on, without the batch."""
        return tuple(tuple(tensor.shape for tensor in stage) for stage in self.stages)

    def inputs(self, number: int) -> tuple[str, ...]:
        """Return the names of what stage `number` (1 to M) takes."""
        if number == 1:
            return (IMAGES,)
        return tuple(tensor.name for tensor in self.stages[number - 2])

    def outputs(self, number: int) -> tuple[str, ...]:
        """Return the names of what stage `number` (1 to M) gives, the logits last."""
        return (*(tensor.name for tensor in self.stages[number - 1]), LOGITS)


def derived_names(dimensions: Sequence[int]) -> tuple[str, ...]:
    """Return names for tensors with so many dimensions, the batch apart.

    They are `vector`, `tokens`, `map` or `tensor`, numbered from 1 where one repeats.
    """
    kinds = [{1: "vector", 2: "tokens", 3: "map"}.get(count, "tensor") for count in dimensions]
    total, seen = Counter(kinds), Counter[str]()
    names = []
    for kind in kinds:
        seen[kind] += 1
        names.append(kind if total[kind] == 1 else f"{kind}{seen[kind]}")
    return tuple(names)


def state_of_shapes(shapes: Sequence[Sequence[Sequence[int]]]) -> StateSpec:
    """Return the state of a document that holds shapes only; names are derived."""
    return StateSpec(
        stages=tuple(
            tuple(
                TensorSpec(name=name, shape=tuple(shape))
                for name, shape in zip(derived_names([len(s) for s in stage]), stage, strict=True)
            )
            for stage in shapes
        )
    )
