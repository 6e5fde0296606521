"""`endoexit evaluate`: what each exit and the adaptive rule of a run are worth."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from endoexit.cli.console import (
    CacheOption,
    JsonOption,
    ManifestOption,
    Output,
    PrecisionOption,
    progress,
)
from endoexit.errors import UsageError

if TYPE_CHECKING:
    from endoexit.artifacts.source import Source
    from endoexit.data.manifest import Manifest


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(evaluate)


def evaluate(
    run: Annotated[Path, typer.Argument(help="Run folder of `endoexit train`, or bundle.")],
    *,
    role: Annotated[str, typer.Option(help="Role of the images.")] = "test",
    threshold: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            help="Exit at the first exit whose confidence reaches this.  "
            "[default: policy.json, else 0.9]",
        ),
    ] = None,
    against: Annotated[
        Path | None, typer.Option(help="Run of the same network without early exits.")
    ] = None,
    manifest: ManifestOption = None,
    timing: Annotated[bool, typer.Option(help="Measure CPU time per image.")] = True,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Threads while times are measured; else all cores.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder for the figures and logits.  [default: the run; of a bundle, "
            "BUNDLE-evaluation]"
        ),
    ] = None,
    precision: PrecisionOption = None,
    device: Annotated[
        Literal["cpu", "cuda"], typer.Option(help="What computes the scored answers.")
    ] = "cpu",
    cache: CacheOption = None,
    as_json: JsonOption = False,
) -> None:
    """Score every exit and the adaptive rule, count their cost, and measure their time.

    Writes `evaluation.json`, from which all tables can be drawn again: into the run, but never into
    a bundle, which holds no names of images.

    Example: `endoexit evaluate runs/nano --against runs/twin`
    """
    if threads is not None and not timing:
        raise UsageError("--threads is about measured times: leave it out, or --no-timing.")

    from endoexit.artifacts.bundle import open_source
    from endoexit.cli.evaluation_tables import print_evaluation
    from endoexit.evaluation.study import Options, evaluate_run, evaluation_path

    output = Output(as_json)
    output.warn_if_unfinished(run, *([against] if against else []))
    subject = open_source(run)
    found = evaluate_run(
        subject,
        Options(
            role=role,
            threshold=threshold,
            precision=precision,
            device=device,
            timing=timing,
            threads=threads,
            cache=cache,
            out=out,
        ),
        twin=None if against is None else open_source(against),
        manifest=None if manifest is None else _read(manifest, subject),
        track=progress,
    )
    print_evaluation(output, found)
    written = evaluation_path(subject, role, found.manifest_sha256, out)
    output.say(f"Written: {written}", f"Logits: {written.parent / found.run.logits}")
    if found.caution:
        output.warn(f"role {role}: {found.caution}")
    output.document(found.model_dump(mode="json"))


def _read(manifest: Path, run: "Source") -> "Manifest":
    from endoexit.data.manifest import read_manifest

    return read_manifest(manifest, classes=run.classes)
