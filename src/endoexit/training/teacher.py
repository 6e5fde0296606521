"""The teacher of a training: another run, which answers for the same images."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from endoexit.artifacts.lineage import learnt_from
from endoexit.artifacts.run import Run, open_run
from endoexit.data.manifest import Manifest
from endoexit.data.unseen import check_unseen
from endoexit.errors import RunError, UsageError
from endoexit.images.preprocessing import Preprocessing
from endoexit.models import StagedClassifier
from endoexit.progress import Track, silent
from endoexit.training.recipe import Recipe
from endoexit.training.strategies.distil import DistilSettings
from endoexit.training.strategies.hints import seen_by_exits


class Teacher:
    """A trained network that answers and never changes.

    It is no module, so that it is neither trained, averaged nor kept in checkpoints.

    Args:
        model: Network.
        preprocessing: Its own preprocessing.
    """

    def __init__(self, model: StagedClassifier, preprocessing: Preprocessing) -> None:
        self.model = model.eval().requires_grad_(False)
        self.preprocessing = preprocessing
        self._mean = torch.tensor(preprocessing.mean).view(1, 3, 1, 1)
        self._std = torch.tensor(preprocessing.std).view(1, 3, 1, 1)

    def __deepcopy__(self, memo: dict[int, Any]) -> "Teacher":
        """Return itself: averages of weights copy all that a training holds."""
        return self

    @property
    def size(self) -> int:
        """Side of the images that it takes, pixels."""
        return self.preprocessing.size

    @torch.no_grad()
    def answers(self, images: Tensor) -> Tensor:
        """Return the logits of its exits, (exits, B, classes).

        Args:
            images: Images in [0, 1], (B, 3, size, size).
        """
        return torch.stack(self.model(self._normalised(images)))

    @torch.no_grad()
    def maps(self, images: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Return the logits of its exits, (exits, B, classes), and the map that each exit reads.

        Args:
            images: Images in [0, 1], (B, 3, size, size).
        """
        logits, maps = seen_by_exits(self.model, self._normalised(images))
        return torch.stack(logits), tuple(maps)

    def _normalised(self, images: Tensor) -> Tensor:
        if self._mean.device != images.device:
            self.model.to(images.device)
            self._mean, self._std = self._mean.to(images.device), self._std.to(images.device)
        images = (images - self._mean) / self._std
        return images.contiguous(memory_format=torch.channels_last)


def teacher_path(recipe: Recipe) -> Path | None:
    """Return the folder of the teacher that a recipe names; None for strategies without one."""
    strategy = recipe.strategy
    return Path(strategy.teacher) if isinstance(strategy, DistilSettings) else None


def with_whole_path(recipe: Recipe) -> Recipe:
    """Return the recipe with a teacher that is found from any folder."""
    path = teacher_path(recipe)
    if path is None:
        return recipe
    whole = recipe.strategy.replaced(teacher=str(path.resolve()))
    return recipe.replaced(strategy=whole)


def open_teacher(recipe: Recipe, manifest: Manifest, track: Track = silent) -> Run | None:
    """Return the run that is to teach a training; None for strategies without a teacher.

    Args:
        recipe: Recipe of the training.
        manifest: Manifest of the training.
        track: Display of progress.

    Raises:
        UsageError: It knows other classes, or is a cascade.
        RunError: There is no such run, its training has not ended, or its manifest is gone.
        DataError: It, or a run that it was made from, learnt from images that this training keeps
            unseen.
    """
    path = teacher_path(recipe)
    if path is None:
        return None
    run = open_run(path)
    if run.config.members:
        names = ", ".join(member.name for member in run.config.members)
        raise UsageError(
            f"{path} is a cascade, whose members take images of several sizes: name one of them "
            f"as the teacher ({names})."
        )
    if not run.is_complete:
        raise RunError(
            f"the training of {path} has not ended: continue it with `endoexit train --resume "
            f"{path}`, then let it teach."
        )
    if run.classes != manifest.classes:
        raise UsageError(
            f"a teacher must know the same classes in the same order, but {path} knows "
            f"{', '.join(run.classes)} and {manifest.path} has {', '.join(manifest.classes)}: "
            "train the teacher with this manifest."
        )
    run.known_manifest()  # of the runs behind it, those are checked that are still there
    check_unseen(
        learnt_from(run),
        manifest,
        str(manifest.path),
        why="figures are of images that the teacher has not passed on",
        track=track,
    )
    return run


def load_teacher(recipe: Recipe, run: Run) -> Teacher | None:
    """Return the teacher of a run that is being trained; None for strategies without one.

    Raises:
        RunError: It is gone, or has other weights than when the training began.
    """
    path, facts = teacher_path(recipe), run.config.teacher
    if path is None or facts is None:
        return None
    teacher = open_run(path)
    if teacher.weights_sha256 != facts.weights_sha256:
        raise RunError(
            f"the weights of the teacher {path} are not those that {run.path} began with: restore "
            "them, or begin a new training."
        )
    return Teacher(teacher.load_model(), teacher.config.preprocessing)
