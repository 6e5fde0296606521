"""`endoexit archive`: answers for millions of images, computed in shards that no kill loses."""

import contextlib
import shlex
import signal
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from endoexit.cli.console import (
    FramesOption,
    JsonOption,
    NamesKeyOption,
    NamesOption,
    NullOption,
    Output,
    PrecisionOption,
    ThresholdOption,
    name_images,
    progress,
)
from endoexit.cli.streams import standard_input

if TYPE_CHECKING:
    from collections.abc import Iterator

    from endoexit.archiving.document import Manifest

JobArgument = Annotated[Path, typer.Argument(help="Folder of a job, from `endoexit archive plan`.")]


archive = typer.Typer(
    no_args_is_help=True,
    help="Predict millions of images: in folders, tar or zip, continued after any stop.",
)


@archive.command()
def plan(
    run: Annotated[Path, typer.Argument(help="Run folder of `endoexit train`, or bundle.")],
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="PATH...",
            help="Images, folders, quoted globs, .tar and .zip, or - for a list on stdin.",
        ),
    ],
    *,
    out: Annotated[Path, typer.Option(help="Folder of the job; new or empty.")],
    threshold: ThresholdOption = None,
    precision: PrecisionOption = None,
    frames: FramesOption = "first",
    shard_images: Annotated[
        int, typer.Option(min=1, help="Images of a shard; a kill loses one shard a worker.")
    ] = 2048,
    null: NullOption = False,
    names: NamesOption = "path",
    names_key: NamesKeyOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the images of a job, and write down the model that is to answer them.

    Nothing is decoded. Archives are read where they are, and never unpacked. The plan has the
    paths of the images, so the folder of the job is as confidential as these.

    Example: `endoexit archive plan runs/nano images/ more.tar --out job`
    """
    from endoexit.runtime.deciding import NO_POLICY
    from endoexit.workflow.archive import plan_archive

    output = Output(as_json)
    name_images(names, names_key)
    output.warn_if_unfinished(run)
    planned = plan_archive(
        run,
        paths,
        out=out,
        threshold=threshold,
        precision=precision,
        frames=frames,
        shard_images=shard_images,
        null=null,
        stdin=standard_input(),
    )
    job = planned.folder.job
    if job.decided_by == NO_POLICY and job.answering.exits > 1:
        output.warn_without_policy(run)
    if planned.passed_over:
        print(planned.passed_over.words(), file=sys.stderr)
    output.say(f"{job.images} images in shards of {job.shard_images}: {job.shards} to compute.")
    output.say(f"Decided by: {job.decided_by}\nJob: {out}")
    output.say(f"Next: endoexit archive run {shlex.quote(str(out))}")
    output.document(
        {
            "job": str(out),
            "images": job.images,
            "shards": job.shards,
            "shard_images": job.shard_images,
            "decided_by": job.decided_by,
            "answering": job.answering.model_dump(mode="json"),
            "passed_over": planned.passed_over.document(),
        }
    )


@archive.command()
def run(
    job: JobArgument,
    *,
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="Processes that compute.  [default: one for two cores]"),
    ] = None,
    threads: Annotated[
        int | None,
        typer.Option(
            min=1, help="Threads of each.  [default: its share of the cores; on a cluster 2]"
        ),
    ] = None,
    ray: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="Compute on a cluster of Ray: HOST:PORT of its head, auto (that of this machine) "
            "or local (start one).",
        ),
    ] = None,
    actors: Annotated[
        int | None,
        typer.Option(min=1, help="Processes on the cluster.  [default: what it has CPUs for]"),
    ] = None,
    max_hours: Annotated[
        float | None,
        typer.Option(help="Hours after which no further shard begins.  [default: no limit]"),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Run a job, or continue it after any stop.

    It ends with 0 when every image has its row; an image that cannot be read has one with its
    error. A shard is written whole or not at all, so the same command continues after a kill, a
    full disk or a restart. A job refuses another model, and a second process.

    After --max-hours or SIGTERM it completes the shards that have begun and ends with 75: run the
    same command again to continue. A second SIGTERM ends it at once.

    With --ray, the nodes of a cluster compute. All of them need the folder of the job, the model
    and the images under the same paths, and the same endoexit. The shards of a node that is lost
    are done by others.

    Example: `endoexit archive run job --workers 4`
    """
    from endoexit.workflow.archive import run_archive

    output = Output(as_json)
    with _until_sigterm() as pause:
        manifest = run_archive(
            job,
            workers=workers,
            threads=threads,
            ray=ray,
            actors=actors,
            max_hours=max_hours,
            pause=pause,
            track=progress,
        )
    output.say(_words(manifest))
    output.say(f"Next: endoexit archive merge {shlex.quote(str(job))} --out results.parquet")
    output.document({"job": str(job), **_counts(manifest)})


@archive.command()
def status(job: JobArgument, *, as_json: JsonOption = False) -> None:
    """Say how far a job is.

    Example: `endoexit archive status job`
    """
    from dataclasses import asdict

    from endoexit.workflow.archive import archive_status

    output = Output(as_json)
    state = archive_status(job)
    output.say(
        f"{state.images_done} of {state.images} images have their rows "
        f"({state.shards_done} of {state.shards} shards)."
    )
    if state.failed is not None:
        output.say(f"The job is done. Images that could not be read: {state.failed}.")
    elif state.running:
        output.say("A process is at work on it.")
    else:
        output.say(f"Continue with: endoexit archive run {shlex.quote(str(job))}")
    output.document({"job": str(job), **asdict(state), "done": state.done})


@archive.command()
def verify(job: JobArgument, *, as_json: JsonOption = False) -> None:
    """Look whether the results are whole: one row for each image, as they were written.

    Example: `endoexit archive verify job`
    """
    from endoexit.workflow.archive import verify_archive

    output = Output(as_json)
    faults = verify_archive(job, track=progress)
    for fault in faults:
        print(fault, file=sys.stderr)
    if not faults:
        output.say("Every image has one row, and every file is as it was written.")
    output.document({"job": str(job), "faults": faults})
    if faults:
        raise typer.Exit(1)


@archive.command()
def merge(
    job: JobArgument,
    *,
    out: Annotated[Path, typer.Option(help="Table to write: .csv, .jsonl or .parquet.")],
    names: NamesOption = "path",
    names_key: NamesKeyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write all rows of a job as one table, as `endoexit predict` writes them.

    The rows are in the order of the plan. If images could not be read, the exit code is 1, as it is
    for `predict`.

    Example: `endoexit archive merge job --out results.parquet --names index`
    """
    from endoexit.workflow.archive import merge_archive

    output = Output(as_json)
    name_images(names, names_key)
    manifest = merge_archive(job, out=out, track=progress)
    output.say(f"{_words(manifest)}\nWritten: {out}")
    output.document({"job": str(job), **_counts(manifest), "out": str(out)})
    if manifest.failed:
        raise typer.Exit(1)


@contextlib.contextmanager
def _until_sigterm() -> "Iterator[threading.Event]":
    """Yield an event that the first SIGTERM sets; the second one ends the process as usual."""
    pause = threading.Event()

    def stop(*_: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        pause.set()

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield pause
    finally:
        signal.signal(signal.SIGTERM, before)


def _words(manifest: "Manifest") -> str:
    return f"{manifest.images} images have their rows. Could not be read: {manifest.failed}."


def _counts(manifest: "Manifest") -> dict[str, int]:
    return {"images": manifest.images, "failed": manifest.failed}
