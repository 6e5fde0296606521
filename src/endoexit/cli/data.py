"""`endoexit data`: a public data set from its authors, or from an archive, into a folder."""

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from endoexit.cli.console import JsonOption, Output, progress
from endoexit.errors import UsageError

if TYPE_CHECKING:
    from endoexit.datasets.obtain import Obtained


def data(
    name: Annotated[
        str, typer.Argument(help="Data set: kvasir-v1, kvasir-v2 or hyperkvasir.", metavar="NAME")
    ],
    *,
    out: Annotated[Path, typer.Option(help="Folder for archive, images and facts.")],
    accept_terms: Annotated[
        bool, typer.Option("--accept-terms", help="Accept the terms of the authors.")
    ] = False,
    file: Annotated[
        Path | None,
        typer.Option("--from", help="Archive that you have; nothing is downloaded."),
    ] = None,
    url: Annotated[
        str | None, typer.Option(help="Address of a mirror, in place of the authors'.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Download a public data set, verify it, and unpack it.

    A download that was interrupted continues where it was. The checksum of an archive is
    written down at its first download and checked at every later one. Proxies are read from the
    environment (HTTPS_PROXY, NO_PROXY).

    Example: `endoexit data kvasir-v1 --out data --accept-terms`
    """
    from endoexit.datasets.catalog import find_release
    from endoexit.datasets.obtain import obtain, refuse_without_terms

    release = find_release(name)
    if file is not None and url is not None:
        raise UsageError("--from and --url exclude each other: an archive that is here, or there.")
    command = shlex.join(["endoexit", *sys.argv[1:]])
    refuse_without_terms(release, accepted=accept_terms, command=command)
    output = Output(as_json)
    obtained = obtain(
        release, out, file=file, urls=(url,) if url is not None else (), track=progress
    )
    for note in obtained.notes:
        output.warn(note)
    _say(output, obtained)
    output.document({**obtained.document, "folder": str(obtained.folder)})


def _say(output: Output, obtained: "Obtained") -> None:
    from endoexit.cli.tables import paragraph
    from endoexit.datasets.catalog import INSET, LEAKING_FOLDS, NO_PATIENTS

    release, archive = obtained.release, obtained.document["archive"]
    images = sum(obtained.document["images_by_class"].values())
    if obtained.already:
        output.say(f"{obtained.folder} is here already; {obtained.record} says where from.")
    else:
        first = (
            "seen for the first time, written down" if archive["first_seen_now"] else "as before"
        )
        output.say(
            f"{release.title}: {images} images in {obtained.folder}",
            f"SHA-256 {archive['sha256']}, {first} in {archive['checksums_are_kept_in']}",
            f"Written: {obtained.record} (origin, terms, facts)",
        )
    output.say(paragraph(f"Terms: {release.terms}"), paragraph(f"Cite: {release.citation}"))
    output.say(paragraph(f"{NO_PATIENTS} {INSET}"))
    if release.folds:
        output.say(paragraph(LEAKING_FOLDS))
    output.say(f"Next: endoexit reproduce kvasir {shlex.quote(str(obtained.folder))}")
