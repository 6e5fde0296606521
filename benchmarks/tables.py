"""Markdown tables in the docs, replaced between markers by the commands that make them."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from endoexit.files import write_text

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table; the first column is left-aligned, the others right."""
    alignment = ["---", *["---:"] * (len(header) - 1)]
    lines = [header, alignment, *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def replace_between(path: Path, name: str, text: str) -> None:
    """Put `text` between `<!-- name:begin -->` and `<!-- name:end -->` in a file.

    Raises:
        ValueError: the markers are not there, once each.
    """
    begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
    page = path.read_text(encoding="utf-8")
    if page.count(begin) != 1 or page.count(end) != 1:
        raise ValueError(f"{path} needs the markers {begin} and {end}, once each")
    before, rest = page.split(begin)
    _, after = rest.split(end)
    write_text(path, f"{before}{begin}\n\n{text}\n\n{end}{after}")
