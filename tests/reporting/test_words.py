"""Words: names that are cut, the signs of print, what the clock decides."""

from endoexit.policy import deadline_policy, threshold_policy
from endoexit.reporting.words import by_the_clock, elided, in_print


def test_names_keep_both_ends():
    assert elided("polyp", 10) == "polyp"
    assert elided("bbps-colon-0-1", 10) == "bbps-c…0-1"
    assert all(len(elided("x" * 99, length)) == length for length in range(4, 30))


def test_a_negative_difference_has_a_minus_not_a_hyphen():
    assert in_print("-2.1 [-4.0, +0.3]") == "−2.1 [−4.0, +0.3]"
    assert in_print("grade-2 <= 0.1, 5-6 ms, e-05") == "grade-2 ≤ 0.1, 5-6 ms, e-05"
    assert in_print("accuracy >= final exit - 0.01") == "accuracy ≥ final exit − 0.01"


def test_what_the_clock_decides_is_told():
    sure = threshold_policy(4, 0.75)
    assert by_the_clock(None) == by_the_clock(sure) == []
    alone, too = by_the_clock(deadline_policy(4, 30)), by_the_clock(sure.replaced(deadline_ms=30.0))
    assert alone[0].startswith("The clock decides: an image has the answer of the last exit that")
    assert too[0].startswith("The clock decides as well: an image")
