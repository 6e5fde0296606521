"""From a manifest and a recipe to a trained run folder."""

import contextlib
import logging
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning.pytorch as lightning
import torch
from lightning.pytorch.callbacks import EarlyStopping, EMAWeightAveraging, ModelCheckpoint
from lightning.pytorch.loggers import TensorBoardLogger
from torch.utils.data import DataLoader

from endoexit.data.cache import cache_images
from endoexit.data.manifest import (
    Cohort,
    Manifest,
    read_manifest,
    sidecar_path,
    write_manifest,
)
from endoexit.errors import DataError, RunError, UsageError
from endoexit.files import read_json
from endoexit.machine import describe_machine, library_versions
from endoexit.models import create_model, model_config
from endoexit.runs import MANIFEST, Run, RunConfig, open_run, write_config
from endoexit.training.callbacks import KeepRun
from endoexit.training.card import write_training_card
from endoexit.training.checkpoint import SafetensorsCheckpointIO
from endoexit.training.loading import Batch, CachedDataset, make_loader
from endoexit.training.module import ExitTraining
from endoexit.training.recipe import Recipe, validate_recipe

Advance = Callable[[int], None]
LAST = Path("checkpoints") / "last.safetensors"


@dataclass(frozen=True)
class Machine:
    """Where a training runs.

    Attributes:
        accelerator: "auto", "cpu" or "gpu".
        devices: GPUs, or processes on a CPU.
        strategy: Lightning's; "auto" takes ddp for more than one device.
        threads: of each process on a CPU; None for the library's choice.
        progress_bar: show one (on a terminal).
        cache: folder of decoded images; None for the user's cache.
    """

    accelerator: str = "auto"
    devices: int = 1
    strategy: str = "auto"
    threads: int | None = None
    progress_bar: bool = False
    cache: Path | None = None


def create_run(
    path: Path, manifest_path: Path, model: str, recipe: Recipe, *, seed: int, root: Path | None
) -> Run:
    """Make the folder of a training that is about to start.

    Raises:
        UsageError: unknown model or setting, or the folder exists.
        DataError: the manifest cannot be used for training.
    """
    manifest = read_manifest(manifest_path, root)
    _check_roles(manifest)
    create_model_cheaply(model, len(manifest.classes), recipe)
    if path.exists() and any(path.iterdir()):
        raise UsageError(
            f"{path} exists already: choose another --out, or go on with an interrupted training: "
            f"endoexit train --resume {path}"
        )
    path.mkdir(parents=True, exist_ok=True)
    copied = _copy_manifest(manifest, path / MANIFEST)
    config = RunConfig(
        model=model,
        overrides=recipe.model,
        classes=manifest.classes,
        preprocessing=recipe.image.preprocessing(),
        recipe=recipe.model_dump(mode="json"),
        seed=seed,
        manifest_sha256=copied.sha256,
        precision=resolve_precision(recipe.precision),
        command=" ".join(["endoexit", *sys.argv[1:]]),
        versions=library_versions(),
        machine=describe_machine(),
    )
    write_config(path, config)
    return open_run(path)


def create_model_cheaply(model: str, num_classes: int, recipe: Recipe) -> None:
    """Check that the network, the image size and the loss fit each other, without weights.

    Raises:
        UsageError: they do not.
    """
    model_config(model, **recipe.model)
    with torch.device("meta"):
        network = create_model(model, num_classes, **recipe.model)
    for size in (recipe.image.size, recipe.image.early_size):
        network.check_size(size, size)
    ExitTraining(network, recipe, recipe.image.preprocessing(), 0)


def resolve_precision(wanted: str) -> str:
    """Return Lightning's name of the precision; "auto" asks the processor or GPU."""
    if wanted != "auto":
        return wanted
    if torch.cuda.is_available():
        return "bf16-mixed" if torch.cuda.is_bf16_supported() else "16-mixed"
    fast = {"avx512_bf16", "amx_bf16"} & set(describe_machine()["instructions"])
    return "bf16-mixed" if fast else "32-true"


def fit(run: Run, machine: Machine, *, advance: Advance = lambda _: None) -> Run:
    """Train a run from its start, or from its last complete checkpoint.

    Args:
        run: made by `create_run`.
        machine: where it runs.
        advance: called with the number of images decoded into the cache.

    Returns:
        The run, with its weights.

    Raises:
        TrainingError: the loss is not finite any more.
        EndoexitError: a file cannot be written (disk full); resume when there is space.
    """
    recipe = validate_recipe(run.config.recipe, str(run.path / "config.json"))
    manifest = run.manifest()
    if machine.threads:
        torch.set_num_threads(machine.threads)
    torch.manual_seed(run.config.seed)
    module = ExitTraining(run.create_model(), recipe, run.config.preprocessing, run.config.seed)
    keep = KeepRun(run.path, has_val=manifest.has("val"))
    trainer = _make_trainer(run, recipe, machine, keep)
    loaders = _make_loaders(
        run, manifest, recipe, machine, world=trainer.world_size, advance=advance
    )
    last = run.path / LAST
    with _quiet():
        try:
            trainer.fit(module, *loaders, ckpt_path=last if last.is_file() else None)
        except SystemExit:
            if trainer.interrupted:
                raise KeyboardInterrupt from None
            raise
    if trainer.is_global_zero:
        write_training_card(run, manifest, keep.history, keep.best_epoch)
    return open_run(run.path)


def finished(run: Run) -> bool:
    """Return whether a run's training has ended (its model card is written last)."""
    return (run.path / "model_card.md").is_file()


def is_helper_process() -> bool:
    """Return whether this process was started by Lightning for a further device."""
    return int(os.environ.get("LOCAL_RANK", "0")) > 0


def _check_roles(manifest: Manifest) -> None:
    train = manifest.cohort("train")
    if len(manifest.classes) < 2:
        raise UsageError(
            f"{manifest.path} has one class only, {manifest.classes[0]!r}: a classifier needs at "
            "least two folders of images."
        )
    empty = [name for i, name in enumerate(manifest.classes) if not (train.labels == i).any()]
    if empty:
        raise UsageError(
            f"{manifest.path}: no training image of class {empty[0]!r}; give the train role a "
            "larger share, or leave the class out."
        )


def _copy_manifest(manifest: Manifest, target: Path) -> Manifest:
    sidecar = sidecar_path(manifest.path)
    facts = read_json(sidecar, DataError) if sidecar.is_file() else {}
    kept = {name: value for name, value in facts.items() if name not in {"root", "sha256"}}
    return write_manifest(target, manifest.rows, manifest.root, kept)


def _make_trainer(run: Run, recipe: Recipe, machine: Machine, keep: KeepRun) -> lightning.Trainer:
    callbacks: list[Any] = [keep]
    if recipe.weight_average:
        callbacks.append(EMAWeightAveraging(decay=recipe.weight_average))
    if recipe.patience and keep.has_val:
        callbacks.append(EarlyStopping("val/score", mode="max", patience=recipe.patience))
    checkpoint = ModelCheckpoint(
        run.path / LAST.parent,
        filename=LAST.stem,
        enable_version_counter=False,
        save_on_train_epoch_end=True,
    )
    checkpoint.FILE_EXTENSION = LAST.suffix
    strategy = machine.strategy
    if strategy == "auto" and machine.devices > 1:
        strategy = "ddp"
    with _quiet():
        return lightning.Trainer(
            accelerator=machine.accelerator,
            devices=machine.devices,
            strategy=strategy,
            precision=run.config.precision,  # type: ignore[arg-type]
            max_epochs=recipe.epochs,
            gradient_clip_val=recipe.optimizer.gradient_clip,
            callbacks=[*callbacks, checkpoint],
            plugins=[SafetensorsCheckpointIO()],
            logger=TensorBoardLogger(run.path, name="tensorboard", version=""),
            log_every_n_steps=10,
            enable_progress_bar=machine.progress_bar,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            use_distributed_sampler=False,
            sync_batchnorm=machine.devices > 1 and torch.cuda.is_available(),
        )


def _make_loaders(
    run: Run, manifest: Manifest, recipe: Recipe, machine: Machine, *, world: int, advance: Advance
) -> tuple[DataLoader[Batch], DataLoader[Batch] | None]:
    evaluation = run.config.preprocessing
    canvas = evaluation.canvas(recipe.image.canvas)
    rank = int(os.environ.get("LOCAL_RANK", "0"))

    def load(cohort: Cohort, *, training: bool) -> DataLoader[Batch]:
        preprocessing = canvas if training else evaluation
        cached = cache_images(cohort.paths, preprocessing, machine.cache, advance=advance)
        return make_loader(
            CachedDataset(cached, cohort.labels),
            recipe.batch_size,
            shuffle=training,
            seed=run.config.seed,
            rank=rank,
            processes=world,
        )

    train = load(manifest.cohort("train"), training=True)
    val = load(manifest.cohort("val"), training=False) if manifest.has("val") else None
    return train, val


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the framework's advice that does not apply here away from the user."""
    with warnings.catch_warnings():
        for text in (
            ".*does not have many workers.*",  # batches come from a memory map
            ".*Checkpoint directory .* exists.*",  # a resumed run
            ".*number of training batches.*smaller than the logging interval.*",
            ".*treespec, LeafSpec.*",
            ".*no `val_dataloader`.*",
            ".*defined a `validation_step` but have no.*",
            ".*it is recommended to use .*sync_dist.*",
        ):
            warnings.filterwarnings("ignore", message=text)
        for name in ("lightning.pytorch", "lightning.fabric", "pytorch_lightning"):
            logging.getLogger(name).setLevel(logging.ERROR)
        yield


def resume(path: Path) -> Run:
    """Open an interrupted training.

    Raises:
        RunError: it has ended already, or is no run folder.
    """
    run = open_run(path)
    if finished(run):
        raise RunError(f"{path} is complete: its training has ended. Evaluate it with: "
                       f"endoexit evaluate {path}")  # fmt: skip
    return run
