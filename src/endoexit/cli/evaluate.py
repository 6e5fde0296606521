"""`endoexit evaluate`: what each exit and the policy of a run are worth."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from endoexit.cli.console import (
    CacheOption,
    JsonOption,
    ManifestOption,
    NamesKeyOption,
    NamesOption,
    Output,
    PrecisionOption,
    ThresholdOption,
    name_images,
    progress,
)

if TYPE_CHECKING:
    from endoexit.data.manifest import Cohort
    from endoexit.evaluation.document import Evaluation
    from endoexit.evaluation.robustness import Robustness


def evaluate(
    run: Annotated[Path, typer.Argument(help="Run folder of `endoexit train`, or bundle.")],
    *,
    role: Annotated[str, typer.Option(help="Role of the images.")] = "test",
    threshold: ThresholdOption = None,
    against: Annotated[
        Path | None, typer.Option(help="Run of the same network without early exits.")
    ] = None,
    corruptions: Annotated[
        bool,
        typer.Option(
            "--corruptions",
            help="Evaluate changed images too: blur, glare, JPEG, light, colour, bubbles, noise.",
        ),
    ] = False,
    attacks: Annotated[
        bool,
        typer.Option(
            "--attacks",
            help="Evaluate attacked images too, changed by someone who knows the network.",
        ),
    ] = False,
    foreign: Annotated[
        list[Path] | None,
        typer.Option(
            help="Folder of images that the network cannot know; shows which are referred."
        ),
    ] = None,
    manifest: ManifestOption = None,
    timing: Annotated[bool, typer.Option(help="Measure CPU time per image.")] = True,
    threads: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Threads while times are measured.  [default: OMP_NUM_THREADS, else all cores]",
        ),
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
        Literal["cpu", "cuda"], typer.Option(help="Device that computes the scored answers.")
    ] = "cpu",
    cache: CacheOption = None,
    names: NamesOption = "path",
    names_key: NamesKeyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Score every exit and the policy, count their cost, and measure their time.

    Writes `evaluation.json`, from which all tables can be drawn again: into the run, but never into
    a bundle, which holds no names of images.

    Example: `endoexit evaluate runs/nano --against runs/twin`
    """
    from endoexit.workflow.evaluate import evaluate as evaluate_run

    output = Output(as_json)
    name_images(names, names_key)
    output.warn_if_unfinished(run, *([against] if against else []))
    evaluated = evaluate_run(
        run,
        role=role,
        threshold=threshold,
        against=against,
        corruptions=corruptions,
        attacks=attacks,
        foreign=foreign or (),
        manifest=manifest,
        timing=timing,
        threads=threads,
        out=out,
        precision=precision,
        device=device,
        cache=cache,
        track=progress,
    )
    evaluation, written = evaluated.evaluation, evaluated.path
    _print(output, evaluation)
    output.say(f"Written: {written}", f"Logits: {written.parent / evaluation.run.logits}")
    if evaluation.adaptive is None and len(evaluation.rows) > 1:
        output.warn_without_policy(run)
    if evaluation.caution:
        output.warn(f"role {role}: {evaluation.caution}")
    document = _document(evaluation, evaluated.cohort)
    if evaluated.robustness is not None:
        _show_robustness(output, evaluated.robustness, written)
        document["robustness"] = evaluated.robustness.model_dump(mode="json")
    output.document(document)


def _print(output: Output, evaluation: "Evaluation") -> None:
    from endoexit.cli.tables import paragraph, with_notes
    from endoexit.evaluation.tables import evaluation_tables

    for table in evaluation_tables(evaluation):
        output.say(*with_notes(table), "")
    if evaluation.adaptive is not None and evaluation.adaptive.policy.note:
        output.say(paragraph(f"From its calibration: {evaluation.adaptive.policy.note}"))


def _show_robustness(output: Output, robustness: "Robustness", evaluation: Path) -> None:
    from endoexit.cli.tables import with_notes
    from endoexit.evaluation.robustness import robustness_file, robustness_tables

    for table in robustness_tables(robustness):
        output.say(*with_notes(table), "")
    output.say(f"Written: {robustness_file(evaluation)}")


def _document(evaluation: "Evaluation", cohort: "Cohort") -> dict[str, Any]:
    """Return the evaluation as JSON values, with its images called as the user asked for."""
    from endoexit.naming import naming

    document = evaluation.model_dump(mode="json")
    images = document["images"]
    images["paths"] = list(map(naming().name, images["paths"], cohort.places))
    if not naming().shows_paths:
        first: dict[str, int] = {}
        for group, place in zip(images["groups"], cohort.places, strict=True):
            first.setdefault(group, place)
        images["groups"] = [
            naming().mention_group(group, first[group]) for group in images["groups"]
        ]
    return document
