"""`endoexit train`: a manifest and a recipe to a run folder."""

import contextlib
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from endoexit.cli.console import (
    CacheOption,
    JsonOption,
    NamesKeyOption,
    NamesOption,
    Output,
    name_images,
    progress,
)
from endoexit.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from endoexit.artifacts.run import Run


def train(
    manifest: Annotated[
        Path | None, typer.Argument(help="Manifest of `endoexit split`.", show_default=False)
    ] = None,
    *,
    model: Annotated[
        str | None,
        typer.Option(
            help="Network: a name of `endoexit models`, timm:NAME, or path/to/file.py:function.  "
            "[default: ee_hifuse_nano]"
        ),
    ] = None,
    weights: Annotated[
        str | None,
        typer.Option(
            help="Starting weights: pip:lite0, pip:lite1, pip:lite2, a file (.safetensors, .pth), "
            "or timm, which fetches those of timm:NAME.  [default: fresh ones]"
        ),
    ] = None,
    exits: Annotated[
        str | None,
        typer.Option(
            help="Layers with an exit behind them: auto, numbers of groups such as 3,5,6, names, "
            "or none. HiFuse, MSDNet and BranchyNet have fixed ones.  [default: auto]"
        ),
    ] = None,
    head: Annotated[
        str | None,
        typer.Option(
            help="Exit head, such as conv, or one for each exit, such as rdi,conv,conv; as "
            "--exits, not for all networks.  [default: rdi for the first exit, conv for the others]"
        ),
    ] = None,
    recipe: Annotated[
        str | None,
        typer.Option(
            help="Recipe that comes with the package, or a YAML file.  "
            "[default: small-data; with --weights: fine-tune]"
        ),
    ] = None,
    strategy: Annotated[
        str | None,
        typer.Option(
            help="Training strategy, such as joint or self-distil, with its default settings.  "
            "[default: as the recipe]",
        ),
    ] = None,
    teacher: Annotated[
        Path | None,
        typer.Option(
            help="Trained run that teaches every exit, whatever its size: the strategy distil.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Run folder to make.  [default: runs/MODEL-RECIPE-seedSEED]"),
    ] = None,
    root: Annotated[
        Path | None, typer.Option(help="Folder that the manifest's paths are relative to.")
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(
            min=0, help="Random seed for initialisation, order and augmentation.  [default: 0]"
        ),
    ] = None,
    change: Annotated[
        list[str] | None,
        typer.Option(
            "--set", help="Change a setting of the recipe, such as epochs=5.  Repeatable."
        ),
    ] = None,
    quantise: Annotated[
        Literal["int8"] | None,
        typer.Option(
            help="Fine-tune a finished run, --start, in this arithmetic.", show_default=False
        ),
    ] = None,
    start: Annotated[
        Path | None,
        typer.Option(help="Finished run that --quantise fine-tunes.", show_default=False),
    ] = None,
    resume: Annotated[
        Path | None, typer.Option(help="Continue the interrupted training of this run.")
    ] = None,
    accelerator: Annotated[
        Literal["auto", "cpu", "gpu"], typer.Option(help="Device of the training.")
    ] = "auto",
    devices: Annotated[int, typer.Option(min=1, help="GPUs, or processes on a CPU.")] = 1,
    parallel: Annotated[
        str,
        typer.Option(
            help="How several devices share the training: auto, or a way of Lightning, such as ddp."
        ),
    ] = "auto",
    threads: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="CPU threads of each process.  [default: OMP_NUM_THREADS, else the usable cores]",
        ),
    ] = None,
    cache: CacheOption = None,
    names: NamesOption = "path",
    names_key: NamesKeyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Train all exits of a network together.

    An interrupted training continues from its last complete epoch with --resume. With --quantise
    int8 a finished run learns for a few epochs more to bear the rounding of int8.
    --devices starts the further processes itself: start the command once, also in a job of a
    cluster.

    Example: `endoexit train manifest.csv --model efficientnet_lite0 --weights pip:lite0`
    """
    chosen = {"--model": model, "--weights": weights, "--exits": exits, "--head": head,
              "--recipe": recipe, "--strategy": strategy, "--teacher": teacher,
              "--root": root}  # fmt: skip
    settled = {"--out": out, "--seed": seed, "--set": change or None}
    _check_beginning(
        manifest=manifest,
        quantise=quantise,
        start=start,
        resume=resume,
        chosen=chosen,
        settled=settled,
    )

    from endoexit.machine import busy_warning
    from endoexit.training.asked import TrainingRequest
    from endoexit.training.fit import Machine, fit, images_to_decode
    from endoexit.training.fit import resume as resume_run
    from endoexit.training.processes import is_helper_process
    from endoexit.training.quantising import QuantisingRequest

    output = Output(as_json)
    name_images(names, names_key)
    where = Machine(
        accelerator=accelerator,
        devices=devices,
        parallel=parallel,
        threads=threads,
        progress_bar=sys.stderr.isatty() and not is_helper_process(),
        cache=cache,
    )
    if resume is not None:
        run = resume_run(resume)
    else:
        request: TrainingRequest | QuantisingRequest
        if start is not None:
            request = QuantisingRequest(start, tuple(change or ()), out, seed)
        else:
            assert manifest is not None  # noqa: S101  (one of the three is given)
            request = TrainingRequest(
                manifest=manifest,
                model=model,
                weights=weights,
                exits=exits,
                head=head,
                recipe=recipe,
                strategy=strategy,
                teacher=teacher,
                changes=tuple(change or ()),
                out=out,
                root=root,
                seed=seed or 0,
            )
        # The first process made the folder before it started the others.
        if is_helper_process():
            run = resume_run(request.path)
        else:
            run = request.start(accelerator, progress)
    if is_helper_process():  # the first process says what there is to say
        fit(run, where)
        return
    if (origin := run.config.starting_weights) is not None:
        output.say(f"Starting weights: {origin.source}, {origin.loaded()}")
    if (teaches := run.config.teacher) is not None:
        output.say(f"Teacher: {dict(teaches.lines('teacher'))['teacher']}")
    if (busy := busy_warning()) is not None:
        output.warn(busy)
    with _telling_how_to_go_on(run), progress("Decoding images", images_to_decode(run)) as bar:
        run = fit(run, where, advance=bar.advance)
    if run.is_complete:
        output.say(f"Run folder: {run.path}", f"Next: {_next_command(run)}")
        output.document({"run": str(run.path), "weights_sha256": run.weights_sha256,
                         "config": run.config.model_dump(mode="json")})  # fmt: skip


def _check_beginning(
    *,
    manifest: Path | None,
    quantise: str | None,
    start: Path | None,
    resume: Path | None,
    chosen: "Mapping[str, object]",
    settled: "Mapping[str, object]",
) -> None:
    """Refuse a training with no beginning or two, and options that its beginning settles."""
    if (quantise is None) != (start is None):
        raise UsageError("--quantise int8 and --start RUN go together: give both, or none.")
    if sum(each is not None for each in (manifest, resume, start)) != 1:
        raise UsageError(
            "give a MANIFEST to start a training, or --resume RUN to continue one, or --quantise "
            "int8 --start RUN to fine-tune a finished one."
        )
    if resume is not None:
        _refuse({**chosen, **settled}, "a resumed training keeps its settings and its folder")
    if start is not None:
        _refuse(chosen, "a training for int8 takes network, images and recipe from its run")


def _refuse(options: "Mapping[str, object]", why: str) -> None:
    given = [name for name, value in options.items() if value is not None]
    if given:
        raise UsageError(f"{why}: leave out {', '.join(given)}.")


@contextlib.contextmanager
def _telling_how_to_go_on(run: "Run") -> "Iterator[None]":
    """Say what a training that is stopped by Ctrl-C or a full disk leaves behind."""
    from endoexit.errors import WriteError
    from endoexit.training.fit import LAST

    try:
        yield
    except (KeyboardInterrupt, WriteError):
        kept = (
            f"stopped; {run.path} keeps all complete epochs."
            if (run.path / LAST).is_file()
            else f"stopped before an epoch was complete; {run.path} keeps the settings."
        )
        folder = shlex.quote(str(run.path))
        print(f"{kept} Continue with: endoexit train --resume {folder}", file=sys.stderr)
        raise


def _next_command(run: "Run") -> str:
    """Return what follows: a policy where there are several exits, and images to find it on."""
    if run.config.network.num_exits > 1 and run.manifest().has("calibrate"):
        return f"endoexit calibrate {run.path} --max-accuracy-drop 0.01"
    return f"endoexit evaluate {run.path}"
