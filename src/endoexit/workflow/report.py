"""`endoexit.report`: an evaluation as a page with figures."""

from pathlib import Path

from endoexit.files import optional_path
from endoexit.progress import Track, silent
from endoexit.reporting.opening import open_material
from endoexit.reporting.write import Written, report_folder, write_report


def report(
    run: str | Path,
    *,
    out: str | Path | None = None,
    evaluation: str | Path | None = None,
    images: str | Path | None = None,
    masks: str | Path | None = None,
    audit: str | Path | None = None,
    paper: bool | None = None,
    track: Track = silent,
) -> Written:
    """Show an evaluation as one page with all figures, and write these as PNG and SVG.

    The page needs no network and no other file. It holds some of the images, so their terms hold
    for it too.

    Args:
        run: Folder of a run or a bundle that was evaluated.
        out: Folder for page and figures. By default `<run>/report`; of a bundle,
            `<bundle>-evaluation/report`.
        evaluation: Another evaluation of the run. By default its `evaluation.json`.
        images: Folder of the images, if they moved. By default the one in the manifest.
        masks: Folder with masks of the finding, named as the images. By default `masks`, if there.
        audit: File that the audit wrote. By default `audit.json` in the run or its folder.
        paper: Whether the exit paper's measurements are drawn too. By default for its networks.
        track: Display of progress. By default none.

    Returns:
        The page, its figures, and what is missing on it.

    Raises:
        RunError: It is no run or bundle, was not evaluated, or its weights have changed since.
        DataError: A folder or an audit that was named is not there, or is not one.
        UsageError: `out` is a folder in the bundle.
        WriteError: A file cannot be written.
    """
    evaluation, images, masks, audit = (
        optional_path(value) for value in (evaluation, images, masks, audit)
    )
    material = open_material(
        Path(run), evaluation=evaluation, images=images, audit=audit, paper=paper
    )
    folder = report_folder(material.source, optional_path(out))
    return write_report(material, folder, masks=optional_path(masks), track=track)
