"""How a command that fails as a whole ends: a message, with `--json` a document, an exit code."""

import contextlib
import sys
from dataclasses import dataclass
from typing import Any, Protocol, TypeGuard, cast

from endoexit.cli.console import print_document, printed_document
from endoexit.cli.streams import OutputError

AS_JSON = "--json"
INTERRUPTED = 130  # what shells report for a process that Ctrl-C ended
_PREFIX = "Value error, "  # which the parser puts before the words for a choice that does not exist


class WrongUsage(Protocol):
    """What Typer raises for wrong options and arguments, under the names of its versions."""

    exit_code: int
    message: str

    def format_message(self) -> str:
        """Return what is wrong."""
        ...


def is_wrong_usage(error: Exception) -> TypeGuard[WrongUsage]:
    """Return whether Typer raised an error because of the command line."""
    return hasattr(error, "format_message") and hasattr(error, "exit_code")


@dataclass(frozen=True)
class Failures:
    """What is printed when a command fails as a whole.

    Attributes:
        as_json: Whether standard output gets a document.
    """

    as_json: bool

    def document(self, message: str, exit_code: int) -> int:
        """Print the document, if one was asked for and none was printed; return the exit code."""
        if self.as_json and not printed_document():
            # An output that takes nothing: stderr has told.
            with contextlib.suppress(OSError, OutputError):
                print_document({"error": message, "exit_code": exit_code})
                sys.stdout.flush()
        return exit_code

    def wrong_usage(self, error: WrongUsage) -> int:
        """Print what is wrong with the command line; return the exit code."""
        from typer.rich_utils import rich_format_error

        error.message = error.message.replace(_PREFIX, "")
        rich_format_error(cast(Any, error))  # a class that Typer hides
        return self.document(error.format_message(), error.exit_code)
