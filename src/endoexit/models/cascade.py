"""Cascades: trained networks, small to large, as the stages of one classifier."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from endoexit.errors import UsageError, unknown_name
from endoexit.models.staged import NetworkSettings, SizeError, Stage, StagedClassifier, State

NAME = "cascade"  # in the catalog
Combine = Literal["last", "mean"]
Tile = tuple[int, int, int]
"""Row and column of the first pixel of a tile on the sheet, and its side."""


@dataclass(frozen=True)
class Member:
    """One network of a cascade.

    Attributes:
        network: Name in the catalog.
        tile: Tile of the sheet that it takes.
        settings: Settings that differ from the catalog's.
    """

    network: str
    tile: Tile
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "tile", tuple(self.tile))

    def document(self) -> dict[str, Any]:
        """Return the member as a document holds it."""
        return {"network": self.network, "tile": list(self.tile), "settings": dict(self.settings)}


@dataclass(frozen=True)
class CascadeConfig(NetworkSettings):
    """What a cascade is made of.

    Attributes:
        members: Members in order, the smallest first. Documents are taken as well.
        combine: Answer of exit k: `last` for its own, `mean` for the mean of the probabilities of
            exits 1 to k.
    """

    members: tuple[Member, ...] = ()
    combine: Combine = "last"

    def __post_init__(self) -> None:
        members = (
            member if isinstance(member, Member) else Member(**member) for member in self.members
        )
        object.__setattr__(self, "members", tuple(members))
        if self.combine not in get_args(Combine):
            raise unknown_name("combine", str(self.combine), get_args(Combine))

    def document(self) -> dict[str, Any]:
        """Return the settings as a document holds them."""
        members = [member.document() for member in self.members]
        return {"members": members, "combine": self.combine}

    def require_members(self) -> None:
        """Raise UsageError where there are none: a cascade is not trained, it is put together."""
        if not self.members:
            raise UsageError(
                "a cascade is made of trained runs: train its members, then put them together "
                "with: endoexit cascade RUN RUN --out DIR"
            )


def of_name(name: str) -> CascadeConfig | None:
    """Return the settings of a cascade; None for other names."""
    return CascadeConfig() if name == NAME else None


def meant_for(config: CascadeConfig) -> int:
    """Return the side in pixels of the largest image that a member takes."""
    config.require_members()
    return max(member.tile[2] for member in config.members)


class Cut(nn.Module):
    """Cuts tiles out of sheets.

    Args:
        tiles: The tiles.
    """

    def __init__(self, tiles: Sequence[Tile]) -> None:
        super().__init__()
        self.tiles = tuple(tiles)

    def forward(self, state: State) -> State:
        """Return the tiles, each (B, 3, s, s), of sheets `(sheets,)`, each (B, 3, S, S)."""
        (sheets,) = state
        return tuple(self._cut(sheets, *tile) for tile in self.tiles)

    @staticmethod
    def _cut(sheets: Tensor, row: int, column: int, side: int) -> Tensor:
        tile = sheets[:, :, row : row + side, column : column + side]
        # In the layout in which a member alone gets its images, so that it computes the same.
        return tile.contiguous(memory_format=torch.channels_last)


class CascadeStage(Stage):
    """One stage of a member.

    The state is that of the member behind what the cascade carries along: the tiles that later
    members take and, for the mean, the sum of the probabilities so far as a logarithm.

    Args:
        member: Stage of the member.
        cut: What makes the tiles of the sheet, for stage 1 alone.
        tile: Index of the member's tile among those that arrive, for its first stage alone.
        kept: Indices of the tiles that are handed on, among those that arrive.
        last: Whether it is the last stage of its member: no state of the member is handed on.
        exits: Number of exits up to this one for the mean; None to answer alone.
    """

    def __init__(
        self,
        member: Stage,
        *,
        cut: Cut | None,
        tile: int | None,
        arriving: int,
        kept: Sequence[int],
        last: bool,
        exits: int | None,
    ) -> None:
        super().__init__((), nn.Identity())
        self.member, self.cut, self.tile, self.last, self.exits = member, cut, tile, last, exits
        self.arriving, self.kept = arriving, tuple(kept)

    def forward(self, state: State) -> tuple[State, Tensor]:
        """Return this stage's state and the logits of its exit."""
        carried, inner = self._enter(state)
        after, logits = self.member(inner)
        return self._leave(carried, after, logits)

    def opened(self, state: State) -> tuple[State, nn.Module, State]:
        """Run; return the state after the stage, the exit's head and what that reads."""
        carried, inner = self._enter(state)
        after, head, seen = self.member.opened(inner)
        return self._leave(carried, after, head(seen))[0], head, seen

    def _enter(self, state: State) -> tuple[State, State]:
        """Return what is carried along, and the state of the member."""
        if self.cut is not None:
            state = self.cut(state)
        tiles, rest = state[: self.arriving], state[self.arriving :]
        kept = tuple(tiles[index] for index in self.kept)
        summed = () if self.exits in (None, 1) else rest[:1]
        inner = rest[len(summed) :] if self.tile is None else (tiles[self.tile],)
        return (*kept, *summed), inner

    def _leave(self, carried: State, after: State, logits: Tensor) -> tuple[State, Tensor]:
        if self.exits is not None:
            total = logits.log_softmax(dim=1)
            if self.exits > 1:
                *tiles, before = carried
                carried, total = tuple(tiles), _log_of_sum(before, total)
            carried = (*carried, total)
            logits = total - math.log(self.exits)
        return (carried if self.last else (*carried, *after)), logits


def _log_of_sum(a: Tensor, b: Tensor) -> Tensor:
    """Return log(exp(a) + exp(b)), by operations that every backend has."""
    larger = torch.maximum(a, b)
    return larger + ((a - larger).exp() + (b - larger).exp()).log()


class Cascade(StagedClassifier):
    """Networks one after another; each begins where the one before ends without an answer.

    Its images are sheets, of which each member takes a tile: the same image at its own size.
    Exit k is the k-th of all exits of the members in order.

    Args:
        members: Networks in order.
        tiles: Tile of the sheet that each takes; members may share one.
        side: Side of the sheets in pixels.
        combine: Answer of an exit, see `CascadeConfig`. For the mean, logits are logarithms of
            mean probabilities.

    Raises:
        SizeError: A tile is of a size that its member cannot take, or not on the sheet.
    """

    def __init__(
        self,
        members: Sequence[StagedClassifier],
        tiles: Sequence[Tile],
        side: int,
        combine: Combine = "last",
    ) -> None:
        for member, (row, column, size) in zip(members, tiles, strict=True):
            member.check_size(size, size)
            if max(row, column) + size > side:
                raise SizeError(f"a tile of {size} pixels is not on a sheet of {side}: correct it.")
        super().__init__(_stages(members, tiles, combine), members[0].num_classes, side)

    def check_size(self, height: int, width: int) -> None:
        """Raise SizeError if sheets are of another size than the cascade was made for."""
        side = self.size_multiple
        if (height, width) != (side, side):
            raise SizeError(
                f"images of {height}×{width} pixels do not fit this cascade: it takes sheets of "
                f"{side}×{side}, with the image at the size of each member. Use its preprocessing."
            )

    def whole(self) -> StagedClassifier:
        """Return the last member in one stage, without the heads of its early exits."""
        stages: list[CascadeStage] = list(self.stages)  # type: ignore[arg-type]
        first = max(number for number, stage in enumerate(stages) if stage.tile is not None)
        tiles = stages[0].cut.tiles  # type: ignore[union-attr]
        parts = [part for stage in stages[first:] for part in stage.member.trunk]
        head = stages[-1].member.head
        cut = Cut(tiles[-1:])  # tiles are in the order of their last use
        return StagedClassifier([Stage([cut, *parts], head)], self.num_classes, self.size_multiple)


def _stages(
    members: Sequence[StagedClassifier], tiles: Sequence[Tile], combine: Combine
) -> Iterable[CascadeStage]:
    last_use = {tile: number for number, tile in enumerate(tiles)}
    arriving = sorted(last_use, key=lambda tile: last_use[tile])
    cut: Cut | None = Cut(arriving)
    exits = 0
    for number, (member, tile) in enumerate(zip(members, tiles, strict=True)):
        for place, stage in enumerate(member.stages, start=1):
            exits += 1
            kept = [index for index, each in enumerate(arriving) if last_use[each] > number]
            yield CascadeStage(
                stage,  # type: ignore[arg-type]
                cut=cut,
                tile=arriving.index(tile) if place == 1 else None,
                arriving=len(arriving),
                kept=kept,
                last=place == member.num_stages,
                exits=exits if combine == "mean" else None,
            )
            arriving, cut = [arriving[index] for index in kept], None
