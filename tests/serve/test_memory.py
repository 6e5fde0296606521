"""Whether a second model fits: the estimate, and what is said where it does not."""

from types import SimpleNamespace

import pytest

from endoexit.artifacts.bundle import open_source
from endoexit.errors import RunError
from endoexit.serve import memory
from endoexit.serve.memory import NoMemoryError, check_memory, memory_needed


def test_the_estimate_grows_with_the_weights_and_with_a_batch(served_run):
    weights = (served_run / "weights.safetensors").stat().st_size
    side = open_source(served_run).config.preprocessing.size
    single, more = memory_needed(served_run, 1), memory_needed(served_run, 17)
    assert single > 2 * weights
    assert (more - single) % (16 * side**2 * 3 * 4) == 0
    assert more > single


def test_a_bundle_needs_what_its_stages_need(tmp_path, monkeypatch):
    (tmp_path / "stages").mkdir()
    for number in (1, 2):
        (tmp_path / "stages" / f"{number}.bin").write_bytes(bytes(1000))
    preprocessing = SimpleNamespace(size=10)
    source = SimpleNamespace(kind="bundle", config=SimpleNamespace(preprocessing=preprocessing))
    monkeypatch.setattr(memory, "open_source", lambda path: source)
    assert memory_needed(tmp_path, 2) == 4 * 2000 + 32 * 10 * 10 * 3 * 4 * 2


def test_a_model_without_memory_is_refused_with_both_figures_and_a_remedy(served_run, monkeypatch):
    needed = memory_needed(served_run, 16)
    monkeypatch.setattr(memory, "free_memory", lambda: needed)
    check_memory(served_run, 16)
    monkeypatch.setattr(memory, "free_memory", lambda: needed - 1)
    with pytest.raises(NoMemoryError, match=r"needs about \d+ MiB .* \d+ MiB are free: give"):
        check_memory(served_run, 16)


def test_what_is_no_model_is_refused_as_such(tmp_path):
    with pytest.raises(RunError):
        check_memory(tmp_path, 16)
