"""Rows of predictions as CSV, JSON lines or Parquet: whole or not at all."""

import contextlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TextIO

from endoexit.errors import UsageError
from endoexit.files import csv_line, replacing
from endoexit.naming import naming
from endoexit.runtime.outputs.parquet import writing_parquet
from endoexit.runtime.predictor import PredictedRow

SUFFIXES = (".csv", ".jsonl", ".parquet")

Row = PredictedRow[Any]
Write = Callable[[Row], None]


class Layout:
    """The columns of the output, the same in every format.

    `path`, `label`, `probability`, `exit`, one `p_<class>` a class, `milliseconds`, one `ms_<k>`
    a stage (empty where stage k did not run), `error`; with a deadline also `deadline`: "kept",
    "cut" (time ran out before the policy was satisfied) or "missed" (the answer came too late).
    With `referral` also `status`, "answered" or "referred", and `reason`, "unsure" or "unlike"; a
    referred row has no label and no probability of one, as its most probable class is no answer.
    A row with an error has nothing else but its path. The column `path` holds what images are
    called, see `endoexit.naming`: a path, a number or a hash.

    Args:
        classes: Names of the classes, in the order of the logits.
        stages: Number of stages.
        deadline: Whether the engine has a deadline.
        referral: Whether the policy refers images to a human.
    """

    def __init__(
        self,
        classes: Sequence[str],
        stages: int,
        *,
        deadline: bool = False,
        referral: bool = False,
    ) -> None:
        self.classes = tuple(classes)
        self.deadline = deadline
        self.referral = referral
        self.columns = (
            *("path", "label", "probability", "exit"),
            *(f"p_{name}" for name in classes),
            "milliseconds",
            *(f"ms_{number}" for number in range(1, stages + 1)),
            *(("deadline",) if deadline else ()),
            *(("status", "reason") if referral else ()),
            "error",
        )

    def record(self, row: Row) -> dict[str, Any]:
        """Return a row by column; None where there is nothing."""
        record: dict[str, Any] = dict.fromkeys(self.columns)
        image = str(row.image), row.index
        record["path"] = _text(naming().name(*image))
        if row.error is not None:
            record["error"] = _text(f"{naming().mention(*image)} {row.error.fault}")
        answer = row.prediction
        if answer is None:
            return record
        rounded = [round(float(p), 6) for p in answer.probabilities]
        if answer.referred is None:
            record["label"] = self.classes[answer.label]
            record["probability"] = rounded[answer.label]
        if self.referral:
            record["status"] = "answered" if answer.referred is None else "referred"
            record["reason"] = answer.referred
        record["exit"] = answer.exit
        for name, probability in zip(self.classes, rounded, strict=True):
            record[f"p_{name}"] = probability
        record["milliseconds"] = round(answer.milliseconds, 3)
        for number, spent in enumerate(answer.stage_ms, start=1):
            record[f"ms_{number}"] = round(spent, 3)
        if self.deadline:
            late = "missed" if answer.deadline_missed else None
            record["deadline"] = late or ("cut" if answer.cut_short else "kept")
        return record


def _text(text: str) -> str:
    """Return text in which the bytes of a file name that are not UTF-8 are escaped."""
    return os.fsencode(text).decode("utf-8", "backslashreplace")


def check_suffix(path: Path) -> None:
    """Refuse an output file of unknown format before any work is done.

    Raises:
        UsageError: The suffix is none of `SUFFIXES`.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise UsageError(
            f"cannot tell the format of {path} by its suffix {path.suffix!r}: "
            f"name it {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}."
        )


@contextlib.contextmanager
def writing(path: Path, layout: Layout) -> Iterator[Write]:
    """Yield a function that writes one row; the file appears when the block ends well.

    Raises:
        UsageError: Unknown suffix.
        EndoexitError: The file cannot be written.
    """
    check_suffix(path)
    with replacing(path) as temporary:
        if path.suffix.lower() == ".parquet":
            with _parquet(temporary, layout) as write:
                yield write
            return
        with temporary.open("w", encoding="utf-8", newline="") as stream:
            yield (
                csv_lines(stream, layout)
                if path.suffix.lower() == ".csv"
                else _json_lines(stream, layout)
            )


def csv_lines(stream: TextIO, layout: Layout) -> Write:
    """Write the header; return a function that writes one row."""
    stream.write(csv_line(layout.columns))

    def write(row: Row) -> None:
        stream.write(csv_line(layout.record(row).values()))

    return write


def _json_lines(stream: TextIO, layout: Layout) -> Write:
    def write(row: Row) -> None:
        json.dump(layout.record(row), stream, ensure_ascii=False, allow_nan=False)
        stream.write("\n")

    return write


@contextlib.contextmanager
def _parquet(path: Path, layout: Layout) -> Iterator[Write]:
    import pyarrow as pa  # noqa: PLC0415  (slow to import, and only needed here)

    text = {"path", "label", "deadline", "status", "reason", "error"}
    schema = pa.schema(
        (name, pa.string() if name in text else pa.int32() if name == "exit" else pa.float64())
        for name in layout.columns
    )
    with writing_parquet(path, schema) as write:
        yield lambda row: write(layout.record(row))
