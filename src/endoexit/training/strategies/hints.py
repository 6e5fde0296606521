"""Hints: maps of a network follow those of a teacher, by a regression that is not kept."""

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from endoexit.errors import UsageError
from endoexit.models.cost import measure_complexity
from endoexit.models.dry_run import blank_images, dry_run
from endoexit.models.exit_heads import AsMap
from endoexit.models.staged import Stage, StagedClassifier, State


class Hints(nn.Module):
    """½ mean (F_T − r(F))² at each exit: FitNets (Romero et al., ICLR 2015).

    F is the map that an exit reads, F_T that of the teacher's exit at the nearest share of all
    multiply-adds, and r a 1×1 convolution. The finer of two maps is averaged to the size of the
    coarser one.

    Args:
        model: Network that learns.
        size: Side of its images in pixels.
        teacher: Network that teaches.
        teacher_size: Side of its images in pixels.

    Attributes:
        exits: Number of the teacher's exit, from 0, that each exit follows.

    Raises:
        UsageError: The teacher has no early exits.
    """

    def __init__(
        self, model: StagedClassifier, size: int, teacher: StagedClassifier, teacher_size: int
    ) -> None:
        super().__init__()
        if teacher.num_stages == 1:
            raise UsageError(
                "hints need a teacher with early exits, whose maps the exits of this network "
                "follow: train a teacher with --exits, or leave out strategy.hints."
            )
        shares, known = (
            torch.tensor(measure_complexity(each, side).macs).double()
            for each, side in ((model, size), (teacher, teacher_size))
        )
        apart = (shares / shares[-1])[:, None] - known / known[-1]
        self.exits: list[int] = apart.abs().argmin(dim=1).tolist()
        self.ours, self.theirs = _layouts(model, size), _layouts(teacher, teacher_size)
        self.regressions = nn.ModuleList(
            nn.Conv2d(self.ours[k][1], self.theirs[j][1], 1) for k, j in enumerate(self.exits)
        )

    def forward(self, maps: list[Tensor], taught: tuple[Tensor, ...]) -> list[Tensor]:
        """Return the loss of each exit, a scalar.

        Args:
            maps: Map that each exit reads.
            taught: Map that each exit of the teacher reads.
        """
        losses = []
        for k, j in enumerate(self.exits):
            with torch.autocast(maps[k].device.type, enabled=False):
                layer = self.regressions[k]
                ours = layer(self.ours[k][0](maps[k]).to(layer.weight.dtype))
                theirs = self.theirs[j][0](taught[j]).detach().to(ours.dtype)
                side = tuple(map(min, ours.shape[2:], theirs.shape[2:]))
                ours, theirs = (functional.adaptive_avg_pool2d(x, side) for x in (ours, theirs))
                losses.append(functional.mse_loss(ours, theirs) / 2)
        return losses


def _layouts(model: StagedClassifier, size: int) -> list[tuple[AsMap, int]]:
    """Return for each exit what makes a map of what it reads, and the number of channels."""
    state, layouts = blank_images(size), []
    for stage in model.stages:
        state = dry_run(stage, state)
        shape = tuple(state[-1].shape[1:])
        as_map = AsMap(shape)
        layouts.append((as_map, as_map.channels(shape)))
    return layouts


def seen_by_exits(model: StagedClassifier, images: Tensor) -> tuple[list[Tensor], list[Tensor]]:
    """Return the logits of all exits, and the last tensor of what each reads."""
    state: State = (images,)
    logits, maps = [], []
    for stage in model.stages:
        state, head, seen = cast(Stage, stage).opened(state)
        logits.append(head(seen))
        maps.append(seen[-1])
    return logits, maps
