"""The report as files: the page, and every figure as PNG and SVG."""

from dataclasses import dataclass
from pathlib import Path

from endoexit.artifacts.source import Source
from endoexit.files import replacing, write_text
from endoexit.progress import Track, silent
from endoexit.reporting.material import Material
from endoexit.reporting.page import report_page

PAGE, FIGURES, FOLDER = "report.html", "figures", "report"


@dataclass(frozen=True)
class Written:
    """A report that was written.

    Attributes:
        page: File of the page.
        figures: Files of its figures.
        notes: What is missing on the page, and why.
    """

    page: Path
    figures: tuple[Path, ...]
    notes: tuple[str, ...]


def report_folder(source: Source, out: Path | None = None) -> Path:
    """Return where the report of a run or a bundle is written.

    Args:
        source: The run or the bundle.
        out: Folder that was asked for, if any.

    Raises:
        UsageError: A folder in the bundle was asked for.
    """
    return source.results() / FOLDER if out is None else source.results(out)


def write_report(
    material: Material, out: Path, *, masks: Path | None = None, track: Track = silent
) -> Written:
    """Write `report.html` and `figures/` into a folder.

    Args:
        material: See `endoexit.reporting.opening.open_material`.
        out: Folder; files of an earlier report in it are replaced.
        masks: See `report_page`.
        track: What shows progress.

    Raises:
        DataError: The folder of masks is not there.
        EndoexitError: A file cannot be written.
    """
    elsewhere = None if out == report_folder(material.source) else out
    page = report_page(material, masks=masks, out=elsewhere, track=track)
    files = []
    for picture in page.pictures:
        for suffix, content in (("svg", picture.svg), ("png", picture.png)):
            file = out / FIGURES / f"{picture.name}.{suffix}"
            with replacing(file) as temporary:
                temporary.write_bytes(content)
            files.append(file)
    write_text(out / PAGE, page.html)
    return Written(out / PAGE, tuple(files), page.notes)
