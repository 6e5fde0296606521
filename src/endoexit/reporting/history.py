"""`metrics.csv` of a run: what every epoch measured, and which epoch's weights were kept."""

import csv
from pathlib import Path

from endoexit.reporting.material import Absent, History

SCORE, TIE_BREAK = "val/score", "val/tie_break"


def read_history(file: Path) -> History | Absent:
    """Read the metrics of a training; Absent where there are none, or they are damaged."""
    if not file.is_file():
        return Absent("The run has no metrics.csv: its weights were not trained by this program.")
    try:
        with file.open(encoding="utf-8", newline="") as stream:
            rows = list(csv.DictReader(stream))
        columns = {name: tuple(float(row[name]) for row in rows) for name in rows[0]}
        columns["train/loss"][0]
        return History(columns, _kept(columns))
    except (OSError, UnicodeDecodeError, csv.Error, KeyError, IndexError, TypeError, ValueError):
        return Absent("metrics.csv cannot be read; it is written while a network is trained.")


def _kept(columns: dict[str, tuple[float, ...]]) -> int | None:
    """Return the epoch whose weights were kept: the first of those with the best marks.

    None where several epochs have the best score and nothing says what broke the tie.
    """
    epochs, scores = columns["epoch"], columns.get(SCORE)
    if scores is None:  # no val role: the last weights are kept
        return int(epochs[-1])
    if TIE_BREAK in columns:
        marks = list(zip(scores, columns[TIE_BREAK], strict=True))
        return int(epochs[marks.index(max(marks))])
    best = max(scores)
    return int(epochs[scores.index(best)]) if scores.count(best) == 1 else None
