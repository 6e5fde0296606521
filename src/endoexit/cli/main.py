"""The `endoexit` command: every command registered here, imported lazily inside."""

import os
import sys

import typer

from endoexit.cli import register_all
from endoexit.cli.environment import prepare_environment
from endoexit.cli.failures import AS_JSON, INTERRUPTED, Failures, is_wrong_usage
from endoexit.cli.streams import open_standard_streams, send_to_null
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
    from endoexit.naming import naming_kept

    context.with_resource(naming_kept())  # until the command ends
    if version:
        from endoexit import __version__

        print(f"endoexit {__version__}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        raise typer.Exit(code=2)


def main() -> None:
    """Run the command line and end the process with its exit code.

    Exit code 0: done; 1: failed, in part or whole; 2: wrong usage; 75: paused as asked, and to
    be continued; 130: stopped by Ctrl-C. A closed pipe is 1 without a word. With `--json`, a
    command that fails as a whole prints a document with the error.
    """
    from endoexit.offline import stay_offline

    open_standard_streams()
    prepare_environment()
    stay_offline()
    _ignore_settings_of_matplotlib()
    sys.exit(_run(Failures(as_json=AS_JSON in sys.argv[1:])))


def _ignore_settings_of_matplotlib() -> None:
    """Keep the user's settings of plots from failing the import that some libraries do."""
    os.environ.update(MATPLOTLIBRC=os.devnull, MPLBACKEND="agg")


def _run(failures: Failures) -> int:
    try:
        # `python -m endoexit` has the same name. Typer returns the code of `typer.Exit`.
        code = app(prog_name="endoexit", standalone_mode=False)
        sys.stdout.flush()
    except EndoexitError as error:
        print(f"error: {error}", file=sys.stderr)
        return failures.document(str(error), error.exit_code)
    except BrokenPipeError:
        send_to_null(sys.stdout.fileno())
        return 1
    except Exception as error:
        if not is_wrong_usage(error):
            failures.document(f"{type(error).__name__}: {error}", 1)
            raise  # a bug: its traceback is wanted
        return failures.wrong_usage(error)
    if code == INTERRUPTED:
        return failures.document("stopped before it was done.", INTERRUPTED)
    return code if isinstance(code, int) else 0
