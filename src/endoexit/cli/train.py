"""`endoexit train`: a manifest and a recipe to a run folder."""

from pathlib import Path
from typing import Annotated

import typer

from endoexit.cli.console import JsonOption, Output, progress
from endoexit.errors import UsageError


def train(
    manifest: Annotated[
        Path | None, typer.Argument(help="Manifest of `endoexit split`.", show_default=False)
    ] = None,
    *,
    model: Annotated[str, typer.Option(help="Network; see `endoexit models`.")] = "ee_hifuse_nano",
    recipe: Annotated[
        str, typer.Option(help="Recipe that comes with the package, or a YAML file.")
    ] = "small-data",
    out: Annotated[
        Path | None,
        typer.Option(help="Run folder to make.  [default: runs/MODEL-RECIPE-seedSEED]"),
    ] = None,
    root: Annotated[
        Path | None, typer.Option(help="Folder that the manifest's paths are relative to.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of initialisation, order, augmentation.")] = 0,
    change: Annotated[
        list[str] | None,
        typer.Option(
            "--set", help="Change a setting of the recipe, such as epochs=5.  Repeatable."
        ),
    ] = None,
    resume: Annotated[
        Path | None, typer.Option(help="Go on with this run's interrupted training.")
    ] = None,
    accelerator: Annotated[str, typer.Option(help="auto, cpu or gpu.")] = "auto",
    devices: Annotated[int, typer.Option(min=1, help="GPUs, or processes on a CPU.")] = 1,
    strategy: Annotated[str, typer.Option(help="Lightning strategy, such as ddp.")] = "auto",
    threads: Annotated[
        int | None, typer.Option(min=1, help="CPU threads of each process.  [default: all]")
    ] = None,
    cache: Annotated[
        Path | None,
        typer.Option(help="Folder of decoded images.  [default: $ENDOEXIT_CACHE or ~/.cache]"),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Train all exits of a network together.

    Interrupted or killed, it goes on from its last complete epoch with --resume.

    Example: `endoexit train manifest.csv --model ee_hifuse_nano --recipe small-data --seed 0`
    """
    import sys

    from endoexit.training.fit import Machine, create_run, finished, fit, is_helper_process
    from endoexit.training.fit import resume as resume_run
    from endoexit.training.recipe import read_recipe

    output = Output(as_json)
    if (manifest is None) == (resume is None):
        raise UsageError("give a MANIFEST to start a training, or --resume RUN to go on with one.")
    where = Machine(
        accelerator=accelerator,
        devices=devices,
        strategy=strategy,
        threads=threads,
        progress_bar=sys.stderr.isatty() and not is_helper_process(),
        cache=cache,
    )
    if resume is not None:
        if change:
            raise UsageError("a resumed training keeps its recipe: leave out --set.")
        run = resume_run(resume)
    else:
        assert manifest is not None  # noqa: S101  (one of the two is given)
        settings = read_recipe(recipe, change or ())
        path = out or Path("runs") / f"{model}-{Path(recipe).stem}-seed{seed}"
        if is_helper_process():  # the first process made the folder before it started this one
            run = resume_run(path)
        else:
            run = create_run(path, manifest, model, settings, seed=seed, root=root)
    total = sum(sum(counts.values()) for role, counts in run.manifest().counts().items()
                if role in {"train", "val"})  # fmt: skip
    with progress("decoding images", total) as bar:
        run = fit(run, where, advance=bar.advance)
    if finished(run) and not is_helper_process():
        output.say(f"Run folder: {run.path}", f"Next: endoexit evaluate {run.path}")
        output.document({"run": str(run.path), "weights_sha256": run.weights_sha256,
                         "config": run.config.model_dump(mode="json")})  # fmt: skip


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(train)
