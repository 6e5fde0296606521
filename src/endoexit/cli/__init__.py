"""The command line: one file a command, heavy imports inside the commands.

A module of this package that is named in `COMMANDS` has the command, or the group of commands, of
its name. It imports nothing slower than typer at its top.
"""

import importlib

import typer

COMMANDS = (
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


def register_all(app: typer.Typer) -> None:
    """Add all commands to `app`, in the order of the user's work."""
    for name in COMMANDS:
        command = getattr(importlib.import_module(f"endoexit.cli.{name}"), name)
        if isinstance(command, typer.Typer):
            app.add_typer(command, name=name)
        else:
            app.command(name)(command)
