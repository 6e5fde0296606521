"""`--dicom-out` of `endoexit predict`: its options, and what is said of the files."""

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from endoexit.cli.console import Output

if TYPE_CHECKING:
    from endoexit.runtime.outputs.dicom.folder import DicomFiles, Written
    from endoexit.runtime.session import Session

_SHOWN = 5  # faults that are named on the terminal

DicomOutOption = Annotated[
    Path | None,
    typer.Option(help="Write the answers as DICOM objects into this new folder."),
]
DicomAsOption = Annotated[
    Literal["sr", "sc", "both"] | None,
    typer.Option(
        help="Structured reports, captures that show the answer next to the image, or both.  "
        "[default: sr]"
    ),
]
IdentityOption = Annotated[
    Literal["drop", "keep"] | None,
    typer.Option(
        help="Patient and study of DICOM images in the DICOM objects: left out, or kept for "
        "writing back to their archive.  [default: drop]"
    ),
]

Kind = Literal["sr", "sc", "both"]
Identity = Literal["drop", "keep"]


def check_dicom_out(folder: Path | None, kind: Kind | None, identity: Identity | None) -> None:
    """Refuse what cannot be written before any work is done.

    Raises:
        UsageError: An option without `--dicom-out`, a folder that is not empty, or a missing
            package.
    """
    from endoexit.errors import UsageError
    from endoexit.files import require_new_folder
    from endoexit.runtime.outputs.dicom.making import check_installed

    if folder is None:
        given = "--dicom-as" if kind is not None else "--identity"
        if kind is not None or identity is not None:
            raise UsageError(f"{given} says how DICOM objects are written: name --dicom-out DIR.")
        return
    require_new_folder(folder)
    check_installed()


@contextlib.contextmanager
def writing_dicom(
    folder: Path | None, kind: Kind | None, identity: Identity | None, session: "Session"
) -> Iterator["DicomFiles | None"]:
    """Yield what takes the rows; None where no DICOM objects were asked for."""
    if folder is None:
        yield None
        return
    from endoexit.runtime.outputs.dicom.answers import ModelFacts
    from endoexit.runtime.outputs.dicom.folder import dicom_files

    model = ModelFacts.of(session)
    with dicom_files(folder, model, kind or "sr", identity or "drop") as files:
        yield files


def say_written(
    output: Output, written: "Written", folder: Path, identity: Identity | None
) -> None:
    """Say on stderr what was written, what was not, and what to take care of."""
    from endoexit.errors import counted

    reports, captures = counted(written.reports, "report"), counted(written.captures, "capture")
    print(f"Written: {folder}: {reports}, {captures}", file=sys.stderr)
    if identity == "keep":
        output.warn(f"the files in {folder} tell who the patients are.")
    elif written.burned_in:
        output.warn(
            f"{counted(written.burned_in, 'capture')} in {folder} may show text that was burned "
            "into the image, such as a name: look at them before you share them."
        )
    for name, fault in written.faults[:_SHOWN]:
        print(f"no DICOM object for {name}: it {fault}", file=sys.stderr)
    if len(written.faults) > _SHOWN:
        print(f"and {len(written.faults) - _SHOWN} more.", file=sys.stderr)


def dicom_document(
    written: "Written", folder: Path, kind: Kind | None, identity: Identity | None
) -> dict[str, Any]:
    """Return what was written, for the document of `--json`."""
    return {
        "folder": str(folder),
        "as": kind or "sr",
        "identity": identity or "drop",
        "reports": written.reports,
        "captures": written.captures,
        "may_show_burned_in_text": written.burned_in,
        "not_written": [{"image": name, "error": fault} for name, fault in written.faults],
    }
