"""A disk that is full while a training, an export or a cache is written."""

import contextlib
import os
import resource
import subprocess
import sys

import pytest

import tiny_project
from endoexit.artifacts.run import open_run
from tiny_project import endoexit, endoexit_process

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="limits and tmpfs of Linux")


@contextlib.contextmanager
def limited(size: int):
    """Make this process refuse files above a size for a while, as a full disk does."""
    before, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (before, hard))


def small_disk(folder, size: str) -> contextlib.ExitStack:
    """Mount a disk of this size; skip the test where that is not allowed."""
    folder.mkdir()
    line = ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(folder)]
    if os.getuid() != 0 or subprocess.run(line, check=False, capture_output=True).returncode != 0:
        pytest.skip("only root can mount a small disk")
    stack = contextlib.ExitStack()
    stack.callback(subprocess.run, ["umount", "--lazy", str(folder)], check=True)
    return stack


def file_size(run, name: str) -> int:
    return (run / name).stat().st_size


@pytest.mark.parametrize("name", ["weights.safetensors", "checkpoints/last.safetensors"])
def test_a_training_says_what_is_full_and_goes_on_later(tiny_run, tiny_manifest, tmp_path, name):
    run, recipe = tmp_path / "run", tiny_project.write_recipe(tiny_manifest.parent)
    line = ["train", tiny_manifest, "--recipe", recipe, "--out", run, "--threads", 1]
    with limited(file_size(tiny_run, name) - 1):
        done = endoexit(*line)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    *_, kept, error = done.stderr.splitlines()
    assert kept.endswith(f"Continue with: endoexit train --resume {run}")
    assert error == (
        f"error: cannot write {run / name}: File too large. Nothing was changed; free space or "
        "choose another folder and run again."
    )
    assert not list(run.rglob("*.part"))
    again = endoexit("train", "--resume", run, "--threads", 1)
    assert again.returncode == 0, again.stderr
    assert open_run(run).is_complete


@pytest.mark.slow
def test_a_disk_that_fills_up_ends_a_training_with_one_error(tiny_run, tiny_manifest, tmp_path):
    size = file_size(tiny_run, "checkpoints/last.safetensors")
    recipe, disk = tiny_project.write_recipe(tiny_manifest.parent), tmp_path / "disk"
    with small_disk(disk, str(size // 2)):
        done = endoexit_process(
            "train", tiny_manifest, "--recipe", recipe, "--out", disk / "run", "--threads", 1
        )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    *_, error = done.stderr.splitlines()
    assert error.startswith(f"error: cannot write {disk / 'run'}")
    assert "No space left on device" in error
    assert "ree space" in error


@pytest.mark.parametrize("backend", ["openvino", "onnx", "torch"])
def test_an_export_says_what_is_full_and_leaves_nothing(tiny_run, tmp_path, backend):
    if backend != "torch":
        pytest.importorskip(backend)
    if backend == "onnx":
        pytest.importorskip("onnxscript")
    folder = tmp_path / "bundles" / "one"
    with limited(15_000):
        done = endoexit("export", tiny_run, "--backend", backend, "--out", folder)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    *_, error = done.stderr.splitlines()
    assert error.startswith("error: cannot write ")
    assert error.endswith(
        "File too large. Nothing was changed; free space or choose another folder and run again."
    )
    assert not list((tmp_path / "bundles").iterdir())


def test_a_cache_says_what_is_full(tiny_run, tmp_path):
    cache = tmp_path / "cache"
    out = tmp_path / "out.json"
    with limited(10_000):
        done = endoexit("evaluate", tiny_run, "--no-timing", "--cache", cache, "--out", out)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    *_, error = done.stderr.splitlines()
    assert error.startswith(f"error: cannot write {cache}")
    assert "free space" in error
