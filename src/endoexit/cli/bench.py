"""`endoexit bench`: how fast a run or a bundle is, compared with its peers."""

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from endoexit.cli.console import JsonOption, Output, PrecisionOption, ThresholdOption, progress

if TYPE_CHECKING:
    from rich.table import Table

    from endoexit.bench.document import Benchmark, Spread

ROUNDS = 20
MISSING = "–"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(bench)


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
        int | None, typer.Option(min=1, help="Threads of every contender; else all cores.")
    ] = None,
    rounds: Annotated[int, typer.Option(min=2, help="How often each contender is timed.")] = ROUNDS,
    threshold: ThresholdOption = None,
    precision: PrecisionOption = None,
    out: Annotated[Path | None, typer.Option(help="Write all figures there, as JSON.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Measure the time of every exit and of the policy, compared with whole networks.

    All contenders take turns in one process, with the same images and threads, and ratios are
    taken round by round: so they hold better than times where a machine's speed changes. Let it
    do no other work meanwhile.

    Example: `endoexit bench bundles/nano --images new-images --against eager,hifuse_nano`
    """
    from endoexit.bench.bench import BenchOptions
    from endoexit.bench.bench import bench as measure
    from endoexit.files import write_json
    from endoexit.machine import busy_warning

    options = BenchOptions(
        images=tuple(images or ()),
        against=tuple(against or ()),
        threads=threads,
        rounds=rounds,
        precision=precision,
        threshold=threshold,
        command=shlex.join(["endoexit", *sys.argv[1:]]),
    )
    output = Output(as_json)
    output.warn_if_unfinished(source)
    if (busy := busy_warning()) is not None:
        output.warn(busy)
    found = measure(source, options, progress)
    document = found.model_dump(mode="json")
    if out is not None:
        write_json(out, document)
    _print(output, found)
    if out is not None:
        output.say(f"Written: {out}")
    output.document(document)


def _print(output: Output, found: "Benchmark") -> None:
    from endoexit.cli.tables import paragraph

    setting = found.setting
    output.say(time_table(found))
    output.say(
        paragraph(
            f"ratio: time over that of {found.reference}, median of {setting.rounds} rounds "
            "[quartiles]; of the policy, its mean over the images."
        ),
        *(
            paragraph(f"{line.name}: {line.what}, {line.precision}.")
            for line in found.lines
            if line.kind == "peer"
        ),
    )
    output.say("", exit_table(found))
    if found.product is not None:
        product = found.product
        output.say(
            paragraph(
                "limit: what the multiply-adds take at the rate of a large matrix product here, "
                f"{product.gmacs_per_second.median:.0f} G multiply-adds a second ({product.library}"
                f", {product.precision}); reached: the limit over the time."
            )
        )
    for ratio in found.ratios:
        if ratio.to != "final exit":
            output.say(paragraph(f"All stages in sequence over {ratio.to}: {_spread(ratio)}."))
    output.say("", throughput_table(found))
    output.say(
        paragraph(
            "overhead: policy, gathering of images and bookkeeping, for each image. memory: peak "
            "of a process that predicts with this alone, batches of that size, libraries included."
        ),
        "",
        paragraph(f"Images: {setting.images}. Decided by: {found.subject.policy}."),
        *map(paragraph, found.notes),
    )


def time_table(found: "Benchmark") -> "Table":
    """Return the time of one image of every contender."""
    from endoexit.cli.tables import compact_table, five_characters
    from endoexit.errors import counted

    rows = [
        (
            line.name,
            five_characters(line.p50_ms),
            five_characters(line.p95_ms),
            five_characters(line.mean_ms),
            "1" if line.name == found.reference else _spread(line.to_reference),
        )
        for line in found.lines
    ]
    setting, subject = found.setting, found.subject
    title = (
        f"{subject.model}, {subject.precision}, {subject.size}×{subject.size}, "
        f"{counted(setting.threads, 'thread')}, one image at a time: ms"
    )
    columns = ("", "p50", "p95", "mean", f"ratio to {found.reference}")
    return compact_table(title, columns, rows)


def exit_table(found: "Benchmark") -> "Table":
    """Return what exiting at each exit saves, and how close to the machine's limit it is."""
    from endoexit.cli.tables import compact_table, five_characters

    exits = [line for line in found.lines if line.kind == "exit"]
    shares = {ratio.name: _spread(ratio, 100) for ratio in found.ratios if ratio.to == "final exit"}
    rows = []
    for number, line in enumerate(exits, start=1):
        row = [line.name, f"{100 * found.subject.shares.get(number, 0):.0f}"]
        row.append(shares.get(line.name, "100"))
        if found.product is not None:
            limit = found.product.limits[number - 1]
            whole = found.product.limits[-1].macs
            row += [
                f"{100 * limit.macs / whole:.1f}",
                five_characters(limit.ms),
                f"{100 * limit.reached.median:.0f}",
            ]
        rows.append(row)
    columns = ["", "leave\nhere %", "time, % of\nfinal exit"]
    if found.product is not None:
        columns += ["multiply-\nadds, %", "limit\nms", "reached\n%"]
    return compact_table("Exits", columns, rows)


def throughput_table(found: "Benchmark") -> "Table":
    """Return images a second, the engine's own time and memory, by size of batch."""
    from endoexit.cli.tables import compact_table

    rows = [
        (
            str(one.batch),
            MISSING if one.per_second is None else f"{one.per_second.median:.1f}",
            f"{one.per_second_without.median:.1f}",
            MISSING if one.gain is None else _spread(one.gain),
            f"{one.overhead_ms.median:.2f}",
            f"{found.peak_memory_mib[one.batch]:.0f}",
        )
        for one in found.throughput
    ]
    columns = ("batch", "images/s\npolicy", "images/s\nfinal exit", "gain", "overhead\nms",
               "memory\nMiB")  # fmt: skip
    return compact_table("Throughput", columns, rows)


def _spread(found: "Spread", scale: float = 1) -> str:
    decimals = 1 if scale > 1 else 3
    low, high = scale * found.low, scale * found.high
    return f"{scale * found.median:.{decimals}f} [{low:.{decimals}f}, {high:.{decimals}f}]"
