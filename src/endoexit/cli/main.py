"""The `endoexit` command: every group registered here, imported lazily inside."""

import sys

import typer

from endoexit.cli import register_all
from endoexit.cli.environment import prepare_environment
from endoexit.errors import EndoexitError

app = typer.Typer(
    name="endoexit",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="Early-exit image classifiers for endoscopy on ordinary CPUs. "
    "Research use only; not a medical device.",
)
register_all(app)


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    version: bool = typer.Option(False, "--version", help="Print the version and stop."),
) -> None:
    if version:
        from endoexit import __version__

        print(f"endoexit {__version__}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        raise typer.Exit(code=2)


def main() -> None:
    """Run the command line; expected errors print one line and set the exit code.

    Typer itself ends with 2 on wrong options, 130 on Ctrl-C and 1 on a closed pipe.
    """
    prepare_environment()
    try:
        app(prog_name="endoexit")  # also of `python -m endoexit`
    except EndoexitError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
