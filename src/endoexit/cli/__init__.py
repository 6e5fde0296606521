"""The command line: one file a command group, heavy imports inside the commands.

A module of this package that offers commands has `register(app)`, which adds
them; it imports nothing slower than typer at its top.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import typer

GROUPS = (
    "data",
    "audit",
    "split",
    "train",
    "cascade",
    "evaluate",
    "calibrate",
    "export",
    "predict",
    "video",
    "archive",
    "serve",
    "bench",
    "report",
    "explain",
    "models",
    "compare",
    "reproduce",
    "demo",
)


def register_all(app: "typer.Typer") -> None:
    """Add the commands of every group to `app`, in the order of the user's work."""
    for group in GROUPS:
        importlib.import_module(f"endoexit.cli.{group}").register(app)
