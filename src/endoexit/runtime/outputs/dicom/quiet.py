"""Libraries silenced, because their warnings may quote names of patients."""

import contextlib
import logging
from collections.abc import Iterator

from endoexit.silence import warnings_held_back


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Let no library warn or log while the block runs."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings_held_back():
            yield
    finally:
        logging.disable(before)
