"""A whole benchmark, of a run and of a bundle, on tiny networks."""

from functools import partial

import pytest

from endoexit.bench import bench as benchmark
from endoexit.bench.bench import BenchOptions, bench
from endoexit.bench.memory import measure_memory
from endoexit.bench.throughput import measure_throughput
from endoexit.errors import UsageError
from endoexit.exporting.export import ExportOptions, export_run
from endoexit.models.spec import NetworkSpec
from endoexit.policy import deadline_policy, threshold_policy
from endoexit.runtime.session import open_session
from tiny import CLASSES, SETTINGS, SIDE, lenet_run, save_photos, tiny_run

EXITS = ["exit 1", "exit 2", "exit 3", "final exit"]
LENET_EXITS = ["exit 1", "final exit"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return tiny_run(tmp_path_factory.mktemp("runs") / "tiny")


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return str(save_photos(tmp_path_factory.mktemp("photos"), count=6))


@pytest.fixture
def memory_known(monkeypatch):
    """Measure no memory: each batch size would start a process that imports torch."""
    monkeypatch.setattr(benchmark, "measure_memory", lambda *_: {1: 90.0, 8: 91.0, 32: 92.0})


@pytest.mark.usefixtures("memory_known")
def test_a_run_beside_a_smaller_network(run, photos, monkeypatch):
    # Few images of a pass; B-LeNets below send them all.
    monkeypatch.setattr(benchmark, "measure_throughput", partial(measure_throughput, length=8))
    options = BenchOptions(images=(photos,), against=("eager", "hifuse_nano"), rounds=5)
    measured = bench(open_session(run.path, threads=1, threshold=0.75), options)
    assert [line.name for line in measured.lines] == [*EXITS, "policy", "eager", "hifuse_nano"]
    assert [line.kind for line in measured.lines] == ["exit"] * 4 + ["policy", "peer", "peer"]
    assert measured.reference == "eager"
    assert measured.line("eager").to_reference.median == 1
    assert all(line.p50_ms <= line.p95_ms for line in measured.lines)
    assert [(ratio.name, ratio.to) for ratio in measured.ratios] == [
        *((name, "final exit") for name in EXITS[:-1]),
        ("policy", "final exit"),
    ]
    assert sum(measured.subject.shares.values()) == pytest.approx(1)
    assert len(measured.subject.shares) > 1, "images of this policy leave at several exits"
    assert (measured.subject.kind, measured.subject.precision) == ("run", "torch-f32")
    assert measured.setting.threads == 1
    assert measured.setting.images == f"6 images from {photos}"
    assert not measured.setting.synthetic
    cost = NetworkSpec("ee_hifuse_nano", len(CLASSES), SIDE, SETTINGS).complexity
    assert tuple(limit.macs for limit in measured.product.limits) == cost.macs
    assert [stream.batch for stream in measured.throughput] == [1, 8, 32]
    assert all(stream.gain is not None for stream in measured.throughput)
    assert list(measured.peak_memory_mib) == [1, 8, 32]
    assert any("Energy is not measured" in note for note in measured.notes)
    assert any("random weights" in note for note in measured.notes)


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["openvino", "onnx"])
def test_a_bundle_beside_itself_in_one_piece(tmp_path, backend, monkeypatch):
    """Of a B-LeNet: tests of the peers hold the uncut graphs of a HiFuse against PyTorch."""
    pytest.importorskip({"openvino": "openvino", "onnx": "onnxruntime"}[backend])
    # One process, where each size of batch would have one; `test_memory.py` has them all.
    monkeypatch.setattr(benchmark, "measure_memory", partial(measure_memory, batches=(8,)))
    bundle = export_run(
        open_session(lenet_run(tmp_path / "run")), tmp_path / "bundle",
        ExportOptions(backend, "f32"),
    ).bundle  # fmt: skip
    measured = bench(
        open_session(bundle.path, threads=1), BenchOptions(against=("none",), rounds=2)
    )
    assert [line.name for line in measured.lines] == [*LENET_EXITS, backend, f"{backend}-all-exits"]
    assert measured.reference == backend
    assert [(ratio.name, ratio.to) for ratio in measured.ratios[-2:]] == [
        ("final exit", backend),
        ("final exit", f"{backend}-all-exits"),
    ]
    assert {line.precision for line in measured.lines} == {f"{backend}-f32"}
    assert measured.subject.kind == "bundle"
    assert measured.subject.weights_sha256 == bundle.weights_sha256
    assert measured.setting.synthetic
    assert "SYNTHETIC" in measured.setting.images
    assert list(measured.peak_memory_mib) == [8]
    assert 20 < measured.peak_memory_mib[8] < 2000
    assert measured.subject.shares == {2: 1.0}, "without a policy, all go to the final exit"
    assert all(stream.gain is None for stream in measured.throughput)


@pytest.mark.usefixtures("memory_known")
def test_a_deadline_is_told_where_figures_of_the_policy_are_missing(tmp_path, photos):
    run = lenet_run(tmp_path / "run")
    options = BenchOptions(images=(photos,), against=("none",), rounds=2)
    deadline_policy(2, 60_000).write(run.path / "policy.json")
    measured = bench(open_session(run.path, threads=1), options)
    assert [line.name for line in measured.lines] == LENET_EXITS
    assert all(stream.per_second is None for stream in measured.throughput)
    (note,) = (note for note in measured.notes if "deadline" in note)
    assert "has a deadline (60000 ms), so the clock of this machine decides" in note
    assert note.endswith("no images a second are measured under it, and its time has no line.")
    sure = threshold_policy(2, 0.75).replaced(deadline_ms=60_000.0)
    sure.write(run.path / "policy.json")
    measured = bench(open_session(run.path, threads=1), options)
    assert [line.name for line in measured.lines] == [*LENET_EXITS, "policy"]
    assert all(stream.per_second is None for stream in measured.throughput)
    (note,) = (note for note in measured.notes if "deadline" in note)
    assert note.endswith("no images a second are measured under it.")


@pytest.mark.usefixtures("memory_known")
def test_a_busy_machine_is_told(tmp_path, photos, monkeypatch):
    run = lenet_run(tmp_path / "run")
    options = BenchOptions(images=(photos,), against=("none",), rounds=2)
    slow_exits = iter(range(100, 0, -1))

    def falling(works, rounds, *_, **__):
        return {name: [float(next(slow_exits))] * rounds for name in works}

    monkeypatch.setattr(benchmark, "take_turns", falling)
    monkeypatch.setattr(benchmark, "share_at_work", lambda: 0.05)
    assert [
        note for note in bench(open_session(run.path, threads=1), options).notes if "quiet" in note
    ] == [
        "A later exit was measured to be quicker than an earlier one, which cannot be: the machine "
        "was busy. Trust no time and no ratio here, and measure again when it is quiet."
    ]
    monkeypatch.setattr(benchmark, "share_at_work", lambda: 0.6)
    assert (
        bench(open_session(run.path, threads=1), options)
        .notes[0]
        .startswith("Other work held 60% of this machine")
    )


def test_one_round_cannot_spread(run):
    with pytest.raises(UsageError, match="at least 2 rounds"):
        bench(open_session(run.path), BenchOptions(rounds=1))
