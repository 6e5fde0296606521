"""The folder of a training that is about to start."""

import shlex
import sys
from pathlib import Path

import torch

from endoexit.artifacts.run import CONFIG, MANIFEST, Run, RunConfig, open_run, write_config
from endoexit.data.manifest import Manifest, read_manifest, sidecar_path, write_manifest
from endoexit.errors import DataError, UsageError
from endoexit.files import make_folder, read_json
from endoexit.machine import describe_machine, library_versions
from endoexit.models import NetworkSpec
from endoexit.training.module import ExitTraining
from endoexit.training.recipe import Recipe


def create_run(
    path: Path,
    manifest_path: Path,
    model: str,
    recipe: Recipe,
    *,
    seed: int,
    root: Path | None,
    accelerator: str = "auto",
) -> Run:
    """Make the folder of a training that is about to start.

    Args:
        path: of the folder; it must not exist, or be empty.
        manifest_path: of the images.
        model: name in the catalog.
        recipe: how it is trained.
        seed: of initialisation, order and augmentation.
        root: what the manifest's paths are relative to; None for what it says itself.
        accelerator: "auto", "cpu" or "gpu", for the precision "auto".

    Raises:
        UsageError: unknown model or setting, or the folder exists.
        DataError: the manifest cannot be used for training.
        EndoexitError: the folder cannot be written.
    """
    manifest = read_manifest(manifest_path, root)
    _check_roles(manifest)
    create_model_cheaply(model, len(manifest.classes), recipe)
    _check_free(path)
    machine = describe_machine()  # takes a second: before there is a folder
    make_folder(path)
    copied = _copy_manifest(manifest, path / MANIFEST)
    config = RunConfig(
        model=model,
        overrides=recipe.model,
        classes=manifest.classes,
        preprocessing=recipe.image.preprocessing(),
        recipe=recipe.model_dump(mode="json"),
        seed=seed,
        manifest_sha256=copied.sha256,
        precision=resolve_precision(recipe.precision, accelerator),
        command=shlex.join(["endoexit", *sys.argv[1:]]),
        versions=library_versions(),
        machine=machine,
    )
    write_config(path, config)
    return open_run(path)


def create_model_cheaply(model: str, num_classes: int, recipe: Recipe) -> None:
    """Check that the network, the image size and the loss fit each other, without weights.

    Raises:
        UsageError: they do not.
    """
    network = NetworkSpec(model, num_classes, recipe.image.size, recipe.model).build_blank()
    network.check_size(recipe.image.early_size, recipe.image.early_size)
    ExitTraining(network, recipe, recipe.image.preprocessing(), 0)


def _check_free(path: Path) -> None:
    """Refuse a folder that holds anything but what a start that was killed leaves behind."""
    if not path.exists():
        return
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
    """Return Lightning's name of the precision; "auto" asks the processor or GPU."""
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


def _copy_manifest(manifest: Manifest, target: Path) -> Manifest:
    sidecar = sidecar_path(manifest.path)
    facts = read_json(sidecar, DataError) if sidecar.is_file() else {}
    known = facts if isinstance(facts, dict) else {}
    kept = {name: value for name, value in known.items() if name not in {"root", "sha256"}}
    return write_manifest(target, manifest.rows, manifest.root, kept)
