"""Placeholder until its owner fills it."""

import typer


def register(app: typer.Typer) -> None:
    """Add the commands."""
