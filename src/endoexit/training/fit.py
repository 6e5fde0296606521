"""Training a run: from its start or its last checkpoint to its weights and model card."""

import contextlib
import logging
import threading
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import lightning.pytorch as lightning
import torch
from filelock import FileLock, Timeout
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import (
    EarlyStopping,
    EMAWeightAveraging,
    ModelCheckpoint,
    RichProgressBar,
)
from lightning.pytorch.loggers import TensorBoardLogger
from torch.utils.data import DataLoader

from endoexit.artifacts.model_card import write_training_card
from endoexit.artifacts.run import Run, open_run
from endoexit.artifacts.source import CARD, METRICS, WEIGHTS
from endoexit.data.manifest import Cohort, Manifest
from endoexit.errors import EndoexitError, RunError, UsageError, WriteError
from endoexit.files import is_full
from endoexit.images.cache import CachedImages, cache_images
from endoexit.images.preprocessing import Preprocessing
from endoexit.training.callbacks import KeepRun
from endoexit.training.checkpoint import SafetensorsCheckpointIO
from endoexit.training.loading import Batch, CachedDataset, make_loader
from endoexit.training.module import ExitTraining
from endoexit.training.processes import (
    is_helper_process,
    local_rank,
    one_machine,
    threads_of_each,
)
from endoexit.training.recipe import Recipe, validate_recipe
from endoexit.training.start import initial_model
from endoexit.training.teacher import Teacher, load_teacher

Advance = Callable[[int], None]
LAST = Path("checkpoints") / "last.safetensors"


@dataclass(frozen=True)
class Machine:
    """Where a training runs.

    Attributes:
        accelerator: "auto", "cpu" or "gpu".
        devices: GPUs, or processes on a CPU.
        parallel: Strategy of Lightning by which several devices share a training; "auto" takes
            ddp for more than one device.
        threads: CPU threads of each process; None for `OMP_NUM_THREADS`, or the usable cores.
        progress_bar: Whether to show one (on a terminal).
        cache: Folder of decoded images; None for the user's cache.
    """

    accelerator: str = "auto"
    devices: int = 1
    parallel: str = "auto"
    threads: int | None = None
    progress_bar: bool = False
    cache: Path | None = None


def fit(run: Run, machine: Machine, *, advance: Advance = lambda _: None) -> Run:
    """Train a run from its start, or from its last complete checkpoint.

    Args:
        run: Run that `create_run` made.
        machine: Machine that it runs on.
        advance: Function that is called with numbers of images decoded into the cache.

    Returns:
        The run, with its weights.

    Raises:
        TrainingError: The loss is not finite any more.
        UsageError: The machine has no such devices, or there is no such way to share.
        RunError: Another process trains this run.
        WriteError: A file cannot be written (disk full); resume when there is space.
    """
    threads = threads_of_each(machine.threads, machine.devices)
    with _alone(run), one_machine(threads), _telling_a_full_disk(run):
        return _fit(run, machine, advance)


def _fit(run: Run, machine: Machine, advance: Advance) -> Run:
    recipe = validate_recipe(run.config.recipe, str(run.path / "config.json"))
    manifest = run.manifest()
    last = run.path / LAST
    torch.manual_seed(run.config.seed)
    model = run.create_model() if last.is_file() else initial_model(run)
    teacher = load_teacher(recipe, run)
    module = ExitTraining(model, recipe, run.config.preprocessing, run.config.seed, teacher)
    averaging = EMAWeightAveraging(decay=recipe.weight_average) if recipe.weight_average else None
    keep = KeepRun(run.path, has_val=manifest.has("val"), averaging=averaging)
    trainer = _make_trainer(run, recipe, machine, keep, rests=module.loss.rests)
    cache = partial(cache_images, directory=machine.cache, advance=advance)
    loaders = _make_loaders(run, manifest, recipe, cache, world=trainer.world_size, teacher=teacher)
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


@contextlib.contextmanager
def _alone(run: Run) -> Iterator[None]:
    """Train a run in one process at a time, and remove what a killed one left half-written.

    The processes for further devices belong to the one that holds the lock.
    """
    if is_helper_process():
        yield
        return
    lock = FileLock(run.path / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise RunError(
            f"{run.path} is being trained by another process: wait for its end, or stop it first."
        ) from None
    except OSError as error:
        raise EndoexitError(
            f"cannot write {run.path}: {error.strerror or error}. Change its permissions, or copy "
            "the run to another folder."
        ) from error
    try:
        for name in (WEIGHTS, METRICS, CARD, LAST):
            file = run.path / name
            for left in file.parent.glob(f".{file.name}.*.part"):
                left.unlink(missing_ok=True)
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def _telling_a_full_disk(run: Run) -> Iterator[None]:
    """Say where there is no space, also for files that a thread of TensorBoard writes."""
    hook = threading.excepthook

    def quiet(arguments: threading.ExceptHookArgs) -> None:
        error = arguments.exc_value
        if not (isinstance(error, OSError) and is_full(error)):  # it is raised in this thread too
            hook(arguments)

    threading.excepthook = quiet
    try:
        yield
    except OSError as error:
        if not is_full(error):
            raise
        raise WriteError(
            f"cannot write {run.path}: {error.strerror}. Free space and continue this run."
        ) from error
    finally:
        threading.excepthook = hook


def _make_trainer(
    run: Run, recipe: Recipe, machine: Machine, keep: KeepRun, *, rests: bool
) -> lightning.Trainer:
    callbacks: list[Any] = [keep]
    if keep.averaging is not None:
        callbacks.append(keep.averaging)
    if machine.progress_bar:  # on stderr: stdout is for the result
        callbacks.append(RichProgressBar(console_kwargs={"stderr": True}))
    if recipe.patience and keep.has_val:
        callbacks.append(EarlyStopping("val/score", mode="max", patience=recipe.patience))
    checkpoint = ModelCheckpoint(
        run.path / LAST.parent,
        filename=LAST.stem,
        enable_version_counter=False,
        save_on_train_epoch_end=True,
    )
    checkpoint.FILE_EXTENSION = LAST.suffix
    parallel = machine.parallel
    if parallel == "auto" and machine.devices > 1:
        parallel = "ddp"
    if parallel == "ddp" and rests:
        parallel = "ddp_find_unused_parameters_true"
    try:
        with _quiet():
            return lightning.Trainer(
                accelerator=machine.accelerator,
                devices=machine.devices,
                strategy=parallel,
                precision=run.config.training_precision,  # type: ignore[arg-type]
                max_epochs=recipe.epochs,
                gradient_clip_val=recipe.optimizer.gradient_clip,
                callbacks=[*callbacks, checkpoint],
                plugins=[SafetensorsCheckpointIO(), LightningEnvironment()],
                logger=TensorBoardLogger(run.path, name="tensorboard", version=""),
                log_every_n_steps=10,
                enable_progress_bar=machine.progress_bar,
                enable_model_summary=False,
                num_sanity_val_steps=0,
                use_distributed_sampler=False,
                sync_batchnorm=machine.devices > 1
                and machine.accelerator != "cpu"
                and torch.cuda.is_available(),
            )
    except (MisconfigurationException, ValueError) as error:
        raise UsageError(
            f"--accelerator {machine.accelerator} --devices {machine.devices} --parallel "
            f"{machine.parallel} cannot be used here: {error} Choose others, and continue with: "
            f"endoexit train --resume {run.path}"
        ) from error


def _make_loaders(
    run: Run,
    manifest: Manifest,
    recipe: Recipe,
    cache: Callable[..., CachedImages],
    *,
    world: int,
    teacher: Teacher | None,
) -> tuple[DataLoader[Batch], DataLoader[Batch] | None]:
    evaluation = run.config.preprocessing
    canvas = evaluation.canvas(recipe.image.canvas)

    def load(cohort: Cohort, *, training: bool) -> DataLoader[Batch]:
        def cached(preprocessing: Preprocessing) -> CachedImages:
            return cache(cohort.images, preprocessing, mention=cohort.mention)

        wide = None
        if training and teacher is not None:
            wide = cached(teacher.preprocessing.canvas(_canvas_of(teacher, recipe)))
        return make_loader(
            CachedDataset(cached(canvas if training else evaluation), cohort.labels, wide),
            recipe.batch_size,
            shuffle=training,
            seed=run.config.seed,
            rank=local_rank(),
            processes=world,
        )

    train = load(manifest.cohort("train"), training=True)
    val = load(manifest.cohort("val"), training=False) if manifest.has("val") else None
    return train, val


def _canvas_of(teacher: Teacher, recipe: Recipe) -> int:
    """Return the side of the teacher's canvas: as much larger than its images as the network's."""
    return max(teacher.size, round(teacher.size * recipe.image.canvas / recipe.image.size))


def images_to_decode(run: Run) -> int:
    """Return the number of images that `fit` decodes, those of a teacher included."""
    counts = {role: sum(each.values()) for role, each in run.manifest().counts().items()}
    times = 1 if run.config.teacher is None else 2
    return times * counts["train"] + counts.get("val", 0)


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
        RunError: It has ended already, or is no run folder.
    """
    run = open_run(path)
    if run.config.members:
        names = ", ".join(member.name for member in run.config.members)
        raise RunError(
            f"{path} is a cascade, which is put together and not trained: train its members "
            f"({names}), then make it again with `endoexit cascade`."
        )
    if run.is_complete:
        raise RunError(f"{path} is complete: its training has ended. Evaluate it with: "
                       f"endoexit evaluate {path}")  # fmt: skip
    return run
