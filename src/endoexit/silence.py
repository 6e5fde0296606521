"""Warnings of libraries, held back in all threads."""

import contextlib
import threading
import warnings
from collections.abc import Iterator

_lock = threading.Lock()
_users = 0
_stack = contextlib.ExitStack()


@contextlib.contextmanager
def warnings_held_back(module: str = "") -> Iterator[None]:
    """Hold back warnings while any thread is inside such a block.

    `warnings.catch_warnings` swaps a list that belongs to the whole process, so threads that
    overlap share one: the first sets it, the last takes it back. What one of them holds back is
    therefore held back until the last is done.

    Args:
        module: Regular expression of the modules whose warnings are meant; empty for all.
    """
    global _users  # noqa: PLW0603
    with _lock:
        if _users == 0:
            _stack.enter_context(warnings.catch_warnings())
        warnings.filterwarnings("ignore", module=module)
        _users += 1
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if _users == 0:
                _stack.close()
