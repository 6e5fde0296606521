"""The tables of a benchmark, as data."""

from collections.abc import Callable
from typing import Any

from endoexit.bench.document import Benchmark, Line, Spread, Throughput
from endoexit.errors import counted
from endoexit.evaluation.figures import percent, significant
from endoexit.tables import Column, Table


def benchmark_tables(benchmark: Benchmark) -> list[Table]:
    """Return all tables, in the order in which they are read."""
    return [time_table(benchmark), exit_table(benchmark), throughput_table(benchmark)]


def spread(values: Spread, form: Callable[[float], str] = significant) -> str:
    """Return a median with its quartiles: `0.296 [0.291, 0.303]`."""
    return f"{form(values.median)} [{form(values.low)}, {form(values.high)}]"


def percent_spread(shares: Spread) -> str:
    """Return the median of shares with its quartiles, in percent."""
    return spread(shares, percent)


def median(values: Spread) -> str:
    """Return the median alone."""
    return significant(values.median)


def time_table(benchmark: Benchmark) -> Table:
    """Return the time of one image of every contender."""
    setting, subject, reference = benchmark.setting, benchmark.subject, benchmark.reference
    columns: dict[Column, Callable[[Line], Any]] = {
        Column("contender"): lambda line: line.name,
        Column("median", "ms", significant): lambda line: line.p50_ms,
        Column("95th percentile", "ms", significant, brief="95th\npercentile"): (
            lambda line: line.p95_ms
        ),
        Column("mean", "ms", significant): lambda line: line.mean_ms,
        Column(f"ratio to {reference}", form=spread): lambda line: line.to_reference,
    }
    peers = [line for line in benchmark.lines if line.kind == "peer"]
    return Table.of(
        f"{subject.model}, {subject.precision}, {subject.size}×{subject.size}, "
        f"{counted(setting.threads, 'thread')}, one image at a time",
        columns,
        benchmark.lines,
        [
            f"Ratio: time divided by that of {reference}, median of {setting.rounds} rounds "
            "[quartiles]; for the policy its mean over the images.",
            *(f"{line.name}: {line.what}, {line.precision}." for line in peers),
        ],
    )


def exit_table(benchmark: Benchmark) -> Table:
    """Return what an exit saves, and how close it comes to the limit of the machine."""
    exits = [line for line in benchmark.lines if line.kind == "exit"]
    shares = {ratio.name: ratio for ratio in benchmark.ratios if ratio.to == "final exit"}
    whole = Spread(median=1.0, low=1.0, high=1.0)
    columns: dict[Column, Callable[[int], Any]] = {
        Column("exit"): lambda place: exits[place].name,
        Column("exit here", "%", percent, brief="exit\nhere %"): (
            lambda place: benchmark.subject.shares.get(place + 1, 0)
        ),
        Column("time", "% of the final exit", percent_spread, brief="time, % of\nfinal exit"): (
            lambda place: shares.get(exits[place].name, whole)
        ),
    }
    notes = []
    product = benchmark.product
    if product is not None:
        limits = product.limits
        columns |= {
            Column("multiply-adds", "%", percent, brief="multiply-\nadds, %"): (
                lambda place: limits[place].macs / limits[-1].macs
            ),
            Column("limit", "ms", significant, brief="limit\nms"): lambda place: limits[place].ms,
            Column("reached", "%", percent, brief="reached\n%"): (
                lambda place: limits[place].reached.median
            ),
        }
        notes.append(
            "Limit: time of the multiply-adds at the rate of a large matrix product here, "
            f"{median(product.gmacs_per_second)} G multiply-adds a second ({product.library}, "
            f"{product.precision}). Reached: the limit divided by the time."
        )
    notes += [
        f"All stages in sequence, divided by {ratio.to}: {spread(ratio)}."
        for ratio in benchmark.ratios
        if ratio.to != "final exit"
    ]
    return Table.of("Exits", columns, range(len(exits)), notes)


def throughput_table(benchmark: Benchmark) -> Table:
    """Return images a second, the engine's own time and memory, by size of batch."""
    columns: dict[Column, Callable[[Throughput], Any]] = {
        Column("batch", form=str): lambda row: row.batch,
        Column("images/s, policy", form=median, brief="images/s\npolicy"): (
            lambda row: row.per_second
        ),
        Column("images/s, final exit", form=median, brief="images/s\nfinal exit"): (
            lambda row: row.per_second_without
        ),
        Column("gain", form=spread): lambda row: row.gain,
        Column("overhead", "ms", median, brief="overhead\nms"): lambda row: row.overhead_ms,
        Column("memory", "MiB", significant, brief="memory\nMiB"): (
            lambda row: benchmark.peak_memory_mib[row.batch]
        ),
    }
    return Table.of(
        "Throughput",
        columns,
        benchmark.throughput,
        [
            "Overhead: policy, gathering of images and bookkeeping, for each image. Memory: peak "
            "of a process that only predicts, in batches of that size, libraries included."
        ],
    )
