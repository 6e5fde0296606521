import pytest

from endoexit.runtime.forecast import StageTimes


def test_nothing_is_known_of_a_stage_that_did_not_run():
    times = StageTimes()
    times.record(1, 4, 10.0)
    assert times.forecast(2, 4) is None


def test_between_measured_sizes_it_interpolates_and_beyond_it_grows_in_proportion():
    times = StageTimes()
    times.record(1, 2, 10.0)
    times.record(1, 6, 30.0)
    assert times.forecast(1, 1) == 10.0
    assert times.forecast(1, 2) == 10.0
    assert times.forecast(1, 3) == 15.0
    assert times.forecast(1, 6) == 30.0
    assert times.forecast(1, 12) == 60.0


def test_one_slow_run_in_ten_is_overlooked_but_two_are_not():
    times = StageTimes()
    for ms in [5.0] * 10 + [50.0]:
        times.record(1, 1, ms)
    assert times.forecast(1, 1) == 5.0
    times.record(1, 1, 50.0)
    assert times.forecast(1, 1) == pytest.approx(5.0)
    times.record(1, 1, 50.0)
    assert times.forecast(1, 1) == 50.0


def test_old_durations_are_forgotten():
    times = StageTimes()
    for ms in [50.0] * 40 + [5.0] * 32:
        times.record(1, 1, ms)
    assert times.forecast(1, 1) == 5.0
