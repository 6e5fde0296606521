"""Markdown tables in the docs, replaced between markers by the commands that make them."""

import re
import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path

from endoexit.files import write_text
from endoexit.tables import Column, Table

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table; the first column is left-aligned, the others right."""
    columns = (Column(header[0]), *(Column(heading, form=str) for heading in header[1:]))
    return Table("", columns, tuple(map(tuple, rows))).markdown()


def mean_and_range(values: Sequence[float]) -> str:
    """Return the mean of seeds, with the smallest and the largest where there are several."""
    if len(values) == 1:
        return f"{values[0]:.1f}"
    return f"{statistics.fmean(values):.1f} ({min(values):.1f}–{max(values):.1f})"


def without_places(command: str) -> str:
    """Return a command line without the folders of this machine: absolute paths lose theirs."""
    return re.sub(r"(?<![^\s'=\"])/(?:[^\s/'\"]+/)*(?=[^\s/'\"])", "", command)


def replace_between(path: Path, name: str, text: str) -> None:
    """Put `text` between `<!-- name:begin -->` and `<!-- name:end -->` in a file.

    Raises:
        ValueError: A marker is missing, or is there more than once.
    """
    begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
    page = path.read_text(encoding="utf-8")
    if page.count(begin) != 1 or page.count(end) != 1:
        raise ValueError(f"{path} needs the markers {begin} and {end}, once each")
    before, rest = page.split(begin)
    _, after = rest.split(end)
    write_text(path, f"{before}{begin}\n\n{text}\n\n{end}{after}")
