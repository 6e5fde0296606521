"""The tables of a benchmark hold what was measured, in its unit."""

import pytest

from endoexit.bench.document import (
    Benchmark,
    Limit,
    Line,
    MeasuredSource,
    Product,
    Ratio,
    Setting,
    Spread,
    Throughput,
)
from endoexit.bench.tables import benchmark_tables, exit_table, spread, throughput_table, time_table


def ratio(name, to, median):
    return Ratio(name=name, to=to, median=median, low=0.9 * median, high=1.1 * median)


def line(name, kind, ms):
    return Line(
        name=name, kind=kind, what="a network", precision="torch-f32", p50_ms=ms, p95_ms=1.2 * ms,
        mean_ms=1.01 * ms, to_reference=ratio(name, "eager", ms / 10),
    )  # fmt: skip


def spread_of(median):
    return Spread(median=median, low=0.9 * median, high=1.1 * median)


@pytest.fixture
def benchmark():
    limits = (
        Limit(exit=1, macs=250, ms=0.5, reached=spread_of(0.125)),
        Limit(exit=2, macs=1000, ms=2.0, reached=spread_of(0.25)),
    )
    row = Throughput(
        batch=8, images=24, rounds=3, per_second=spread_of(211.4), per_second_without=spread_of(99),
        gain=ratio("policy", "final exit", 2.13), overhead_ms=spread_of(0.0412),
    )  # fmt: skip
    return Benchmark(
        subject=MeasuredSource(
            path="run", kind="run", model="ee_made_up", precision="torch-f32", size=32,
            weights_sha256="0" * 64, policy="a threshold", shares={1: 0.75, 2: 0.25},
        ),
        setting=Setting(
            threads=1, rounds=20, includes="everything", images="6 images", synthetic=False,
            command="endoexit bench run", machine={}, versions={},
        ),
        reference="eager",
        lines=(line("exit 1", "exit", 4.0), line("final exit", "exit", 8.0),
               line("policy", "policy", 5.0), line("eager", "peer", 10.0)),
        ratios=(ratio("exit 1", "final exit", 0.5), ratio("final exit", "openvino", 1.04)),
        product=Product(
            library="PyTorch", precision="f32", side=64, gmacs_per_second=spread_of(50.4),
            limits=limits,
        ),
        throughput=(row,), peak_memory_mib={8: 517.3}, notes=(),
    )  # fmt: skip


def test_every_contender_has_its_times_and_its_ratio(benchmark):
    table = time_table(benchmark)
    assert table.title == "ee_made_up, torch-f32, 32×32, 1 thread, one image at a time"
    assert table.cells()[0] == ("exit 1", "4.00", "4.80", "4.04", "0.400 [0.360, 0.440]")
    assert [row[0] for row in table.rows] == ["exit 1", "final exit", "policy", "eager"]
    assert "eager: a network, torch-f32." in table.notes
    assert not any(note.startswith("policy:") for note in table.notes)


def test_an_exit_is_compared_with_the_final_exit_and_the_limit(benchmark):
    table = exit_table(benchmark)
    assert table.cells() == (
        ("exit 1", "75.0", "50.0 [45.0, 55.0]", "25.0", "0.500", "12.5"),
        ("final exit", "25.0", "100.0 [100.0, 100.0]", "100.0", "2.00", "25.0"),
    )
    assert "50.4 G multiply-adds a second (PyTorch, f32)" in table.notes[0]
    assert table.notes[1] == "All stages in sequence, divided by openvino: 1.04 [0.936, 1.14]."


def test_without_a_product_there_is_no_limit(benchmark):
    table = exit_table(benchmark.replaced(product=None))
    assert [column.heading for column in table.columns] == ["exit", "exit here", "time"]


def test_throughput_has_images_a_second_and_memory(benchmark):
    cells = throughput_table(benchmark).cells()
    assert cells == (("8", "211", "99.0", "2.13 [1.92, 2.34]", "0.0412", "517"),)
    (row,) = benchmark.throughput
    plain = benchmark.replaced(throughput=(row.replaced(per_second=None, gain=None),))
    assert throughput_table(plain).cells()[0][1:4] == ("–", "99.0", "–")


def test_all_tables_come_in_their_order(benchmark):
    titles = [table.title for table in benchmark_tables(benchmark)]
    assert titles[1:] == ["Exits", "Throughput"]
    assert spread(spread_of(0.353)) == "0.353 [0.318, 0.388]"
