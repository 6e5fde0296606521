"""The rows of a clip as a Parquet table, one row a frame."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from endoexit.runtime.outputs.parquet import writing_parquet
from endoexit.watching.answer import FrameRow

_TEXT, _WHOLE = {"label", "shown", "blind", "referred"}, {"frame", "exit"}
_TOLD = {"reused", "remembered", "cut", "dropped"}


class FrameColumns:
    """The columns of the table.

    `frame`, `time_s`, `shown`, `label`, `probability`, `exit`, one `p_<class>` a class, `referred`,
    `reused`, `remembered`, `blind`, `cut`, `change`, `distance`, `dropped`, `milliseconds`, one
    `ms_<k>` a stage, `lag_ms`. Probabilities are not rounded. What does not apply is empty.

    Args:
        classes: Names of the classes, in the order of the logits.
        stages: Number of stages.
    """

    def __init__(self, classes: Sequence[str], stages: int) -> None:
        self.classes = tuple(classes)
        self.names = (
            *("frame", "time_s", "shown", "label", "probability", "exit"),
            *(f"p_{name}" for name in classes),
            *("referred", "reused", "remembered", "blind", "cut", "change", "distance", "dropped"),
            "milliseconds",
            *(f"ms_{number}" for number in range(1, stages + 1)),
            "lag_ms",
        )

    def record(self, row: FrameRow) -> dict[str, Any]:
        """Return a row by column."""
        record: dict[str, Any] = dict.fromkeys(self.names)
        record |= {
            "frame": row.index,
            "time_s": row.time_s,
            "shown": None if row.shown is None else self.classes[row.shown],
            "reused": row.reused,
            "remembered": row.remembered,
            "blind": row.blind,
            "dropped": row.dropped,
            "lag_ms": row.lag_ms,
        }
        if row.look is not None:
            record |= {
                "cut": row.look.cut, "change": row.look.change, "distance": row.look.distance,
            }  # fmt: skip
        answer = row.prediction
        if answer is not None:
            record |= {
                "exit": answer.exit,
                "referred": answer.referred,
                "milliseconds": answer.milliseconds,
            }
            if answer.referred is None:  # the most probable class of a referred one is no answer
                record["label"] = self.classes[answer.label]
                record["probability"] = float(answer.probabilities[answer.label])
            for name, value in zip(self.classes, answer.probabilities.tolist(), strict=True):
                record[f"p_{name}"] = value
            for number, spent in enumerate(answer.stage_ms, start=1):
                record[f"ms_{number}"] = spent
        return record

    def kind(self, name: str) -> str:
        """Return the kind of a column: "text", "whole", "told" (yes or no) or "number"."""
        if name in _TEXT:
            return "text"
        return "whole" if name in _WHOLE else "told" if name in _TOLD else "number"


@contextlib.contextmanager
def writing_frames(path: Path, columns: FrameColumns) -> Iterator[Callable[[FrameRow], None]]:
    """Yield a function that writes one row; memory does not grow with the clip.

    Args:
        path: File in a folder that appears when all is written.
        columns: Columns of the table.
    """
    import pyarrow as pa  # noqa: PLC0415  (slow to import)

    kinds = {"text": pa.string(), "whole": pa.int64(), "told": pa.bool_(), "number": pa.float64()}
    schema = pa.schema([(name, kinds[columns.kind(name)]) for name in columns.names])
    with writing_parquet(path, schema) as write:
        yield lambda row: write(columns.record(row))
