"""What commands share: common options, where output goes, progress bars."""

import contextlib
import json
import shlex
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

JsonOption = Annotated[
    bool, typer.Option("--json", help="Print one JSON document on stdout, all else on stderr.")
]
CacheOption = Annotated[
    Path | None,
    typer.Option(help="Folder of decoded images.  [default: $ENDOEXIT_CACHE or ~/.cache/endoexit]"),
]
ManifestOption = Annotated[
    Path | None, typer.Option(help="Manifest to take the images from.  [default: the run's]")
]
ThresholdOption = Annotated[
    float | None,
    typer.Option(
        min=0,
        max=1,
        help="Exit at the first exit whose confidence reaches this.  [default: the policy]",
    ),
]
PrecisionOption = Annotated[
    Literal["f32", "bf16"] | None,
    typer.Option(help="Number format of the network.  [default: f32; of a bundle, its own]"),
]
NearBitsOption = Annotated[
    int | None,
    typer.Option(help="Most bits, of 256, in which near-copies differ, 0 to 64.  [default: 15]"),
]
OldNearBitsOption = Annotated[
    int | None, typer.Option("--threshold", hidden=True, help="Old name of --near-bits.")
]
NamesOption = Annotated[
    Literal["path", "index", "hash"],
    typer.Option(help="Name of an image in messages and rows; paths may hold names of patients."),
]
NamesKeyOption = Annotated[
    Path | None,
    typer.Option(help="File with the secret key of the hash.  [default: random, used once]"),
]
NullOption = Annotated[
    bool,
    typer.Option(
        "--null", "-0", help="Paths on stdin end with a NUL byte.  [default: found by itself]"
    ),
]
FramesOption = Annotated[
    str,
    typer.Option(
        metavar="first|all|every:N",
        help="Frames of a file that holds several (DICOM, TIFF, GIF, WebP).",
    ),
]
LevelsOption = Annotated[
    Literal["class", "class/group", "group/class"] | None,
    typer.Option(
        help="Meaning of the last two levels of folders.  [default: found by their names]"
    ),
]


@dataclass(frozen=True)
class Output:
    """Where one command prints.

    With `--json`, people's text goes to stderr and one document to stdout.
    """

    as_json: bool

    @property
    def console(self) -> "Console":
        """Return the console for people."""
        from rich.console import Console

        return Console(stderr=self.as_json, soft_wrap=False, highlight=False)

    def say(self, *renderables: "RenderableType") -> None:
        """Print text, tables or other renderables for people (rich markup is off).

        Text is not broken into lines here, so that paths and commands can be copied.
        """
        console = self.console
        for renderable in renderables:
            console.print(renderable, markup=False, soft_wrap=isinstance(renderable, str))

    def warn(self, text: str) -> None:
        """Print a warning on stderr."""
        print(f"warning: {text}", file=sys.stderr)

    def warn_if_unfinished(self, *folders: Path) -> None:
        """Warn of runs with weights whose training has not ended; bundles are always whole."""
        from endoexit.artifacts.bundle import is_bundle
        from endoexit.artifacts.run import open_run
        from endoexit.artifacts.source import WEIGHTS

        for folder in folders:
            if not (folder / WEIGHTS).is_file() or is_bundle(folder):
                continue
            if not open_run(folder).is_complete:
                self.warn(
                    f"the training of {folder} was stopped or is still running: this is about the "
                    "weights kept so far. Continue with: endoexit train --resume "
                    + shlex.quote(str(folder))
                )

    def warn_without_policy(self, folder: Path) -> None:
        """Warn of a network with several exits of which only the last one answers."""
        self.warn(f"{folder} has no exit policy, so no image exits early: try --threshold 0.9.")

    def document(self, value: Any) -> None:
        """Print the JSON document, if one was asked for."""
        if self.as_json:
            print_document(value)


_printed: list[object] = []  # streams that have a document


def printed_document() -> bool:
    """Return whether standard output has its document already."""
    return sys.stdout in _printed


def print_document(value: Any) -> None:
    """Print one JSON document on stdout; what its encoding lacks is escaped as JSON does."""
    _printed[:] = [sys.stdout]
    text = json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False)
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        text = json.dumps(value, indent=2, allow_nan=False)
    print(text)


def choose_near_bits(near_bits: int | None, threshold: int | None) -> int:
    """Return the bits up to which images are near-copies; `--threshold` is the option's old name.

    Raises:
        UsageError: Both are given, or the number is out of range.
    """
    from endoexit.data.duplicates import DEFAULT_NEAR_BITS, check_threshold
    from endoexit.errors import UsageError

    if threshold is not None:
        if near_bits is not None:
            raise UsageError("--threshold is the old name of --near-bits: give --near-bits alone.")
        print("note: --threshold is called --near-bits here, and will go away.", file=sys.stderr)
    given = threshold if near_bits is None else near_bits
    bits = DEFAULT_NEAR_BITS if given is None else given
    check_threshold(bits)
    return bits


def name_images(names: Literal["path", "index", "hash"], key_file: Path | None) -> None:
    """Call images so until the command ends.

    Raises:
        UsageError: See `choose_naming`.
    """
    from endoexit.naming import call_images, choose_naming

    call_images(choose_naming(names, key_file))


class Progress:
    """A bar on stderr that shows on a terminal only; `advance()` counts one item.

    It goes away when all items are done, as what follows may draw another bar.
    """

    def __init__(self, bar: Any, task: Any) -> None:
        self._bar, self._task = bar, task

    def advance(self, count: int = 1) -> None:
        """Count `count` items as done."""
        if self._bar is not None:
            self._bar.advance(self._task, count)
            if self._bar.finished:
                self._bar.stop()


@contextlib.contextmanager
def progress(description: str, total: int | None) -> Iterator[Progress]:
    """Show a progress bar while the block runs; nothing in a pipe."""
    if not sys.stderr.isatty():
        yield Progress(None, None)
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.progress import (
        Progress as RichProgress,
    )

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
               TimeRemainingColumn())  # fmt: skip
    with RichProgress(*columns, console=Console(stderr=True), transient=True) as bar:
        yield Progress(bar, bar.add_task(description, total=total))
