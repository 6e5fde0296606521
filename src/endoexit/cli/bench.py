"""`endoexit bench`: how fast a run or a bundle is, compared with its peers."""

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from endoexit.cli.console import (
    JsonOption,
    NamesKeyOption,
    NamesOption,
    Output,
    PrecisionOption,
    ThresholdOption,
    name_images,
    progress,
)

if TYPE_CHECKING:
    from endoexit.bench.document import Benchmark

ROUNDS = 20


def bench(
    source: Annotated[Path, typer.Argument(help="Run folder of `endoexit train`, or bundle.")],
    *,
    images: Annotated[
        list[str] | None,
        typer.Option(help="Folder, file or quoted glob; repeatable.  [default: synthetic images]"),
    ] = None,
    against: Annotated[
        list[str] | None,
        typer.Option(
            help="Peers, repeatable or with commas: eager, eager-bf16, compile (takes minutes), "
            "onnx, openvino, a network of the catalog, or none. The first is the reference.  "
            "[default: eager, openvino, onnx, as installed]"
        ),
    ] = None,
    threads: Annotated[
        int | None,
        typer.Option(
            min=1, help="Threads of every contender.  [default: OMP_NUM_THREADS, else all cores]"
        ),
    ] = None,
    rounds: Annotated[
        int, typer.Option(min=2, help="Number of times that each contender is timed.")
    ] = ROUNDS,
    threshold: ThresholdOption = None,
    precision: PrecisionOption = None,
    out: Annotated[Path | None, typer.Option(help="Write all figures there, as JSON.")] = None,
    names: NamesOption = "path",
    names_key: NamesKeyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Measure the time of every exit and of the policy, compared with whole networks.

    All contenders are timed alternately in one process, with the same images and threads. Ratios
    are taken round by round, so they hold better than times where the speed of a machine changes.
    Let the machine do no other work meanwhile.

    Example: `endoexit bench bundles/nano --images new-images --against eager,hifuse_nano`
    """
    from endoexit.bench.bench import BenchOptions
    from endoexit.bench.bench import bench as measure
    from endoexit.files import write_json
    from endoexit.machine import busy_warning
    from endoexit.runtime.session import open_session

    output = Output(as_json)
    name_images(names, names_key)
    output.warn_if_unfinished(source)
    if (busy := busy_warning()) is not None:
        output.warn(busy)
    session = open_session(
        source, threshold=threshold, threads=threads, precision=precision, track=progress
    )
    options = BenchOptions(
        images=tuple(images or ()),
        against=tuple(against or ()),
        rounds=rounds,
        command=shlex.join(["endoexit", *sys.argv[1:]]),
    )
    benchmark = measure(session, options)
    document = benchmark.model_dump(mode="json")
    if out is not None:
        write_json(out, document)
    _print(output, benchmark)
    if out is not None:
        output.say(f"Written: {out}")
    output.document(document)


def _print(output: Output, benchmark: "Benchmark") -> None:
    from endoexit.bench.tables import benchmark_tables
    from endoexit.cli.tables import paragraph, with_notes

    for table in benchmark_tables(benchmark):
        output.say(*with_notes(table), "")
    output.say(
        paragraph(f"Images: {benchmark.setting.images}. Decided by: {benchmark.subject.policy}."),
        *map(paragraph, benchmark.notes),
    )
