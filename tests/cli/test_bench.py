"""`endoexit bench` as a user starts it."""

import json

import pytest

from endoexit.bench import bench as benchmark
from endoexit.bench.document import Benchmark
from endoexit.evaluation.figures import significant
from tiny import lenet_run, save_photos
from tiny_project import endoexit


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return lenet_run(tmp_path_factory.mktemp("runs") / "tiny").path


def test_the_document_is_complete_and_the_tables_say_what_they_show(run, tmp_path, monkeypatch):
    # Measured, it would take a process that imports torch for each batch size.
    monkeypatch.setattr(benchmark, "measure_memory", lambda *_: {1: 90.0, 8: 91.0, 32: 92.0})
    photos, out = save_photos(tmp_path / "photos", count=4), tmp_path / "bench.json"
    done = endoexit(
        "bench", run, "--images", photos, "--against", "eager", "--threads", 1, "--rounds", 2,
        "--threshold", 0.75, "--out", out, "--json",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document == json.loads(out.read_text())
    written = Benchmark.model_validate_json(done.stdout)
    assert written.setting.command.startswith("endoexit bench")
    assert written.setting.versions["torch"]
    assert written.setting.machine["cores"] >= 1
    assert written.peak_memory_mib == {1: 90, 8: 91, 32: 92}
    for words in (
        "1 thread, one image at a time",
        "ratio to eager",
        "policy, gathering of images and bookkeeping",
        "Energy is not measured",
        "final exit only, eager PyTorch, torch-f32",
    ):
        assert words in " ".join(done.stderr.split())
    ms = written.line("exit 1").to_reference.median
    row = next(line for line in done.stderr.splitlines() if line.strip().startswith("exit 1"))
    assert f" {significant(ms)} [" in row


def test_a_misspelt_peer_ends_with_2_before_anything_is_measured(run):
    done = endoexit("bench", run, "--against", "opnvino")
    assert done.returncode == 2
    *_, last = done.stderr.splitlines()  # the machine may be busy, which is said before
    assert last == "error: unknown peer 'opnvino': did you mean 'openvino'?"
