"""The folder of a training that is about to start."""

import shlex
import sys
from pathlib import Path

import torch

from endoexit.artifacts.lineage import learnt_from, run_of_weights
from endoexit.artifacts.run import Run, RunConfig, open_run, write_config
from endoexit.artifacts.source import CONFIG, MANIFEST
from endoexit.data.manifest import Manifest, copy_manifest, read_manifest, sidecar_path
from endoexit.data.unseen import check_unseen
from endoexit.errors import UsageError, unknown_name
from endoexit.files import make_folder
from endoexit.machine import describe_machine, library_versions
from endoexit.models import NetworkSpec, StagedClassifier, user_networks
from endoexit.models.catalog import FAMILIES, family_of
from endoexit.models.starting import check_origin, read_start, start_from
from endoexit.progress import Track, silent
from endoexit.training.module import ExitTraining
from endoexit.training.recipe import Recipe
from endoexit.training.teacher import open_teacher, with_whole_path


def create_run(
    path: Path,
    manifest_path: Path,
    model: str,
    recipe: Recipe,
    *,
    seed: int,
    root: Path | None,
    weights: str | None = None,
    accelerator: str = "auto",
    track: Track = silent,
) -> Run:
    """Make the folder of a training that is about to start.

    Args:
        path: Path of the folder; it must not exist, or be empty.
        manifest_path: File of the manifest.
        model: Name in the catalog; naming a file with a network lets its code run.
        recipe: Recipe of the training.
        seed: Random seed of initialisation, order and augmentation.
        root: Folder that the paths of the manifest are relative to; None for that of its sidecar.
        weights: Starting weights, such as `pip:lite0` or a file; None for fresh ones.
        accelerator: "auto", "cpu" or "gpu", for the precision "auto".
        track: Display of progress.

    Raises:
        ModelError: The starting weights are damaged or of another network.
        UsageError: Unknown model or setting, a teacher of other classes, or the folder exists.
        DataError: The manifest cannot be used for training, or the teacher or the starting weights
            learnt from images that are kept unseen here.
        RunError: There is no such teacher, or its training has not ended.
        EndoexitError: The folder cannot be written.
    """
    manifest = read_manifest(manifest_path, root)
    _check_roles(manifest)
    if user_networks.is_one(model):
        user_networks.allow(model)
    create_model_cheaply(model, len(manifest.classes), recipe)
    spec = network_of(model, len(manifest.classes), recipe).settled()
    weights = _with_whole_path(weights)
    origin = None if weights is None else start_from(spec, read_start(weights, spec))[1]
    check_free(path)
    recipe = with_whole_path(recipe)
    _check_start(weights, manifest, track)
    teacher = open_teacher(recipe, manifest, track)
    machine = describe_machine()  # takes a second: before there is a folder
    make_folder(path)
    copied = copy_manifest(manifest, path / MANIFEST)
    config = RunConfig(
        model=spec.name,
        overrides=spec.settings,
        classes=manifest.classes,
        preprocessing=recipe.image.preprocessing(origin),
        starting_weights=origin,
        teacher=teacher and teacher.facts((1, teacher.config.network.num_exits)),
        recipe=recipe.model_dump(mode="json"),
        seed=seed,
        manifest_sha256=copied.sha256,
        training_precision=resolve_precision(recipe.precision, accelerator),
        command=shlex.join(["endoexit", *sys.argv[1:]]),
        versions=library_versions(),
        machine=machine,
    )
    write_config(path, config)
    return open_run(path)


def _with_whole_path(weights: str | None) -> str | None:
    """Return starting weights that are found from any folder."""
    if weights is None or not Path(weights).is_file():
        return weights
    return str(Path(weights).resolve())


def _check_start(weights: str | None, manifest: Manifest, track: Track) -> None:
    """Refuse the weights of a run that learnt from images which this training keeps unseen."""
    run = None if weights is None else run_of_weights(weights)
    if run is not None:
        why = "figures are of images that the starting weights have not learnt from"
        check_unseen(learnt_from(run), manifest, str(manifest.path), why=why, track=track)


def network_of(model: str, num_classes: int, recipe: Recipe) -> NetworkSpec:
    """Return the network that a recipe trains, with the settings of its family and its own.

    Raises:
        UsageError: No such network, or the recipe names a family that does not exist.
    """
    for family in recipe.families:
        if family not in FAMILIES:
            raise unknown_name("family in the recipe", family, FAMILIES)
    settings = recipe.families.get(family_of(model), {}) | recipe.model
    return NetworkSpec(model, num_classes, recipe.image.size, settings)


def create_model_cheaply(model: str, num_classes: int, recipe: Recipe) -> None:
    """Check that the network, the image size and the loss fit each other, without weights.

    Raises:
        UsageError: They do not.
    """
    network = network_of(model, num_classes, recipe).build_blank()
    for side in recipe.image.sides:
        network.check_size(side, side)
    ExitTraining(network, recipe, recipe.image.preprocessing(), 0)


def initial_model(run: Run) -> StagedClassifier:
    """Return the network of a run that has not been trained yet, with its starting weights.

    Raises:
        ModelError: The starting weights are not those that the run was made with.
    """
    if run.config.quantisation:  # the ranges that it begins with were written with the weights
        return run.load_model().train()
    origin = run.config.starting_weights
    if origin is None:
        return run.create_model()
    start = read_start(origin.source, run.config.network)
    check_origin(start.origin, origin)
    return start_from(run.config.network, start)[0]


def check_free(path: Path) -> None:
    """Refuse a folder that holds anything but what a start that was killed leaves behind."""
    if not path.exists():
        return
    if (path / CONFIG).is_file() and open_run(path).is_complete:
        raise UsageError(f"{path} has been trained already: choose another --out.")
    if (path / CONFIG).is_file():
        raise UsageError(
            f"{path} exists already: choose another --out, or continue an interrupted training: "
            f"endoexit train --resume {path}"
        )
    manifest = {MANIFEST, sidecar_path(Path(MANIFEST)).name}
    names = {entry.name for entry in path.iterdir()} if path.is_dir() else {path.name}
    if any(name not in manifest and not name.endswith(".part") for name in names):
        raise UsageError(f"{path} exists already and is not a run: choose another --out.")


def resolve_precision(wanted: str, accelerator: str = "auto") -> str:
    """Return Lightning's name of the precision; "auto" asks the processor or GPU.

    Raises:
        UsageError: 16-mixed, without a GPU.
    """
    if wanted == "16-mixed" and (accelerator == "cpu" or not torch.cuda.is_available()):
        raise UsageError(
            "the precision 16-mixed needs a GPU: take bf16-mixed or 32-true, or leave it out."
        )
    if wanted != "auto":
        return wanted
    if accelerator != "cpu" and torch.cuda.is_available():
        return "bf16-mixed" if torch.cuda.is_bf16_supported() else "16-mixed"
    fast = {"avx512_bf16", "amx_bf16"} & set(describe_machine()["instructions"])
    return "bf16-mixed" if fast else "32-true"


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
