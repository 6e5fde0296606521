"""The number of threads that is fastest: measured once, kept, never trusted elsewhere."""

from types import SimpleNamespace

import numpy as np
import pytest

from endoexit.errors import UsageError
from endoexit.runtime.backends import fastest
from endoexit.runtime.backends.compiled import CompiledStages
from endoexit.runtime.backends.fastest import candidates, fastest_threads
from endoexit.runtime.session import open_session

SIZE = (1, 3, 8, 8)


@pytest.fixture
def clock(monkeypatch):
    """A quiet machine of eight cores, with a clock that only stages move."""
    fake = SimpleNamespace(now=0.0, perf_counter=lambda: fake.now)
    monkeypatch.setattr(fastest, "time", fake)
    monkeypatch.setattr(fastest, "usable_cores", lambda: 8)
    monkeypatch.setattr(fastest, "busy_warning", lambda: None)
    monkeypatch.setattr(fastest, "processor_name", lambda: "one processor")
    return fake


class Opener:
    """Opens backends whose two stages take a time that depends on the threads."""

    def __init__(self, clock, milliseconds):
        self.clock, self.milliseconds, self.opened = clock, milliseconds, []

    def __call__(self, threads):
        self.opened.append(threads)
        return SimpleNamespace(
            num_stages=2,
            expect=lambda images: None,
            start=lambda images: images,
            run=lambda number, state: self.stage(threads, state),
        )

    def stage(self, threads, state):
        assert state.shape == SIZE
        self.clock.now += self.milliseconds[threads] / 1000
        return state, np.zeros((1, 2))


def test_the_numbers_that_are_tried():
    assert [candidates(cores) for cores in (1, 2, 3, 8)] == [[1], [1, 2], [1, 2, 3], [1, 2, 4, 8]]


@pytest.mark.parametrize(
    ("milliseconds", "best", "tried"),
    [
        ({1: 10, 2: 6, 4: 4, 8: 3}, 8, [1, 2, 4, 8]),
        ({1: 10, 2: 6, 4: 5.9, 8: 1}, 2, [1, 2, 4]),  # not worth two more cores
        ({1: 2.8, 2: 4.1, 4: 5, 8: 9}, 1, [1, 2]),
        ({1: 10000, 2: 6000, 4: 5900, 8: 1}, 2, [1, 2, 4]),  # longer than the measurement may take
    ],
)
def test_threads_are_added_while_they_are_worth_it(clock, tmp_path, milliseconds, best, tried):
    opener, kept = Opener(clock, milliseconds), CompiledStages(tmp_path)
    assert fastest_threads(opener, SIZE, ("a",), kept) == best
    assert opener.opened == tried
    assert fastest_threads(opener, SIZE, ("a",), kept) == best
    assert opener.opened == tried, "measured again"


@pytest.mark.parametrize("change", ["processor", "cores", "facts", "size", "damage", "nonsense"])
def test_what_was_measured_elsewhere_is_measured_anew(clock, tmp_path, monkeypatch, change):
    kept = CompiledStages(tmp_path)
    assert fastest_threads(Opener(clock, {1: 2, 2: 1, 4: 2}), SIZE, ("a",), kept) == 2
    facts = ("b",) if change == "facts" else ("a",)
    size = (2, 3, 8, 8) if change == "size" else SIZE
    (file,) = tmp_path.iterdir()
    if change == "processor":
        monkeypatch.setattr(fastest, "processor_name", lambda: "another processor")
    elif change == "cores":
        monkeypatch.setattr(fastest, "usable_cores", lambda: 4)
    elif change == "damage":
        file.write_bytes(file.read_bytes()[:-1] + b"1")
    elif change == "nonsense":
        kept.write(file.stem, b"7")
    again = Opener(clock, {1: 1, 2: 2})
    monkeypatch.setattr(again, "stage", lambda threads, state: _pass_time(again, threads, state))
    assert fastest_threads(again, size, facts, kept) == 1
    assert again.opened == [1, 2]


def _pass_time(opener, threads, state):
    opener.clock.now += opener.milliseconds[threads] / 1000
    return state, np.zeros((len(state), 2))


def test_a_busy_machine_tells_nothing(clock, tmp_path, monkeypatch):
    monkeypatch.setattr(fastest, "busy_warning", lambda: "busy")
    opener = Opener(clock, {})
    assert fastest_threads(opener, SIZE, ("a",), CompiledStages(tmp_path)) == 8
    assert opener.opened == []
    assert list(tmp_path.iterdir()) == []


def test_one_core_is_not_measured(clock, tmp_path, monkeypatch):
    monkeypatch.setattr(fastest, "usable_cores", lambda: 1)
    assert fastest_threads(Opener(clock, {}), SIZE, ("a",), CompiledStages(tmp_path)) == 1


@pytest.mark.slow
@pytest.mark.xdist_group("bundles")
@pytest.mark.parametrize("backend", ["openvino", "onnx"])
def test_a_bundle_is_measured_unless_its_threads_are_asked_for(
    bundles, tmp_path, monkeypatch, backend
):
    path = bundles.make(backend, "f32").path
    monkeypatch.setenv("ENDOEXIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(fastest, "usable_cores", lambda: 2)
    monkeypatch.setattr(fastest, "busy_warning", lambda: None)
    ratios = []
    measure = fastest._ratio

    def counted(work, other):
        ratios.append(measure(work, other))
        return 0.5  # two threads take half of the time

    monkeypatch.setattr(fastest, "_ratio", counted)
    assert open_session(path, threads=1).backend.threads == 1
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert open_session(path).backend.threads == 3
    assert ratios == []
    monkeypatch.delenv("OMP_NUM_THREADS")
    stages = open_session(path).backend
    assert stages.threads == 2
    assert len(ratios) == 1
    assert ratios[0] > 0
    assert open_session(path).backend.threads == 2
    assert len(ratios) == 1, "measured again in the next session"
    stages.expect(4)
    assert stages.threads == 2
    assert len(ratios) == 2, "batches of another size are measured on their own"


@pytest.mark.slow
@pytest.mark.xdist_group("bundles")
@pytest.mark.parametrize("backend", ["openvino", "onnx", "torch"])
def test_no_threads_are_refused(bundles, backend):
    path = bundles.make(backend, "f32").path
    with pytest.raises(UsageError, match=r"^threads must be at least 1, got 0\.$"):
        _ = open_session(path, threads=0).engine
