"""`endoexit reproduce kvasir`: the exit paper's experiment on the images of a folder."""

import contextlib
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from endoexit.cli.console import CacheOption, JsonOption, Output, progress

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from endoexit.datasets.layouts import Recognised
    from endoexit.datasets.tables import OfficialFolds
    from endoexit.precision import Device
    from endoexit.reproduction.document import Results
    from endoexit.reproduction.settings import Settings, SplitName


MODEL = "ee_hifuse_small"
FINE_TUNE, FINE_TUNED, WEIGHTS = "fine-tune", "efficientnet_lite0", "pip:lite0"


def kvasir(
    directory: Annotated[
        Path, typer.Argument(help="Folder of Kvasir or HyperKvasir, unpacked.", metavar="DIR")
    ],
    *,
    out: Annotated[
        Path, typer.Option(help="Folder for everything that it makes; again to continue.")
    ] = Path("reproduction"),
    model: Annotated[
        str | None,
        typer.Option(
            help=f"Network with early exits; a smaller one for a trial.  [default: {MODEL}; with "
            f"fine-tune: {FINE_TUNED}]"
        ),
    ] = None,
    weights: Annotated[
        str | None,
        typer.Option(
            help="Starting weights, as of `train`.  [default: fresh ones; with fine-tune: "
            f"{WEIGHTS}]"
        ),
    ] = None,
    recipe: Annotated[
        str, typer.Option(help="Recipe: paper, fine-tune, another one, or a YAML file.")
    ] = "paper",
    epochs: Annotated[
        int | None, typer.Option(min=1, help="Epochs of each training.  [default: the recipe's]")
    ] = None,
    change: Annotated[
        list[str] | None,
        typer.Option("--set", help="Change a setting of the recipe.  Repeatable."),
    ] = None,
    seed: Annotated[
        int, typer.Option(min=0, help="Random seed of the trainings; the splits do not change.")
    ] = 0,
    split: Annotated[
        Literal["both", "random", "groups"],
        typer.Option(help="Split: at random as published, near-copies kept together, or both."),
    ] = "both",
    near_bits: Annotated[
        int, typer.Option(min=0, max=64, help="Most bits, of 256, in which near-copies differ.")
    ] = 15,
    folds: Annotated[
        Path | None,
        typer.Option(help="The authors' folds, to show their leak.  [default: found near DIR]"),
    ] = None,
    exclude: Annotated[
        list[str] | None, typer.Option(help="Class that is left out.  Repeatable.")
    ] = None,
    plan: Annotated[
        bool, typer.Option("--plan", help="Audit, split and say how long it takes, then stop.")
    ] = False,
    accelerator: Annotated[
        Literal["auto", "cpu", "gpu"], typer.Option(help="Device that trains and scores.")
    ] = "auto",
    threads: Annotated[
        int | None, typer.Option(min=1, help="CPU threads.  [default: all usable cores]")
    ] = None,
    cache: CacheOption = None,
    as_json: JsonOption = False,
) -> None:
    """Repeat the exit paper's experiment and print its Table 3 next to yours.

    Audits the images, splits them 8:2 at random as published and with near-copies kept together,
    trains the network with and without early exits on both, calibrates, evaluates, and times them
    on the CPU. Says beforehand how long it will take. Run again, it continues where it stopped.

    Example: `endoexit reproduce kvasir data/kvasir-v1 --out reproduction`
    """
    output = Output(as_json)
    # Before torch is imported, which takes seconds: most mistakes are here.
    recognised = _recognise(output, directory, exclude or ())
    official = _folds(output, folds, directory, recognised)

    from endoexit.machine import busy_warning
    from endoexit.reproduction.steps import Place
    from endoexit.reproduction.study import forecast, prepare, run_study
    from endoexit.training.fit import Machine

    splits: tuple[SplitName, ...] = ("random", "groups") if split == "both" else (split,)
    settings = _settings(
        recognised,
        model=model,
        weights=weights,
        recipe=recipe,
        changes=[*(change or ()), *([] if epochs is None else [f"epochs={epochs}"])],
        seed=seed,
        near_bits=near_bits,
        splits=splits,
        exclude=exclude or (),
    )
    place = Place(
        folder=out,
        machine=Machine(
            accelerator=accelerator,
            threads=threads,
            progress_bar=sys.stderr.isatty(),
            cache=cache,
        ),
        device=_device(accelerator),
        threads=threads,
        track=progress,
        say=output.say,
    )
    with _alone(out):
        audit, manifests = prepare(place, settings, recognised, official)
        lines, paces = forecast(place, settings, manifests)
        if (busy := busy_warning()) is not None:
            output.warn(busy)
        output.say(*lines)
        if plan:
            output.document({"plan": lines, "paces": [pace.model_dump() for pace in paces]})
            return
        results = run_study(
            place, settings, recognised, audit=audit, manifests=manifests, paces=paces
        )
    _show(output, results, out)
    output.document(results.model_dump(mode="json"))


def _recognise(output: Output, directory: Path, exclude: "Sequence[str]") -> "Recognised":
    """Recognise the release, say what differs from it, and leave out classes."""
    from dataclasses import replace

    from endoexit.datasets.layouts import recognise
    from endoexit.datasets.tables import label_notes
    from endoexit.errors import unknown_name

    recognised = recognise(directory)
    output.say(f"{recognised.listing.root}: {recognised.release.title}")
    for note in (*recognised.notes, *label_notes(recognised)):
        output.warn(note)
    for name in exclude:
        if name not in recognised.classes:
            raise unknown_name("class", name, recognised.classes)
    kept = tuple(file for file in recognised.listing.files if file.label not in set(exclude))
    return replace(recognised, listing=replace(recognised.listing, files=kept))


def _settings(
    recognised: "Recognised",
    *,
    model: str | None,
    weights: str | None,
    recipe: str,
    changes: "Sequence[str]",
    seed: int,
    near_bits: int,
    splits: "Sequence[SplitName]",
    exclude: "Sequence[str]",
) -> "Settings":
    from endoexit.reproduction.settings import Settings, both_networks, fingerprint
    from endoexit.training.recipe import read_recipe

    if recipe == FINE_TUNE and model is None:
        model, weights = FINE_TUNED, weights or WEIGHTS
    both = both_networks(model or MODEL, read_recipe(recipe, changes), weights)
    return Settings(
        data=str(recognised.listing.root),
        images_sha256=fingerprint(recognised),
        recipe=recipe,
        seed=seed,
        near_bits=near_bits,
        splits=tuple(splits),
        exclude=tuple(exclude),
        **both,
    )


def _folds(
    output: Output, path: Path | None, directory: Path, recognised: "Recognised"
) -> "OfficialFolds | None":
    """Return the authors' folds: as named, which must fit, or as found, where they do."""
    from endoexit.datasets.tables import find_folds, read_folds
    from endoexit.errors import DataError

    if path is not None:
        folds = read_folds(path, recognised)
    else:
        table = find_folds(directory)
        if table is None:
            return None
        try:
            folds = read_folds(table, recognised)
        except DataError as error:
            output.warn(f"the folds are not used: {error}")
            return None
    if folds.contradicting:
        output.warn(
            f"{folds.table} gives {len(folds.contradicting)} images another class than their "
            f"folder, such as {folds.contradicting[0]}."
        )
    return folds


def _device(accelerator: str) -> "Device":
    """Return what computes the answers that are scored."""
    import torch

    return "cuda" if accelerator != "cpu" and torch.cuda.is_available() else "cpu"


@contextlib.contextmanager
def _alone(folder: Path) -> "Iterator[None]":
    """Keep two processes from working in one folder."""
    from filelock import FileLock, Timeout

    from endoexit.errors import RunError
    from endoexit.files import make_folder

    make_folder(folder)
    try:
        lock = FileLock(folder / ".lock").acquire(timeout=0)
    except Timeout:
        raise RunError(
            f"another process reproduces in {folder}: wait for its end, or choose another --out."
        ) from None
    with lock:
        try:
            yield
        except KeyboardInterrupt:
            again = shlex.join(["endoexit", *sys.argv[1:]])
            print(f"stopped; what is done is kept. Continue with: {again}", file=sys.stderr)
            raise


def _show(output: Output, results: "Results", out: Path) -> None:
    from endoexit.cli.tables import paragraph, terminal_table
    from endoexit.reproduction.study import results_paths
    from endoexit.reproduction.table import accuracy_table, cost_table, sentences

    output.say("")
    for table in (accuracy_table(results), cost_table(results)):
        output.say(terminal_table(table))
    output.say(*map(paragraph, _audit_sentences(results)))
    output.say(*map(paragraph, sentences(results)))
    document, page = results_paths(out)
    reports = ", ".join(str(out / split.report) for split in results.splits)
    output.say(
        "",
        f"Written: {document} (everything), {page} (these tables), {reports}",
        paragraph(f"Cite: {results.citation}"),
        f"Next: endoexit compare {shlex.quote(str(out))} OTHER",
    )


def _audit_sentences(results: "Results") -> "Iterator[str]":
    audit = results.audit
    yield (
        f"Audit: {audit.images} images, {audit.broken} files that cannot be read, "
        f"{audit.repeated_contents} contents more than once, {audit.near_images} images with a "
        f"near-copy, {audit.pairs_with_other_labels} pairs of near-copies with different labels."
    )
    if audit.folds is not None:
        yield (
            f"The authors' folds leak: {audit.folds:.1%} of the images have a near-copy in another "
            "fold."
        )
    yield from audit.shortcuts
