"""The rows of one shard in its file: answers and faults by the number of the image."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from endoexit.archiving.document import ShardFile
from endoexit.errors import ImageError, RunError
from endoexit.files import sha256_bytes, sha256_file, write_once
from endoexit.runtime.prediction import Prediction
from endoexit.runtime.predictor import PredictedRow

_COLUMNS = ("id", "label", "exit", "probabilities", "stage_ms", "fault")
_REFERRED = "referred"  # a column only of files in which an image is referred
_OTHER_ROWS = "its rows are not those of its shard"


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one image.

    Attributes:
        id: Number of the image in the job, from 0.
        prediction: Answer; None for an image that could not be read.
        fault: Reason why it could not be read; None when it could.
    """

    id: int
    prediction: Prediction | None
    fault: str | None

    def row(self, image: object) -> PredictedRow[Any]:
        """Return it as a row of predictions.

        Args:
            image: The image, as it is to be named.
        """
        error = None if self.fault is None else ImageError(self.fault)
        return PredictedRow(self.id, image, self.prediction, error)


def write_results(file: Path, first: int, rows: Iterable[PredictedRow[Any]]) -> ShardFile:
    """Write the rows of a shard: under a temporary name, then renamed. The name is the commit.

    A file that is there already stays: a worker that was taken for lost may come late.

    Args:
        file: File of the shard.
        first: Number of its first image in the job.
        rows: Its rows, in order.

    Returns:
        What the manifest says of the file.

    Raises:
        WriteError: It cannot be written.
        RunError: A file is there already, and is damaged.
    """
    import pyarrow as pa  # noqa: PLC0415  (slow to import)
    import pyarrow.parquet as pq  # noqa: PLC0415

    records = [_record(first, row) for row in rows]
    sink = pa.BufferOutputStream()
    referring = any(_REFERRED in record for record in records)
    pq.write_table(pa.Table.from_pylist(records, _schema(referring)), sink)
    content = sink.getvalue().to_pybytes()
    if not write_once(file, content):
        return describe(file, range(first, first + len(records)))
    failed = sum(record["fault"] is not None for record in records)
    return ShardFile(
        file=file.name, images=len(records), failed=failed, sha256=sha256_bytes(content)
    )


def read_results(file: Path, expected: range, classes: Sequence[str]) -> Iterator[Result]:
    """Yield the rows of a shard.

    Args:
        file: File of the shard.
        expected: Numbers of its images.
        classes: Class names in the order of the logits.

    Raises:
        RunError: The file cannot be read, or has other rows.
    """
    records = _read(file, [*_COLUMNS, _REFERRED]).to_pylist()
    if [record["id"] for record in records] != list(expected):
        raise _damaged(file, _OTHER_ROWS)
    for record in records:
        yield Result(record["id"], _prediction(file, record, len(classes)), record["fault"])


def describe(file: Path, expected: range) -> ShardFile:
    """Return what the manifest says of a file that is there.

    Raises:
        RunError: It cannot be read, or has other rows than expected.
    """
    table = _read(file, ["id", "fault"])
    if table["id"].to_pylist() != list(expected):
        raise _damaged(file, _OTHER_ROWS)
    return ShardFile(
        file=file.name,
        images=table.num_rows,
        failed=table.num_rows - table["fault"].null_count,
        sha256=sha256_file(file),
    )


def _read(file: Path, columns: list[str]) -> Any:
    import pyarrow as pa  # noqa: PLC0415  (slow to import)
    import pyarrow.parquet as pq  # noqa: PLC0415

    try:
        with pq.ParquetFile(file) as parquet:  # columns that are not there are left out
            return parquet.read(columns=columns)
    except (OSError, pa.ArrowException) as error:
        raise _damaged(file, str(error)) from error


def _prediction(file: Path, record: dict[str, Any], classes: int) -> Prediction | None:
    if record["fault"] is not None:
        return None
    label, probabilities = record["label"], record["probabilities"]
    if label is None or probabilities is None or len(probabilities) != classes:
        raise _damaged(file, "a row has neither an answer nor a fault")
    return Prediction(
        label,
        np.array(probabilities),
        record["exit"],
        tuple(record["stage_ms"]),
        referred=record.get(_REFERRED),
    )


def _damaged(file: Path, reason: str) -> RunError:
    return RunError(
        f"{file} is damaged ({reason}): remove it, and run the job again, which computes it anew."
    )


def _record(first: int, row: PredictedRow[Any]) -> dict[str, Any]:
    answer = row.prediction
    record: dict[str, Any] = {
        "id": first + row.index,
        "fault": None if row.error is None else row.error.fault,
    }
    if answer is not None:
        record |= {
            "label": answer.label,
            "exit": answer.exit,
            "probabilities": answer.probabilities.tolist(),
            "stage_ms": list(answer.stage_ms),
        }
        if answer.referred is not None:
            record[_REFERRED] = answer.referred
    return record


def _schema(referring: bool) -> Any:
    import pyarrow as pa  # noqa: PLC0415

    values = pa.list_(pa.float64())
    kinds = (pa.int64(), pa.int32(), pa.int32(), values, values, pa.string())
    schema = pa.schema(zip(_COLUMNS, kinds, strict=True))
    return schema.append(pa.field(_REFERRED, pa.string())) if referring else schema
