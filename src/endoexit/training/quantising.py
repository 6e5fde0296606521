"""Training for int8: the folder of a training that fine-tunes a finished run."""

import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from endoexit.artifacts.run import Run, open_run, write_config
from endoexit.artifacts.source import MANIFEST, WEIGHTS
from endoexit.data.manifest import Manifest, copy_manifest
from endoexit.errors import RunError, UsageError
from endoexit.files import make_folder
from endoexit.images.cache import cache_images
from endoexit.machine import describe_machine, library_versions
from endoexit.models.origin import Origin
from endoexit.models.quantised import quantised, structure_of
from endoexit.models.weights import save_weights
from endoexit.progress import Track, silent
from endoexit.training.recipe import Recipe, validate_recipe
from endoexit.training.start import check_free
from endoexit.training.strategies.distil import DistilSettings
from endoexit.training.teacher import open_teacher

EPOCHS, SLOWER = 3, 0.05
TEMPERATURE = 1.0
RANGE_IMAGES = 64
# What an exit reads is taken from inside a stage by these, past its quantisers.
_INSIDE_STAGES = {"collaboration", "equilibrium", "two-stage"}


@dataclass(frozen=True)
class QuantisingRequest:
    """A training for int8 that someone asks for.

    Attributes:
        source: Finished run that it starts from.
        changes: Changes of the recipe, such as "epochs=5".
        out: Run folder to make. None for `RUN-int8`.
        seed: Random seed of order and augmentation. None for the run's.
    """

    source: Path
    changes: tuple[str, ...] = ()
    out: Path | None = None
    seed: int | None = None

    @property
    def path(self) -> Path:
        """Folder of the run."""
        return self.out or self.source.with_name(f"{self.source.name}-int8")

    def settings(self, source: Run) -> Recipe:
        """Return the recipe: that of the run, for few epochs at a low rate.

        Each exit learns to answer as the run's own in f32 does, unless another strategy is asked
        for.

        Raises:
            UsageError: A setting that does not fit, or that int8 does not allow.
        """
        recipe = validate_recipe(source.config.recipe, str(source.path / "config.json"))
        rates = recipe.optimizer
        trunk = None if rates.trunk_lr is None else rates.trunk_lr * SLOWER
        slow = rates.replaced(
            lr=rates.lr * SLOWER,
            trunk_lr=trunk,
            warmup_epochs=0.0,
            weight_decay=0.0,
            freeze_norm=True,
        )
        strategy = recipe.strategy
        settings = {change.partition("=")[0].strip() for change in self.changes}
        if not settings & {"strategy", "strategy.name"}:
            strategy = DistilSettings(
                teacher=str(self.source.resolve()),
                exit_by_exit=True,
                alpha=1.0,
                temperature=TEMPERATURE,
            )
        changed = recipe.replaced(
            epochs=EPOCHS,
            strategy=strategy,
            optimizer=slow,
            image=recipe.image.replaced(early_share=0.0),
            weight_average=0.0,
            patience=None,
            precision="32-true",
        ).changed(self.changes)
        if changed.precision != "32-true":
            raise UsageError(
                f"a training for int8 rounds f32, not {changed.precision}: leave precision out."
            )
        hints = isinstance(changed.strategy, DistilSettings) and changed.strategy.hints > 0
        if changed.strategy.name in _INSIDE_STAGES or hints:
            what = "strategy.hints" if hints else f"the strategy {changed.strategy.name}"
            raise UsageError(
                f"{what} looks into stages, which int8 does not allow: take another strategy, such "
                "as --set strategy.name=joint."
            )
        if changed.model.get("collaborate"):
            raise UsageError(
                f"the exits of {source.path} read each other's answers (model.collaborate), which "
                "a training for int8 cannot follow: export it to int8 as it is."
            )
        return changed

    def start(self, accelerator: str = "auto", track: Track = silent) -> Run:
        """Make the folder of the run, with the weights and ranges that its training begins with.

        Raises:
            RunError: The run is not finished, a cascade, or trained for int8 already.
            UsageError: A setting does not fit, the folder exists, or NNCF is not installed.
            DataError: Its images cannot be read.
        """
        del accelerator  # the precision is f32 everywhere
        source = _finished(self.source)
        recipe = self.settings(source)
        check_free(self.path)
        manifest = source.known_manifest()
        teacher = open_teacher(recipe, manifest, track)
        with track("finding ranges", 1) as bar:
            model = quantised(source.load_model(), _images(source, manifest))
            bar.advance()
        machine = describe_machine()
        make_folder(self.path)
        copied = copy_manifest(manifest, self.path / MANIFEST)
        save_weights(model, self.path / WEIGHTS)
        config = source.config.replaced(
            recipe=recipe.model_dump(mode="json"),
            teacher=teacher and teacher.facts((1, teacher.config.network.num_exits)),
            seed=source.config.seed if self.seed is None else self.seed,
            manifest_sha256=copied.sha256,
            training_precision="32-true",
            quantisation=structure_of(model),
            starting_weights=Origin(
                source=str(source.weights_path),
                sha256=source.weights_sha256,
                read=len(source.create_model().state_dict()),
            ),
            command=shlex.join(["endoexit", *sys.argv[1:]]),
            versions=library_versions(),
            machine=machine,
        )
        write_config(self.path, config)
        return open_run(self.path)


def _finished(path: Path) -> Run:
    """Open the run that a training for int8 starts from."""
    run = open_run(path)
    if run.config.members:
        raise RunError(
            f"{path} is a cascade, which is not trained: train its members for int8, then put "
            "these together."
        )
    if run.config.quantisation:
        raise RunError(
            f"{path} was trained for int8 already: name the run that it started from, or more "
            "epochs (--set epochs=...)."
        )
    if not run.config.recipe:
        raise RunError(
            f"{path} was not trained here, so it has no recipe to continue with: train a run with "
            "--weights from it first."
        )
    if not run.is_complete:
        raise RunError(
            f"the training of {path} has not ended: continue it with `endoexit train --resume "
            f"{path}` first."
        )
    return run


def _images(run: Run, manifest: Manifest) -> list[Tensor]:
    """Return normalised images of the train role, (1, 3, S, S) each, that show the ranges."""
    preprocessing = run.config.preprocessing
    images = manifest.cohort("train").images
    chosen = np.random.default_rng(0).permutation(len(images))[:RANGE_IMAGES]
    cached = cache_images([images[row] for row in sorted(chosen)], preprocessing).images
    batches = torch.from_numpy(preprocessing.normalise(np.asarray(cached)))
    return [batches[row : row + 1] for row in range(len(batches))]
