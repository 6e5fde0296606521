"""How long work reports what is done of it: the caller opens a bar for each step."""

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Protocol


class Bar(Protocol):
    """Counts what is done of one step."""

    def advance(self, count: int = 1) -> None:
        """Count `count` items as done."""


Track = Callable[[str, int | None], AbstractContextManager[Bar]]
"""Opens a bar, given a description and the number of items (None where it is not known).

`cli.console.progress` is one.
"""


class _Silence:
    def advance(self, count: int = 1) -> None:
        """Show nothing."""


@contextlib.contextmanager
def silent(description: str, total: int | None) -> Iterator[Bar]:
    """Show no progress."""
    del description, total
    yield _Silence()
