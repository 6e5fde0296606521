"""Warnings are held back in all threads, and heard again when the last one is done."""

import threading
import warnings

import pytest

from endoexit.silence import warnings_held_back


def test_warnings_of_the_named_modules_alone_are_held_back():
    with warnings_held_back(r"nothing\."), pytest.warns(UserWarning, match="heard"):
        warnings.warn("heard", stacklevel=1)
    with warnings_held_back(r"test_silence|tests\.test_silence"):
        warnings.warn("not heard", stacklevel=1)  # else an error, as in all tests


def test_threads_that_overlap_do_not_take_back_what_others_need():
    """The first block ends while the second is inside; nothing stays behind after both."""
    before = list(warnings.filters)
    entered, leave = threading.Event(), threading.Event()

    def first() -> None:
        with warnings_held_back(r"nothing\."):
            entered.set()
            leave.wait(30)

    thread = threading.Thread(target=first)
    thread.start()
    entered.wait(30)
    with warnings_held_back():
        leave.set()
        thread.join(30)
        warnings.warn("not heard", stacklevel=1)
    assert warnings.filters == before
    with pytest.warns(UserWarning, match="heard"):
        warnings.warn("heard", stacklevel=1)
