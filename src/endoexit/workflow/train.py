"""`endoexit.train`, `train_for_int8` and `resume`: a manifest and a recipe to a run."""

from collections.abc import Sequence
from pathlib import Path

from endoexit.artifacts.run import Run
from endoexit.files import optional_path
from endoexit.training.asked import TrainingRequest
from endoexit.training.fit import Machine, fit
from endoexit.training.fit import resume as open_interrupted


def train(
    manifest: str | Path,
    *,
    model: str | None = None,
    weights: str | None = None,
    exits: str | None = None,
    head: str | None = None,
    recipe: str | Path | None = None,
    strategy: str | None = None,
    teacher: str | Path | None = None,
    changes: Sequence[str] = (),
    out: str | Path | None = None,
    root: str | Path | None = None,
    seed: int = 0,
    accelerator: str = "auto",
    threads: int | None = None,
    cache: str | Path | None = None,
) -> Run:
    """Train all exits of a network together, in this process.

    On several devices, use the command: it starts the further processes itself.

    Args:
        manifest: Manifest of `endoexit.split`.
        model: Network: a name of `endoexit models`, "timm:NAME", or "path/to/file.py:function". By
            default ee_hifuse_nano.
        weights: Starting weights: "pip:lite0", "pip:lite1", "pip:lite2", a file (.safetensors,
            .pth), or "timm", which fetches those of "timm:NAME". By default fresh ones.
        exits: Layers with an exit behind them: "auto", numbers of groups such as "3,5,6", names,
            or "none"; not for networks with fixed ones, such as HiFuse. By default "auto".
        head: Exit head, such as "conv", or one for each exit, such as "rdi,conv,conv"; not for
            HiFuse. By default "rdi" at the first exit and "conv" at the others.
        recipe: Recipe that comes with the package, or a YAML file. By default "small-data", with
            weights "fine-tune".
        strategy: Training strategy, such as "joint" or "self-distil", with its default settings.
            By default the strategy of the recipe.
        teacher: Folder of a trained run that teaches every exit of this one: the strategy
            "distil". By default the strategy of the recipe.
        changes: Changes of settings of the recipe, such as "epochs=5": the option `--set`.
        out: Run folder to make. By default `runs/<model>-<recipe>-seed<seed>`.
        root: Folder that the manifest's paths are relative to. By default the one that it names.
        seed: Random seed for initialisation, order and augmentation.
        accelerator: "auto", "cpu" or "gpu".
        threads: Number of CPU threads. By default `OMP_NUM_THREADS`, else the usable cores.
        cache: Folder of decoded images. By default the user's cache.

    Returns:
        The run, with its weights.

    Raises:
        UsageError: There is no such network, recipe or setting, or the folder exists already.
        DataError: The manifest or its images cannot be read, or the teacher learnt from images that
            are kept unseen here.
        RunError: There is no such teacher, or its training has not ended.
        ModelError: The starting weights do not fit.
        TrainingError: The loss is not finite any more.
        WriteError: A file cannot be written (disk full). `endoexit.resume` continues.
    """
    request = TrainingRequest(
        manifest=Path(manifest),
        model=model,
        weights=weights,
        exits=exits,
        head=head,
        recipe=None if recipe is None else str(recipe),
        strategy=strategy,
        teacher=optional_path(teacher),
        changes=tuple(changes),
        out=optional_path(out),
        root=optional_path(root),
        seed=seed,
    )
    return fit(request.start(accelerator), _machine(accelerator, threads, cache))


def train_for_int8(
    run: str | Path,
    *,
    changes: Sequence[str] = (),
    out: str | Path | None = None,
    seed: int | None = None,
    accelerator: str = "auto",
    threads: int | None = None,
    cache: str | Path | None = None,
) -> Run:
    """Fine-tune a finished run so that it bears the rounding of int8: `train --quantise int8`.

    Network, images and recipe are those of the run, for few epochs at a low rate.

    Args:
        run: Run folder of the finished training.
        changes: Changes of settings of the recipe, such as "epochs=5": the option `--set`.
        out: Run folder to make. By default that of the run with "-int8" at its end.
        seed: Random seed of order and augmentation. By default that of the run.
        accelerator: "auto", "cpu" or "gpu".
        threads: Number of CPU threads. By default `OMP_NUM_THREADS`, else the usable cores.
        cache: Folder of decoded images. By default the user's cache.

    Returns:
        The new run, to be exported to OpenVINO with the precision int8.

    Raises:
        UsageError: A setting does not fit, the folder exists, or NNCF is not installed.
        RunError: The run is not finished, a cascade, or trained for int8 already.
        DataError: The images cannot be read.
        TrainingError: The loss is not finite any more.
        WriteError: A file cannot be written (disk full). `endoexit.resume` continues.
    """
    from endoexit.training.quantising import QuantisingRequest  # noqa: PLC0415  (NNCF is slow)

    request = QuantisingRequest(Path(run), tuple(changes), optional_path(out), seed)
    return fit(request.start(accelerator), _machine(accelerator, threads, cache))


def resume(
    run: str | Path,
    *,
    accelerator: str = "auto",
    threads: int | None = None,
    cache: str | Path | None = None,
) -> Run:
    """Continue an interrupted training from its last complete epoch.

    Args:
        run: Run folder of the training. Its settings stay as they are.
        accelerator: "auto", "cpu" or "gpu".
        threads: Number of CPU threads. By default `OMP_NUM_THREADS`, else the usable cores.
        cache: Folder of decoded images. By default the user's cache.

    Returns:
        The run, with its weights.

    Raises:
        RunError: It is no run, or another process trains it.
        DataError: The images cannot be read.
        TrainingError: The loss is not finite any more.
        WriteError: A file cannot be written (disk full).
    """
    return fit(open_interrupted(Path(run)), _machine(accelerator, threads, cache))


def _machine(accelerator: str, threads: int | None, cache: str | Path | None) -> Machine:
    return Machine(accelerator=accelerator, threads=threads, cache=optional_path(cache))
