"""Parquet tables that are written row by row."""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

ROW_GROUP = 8192


@contextlib.contextmanager
def writing_parquet(
    path: Path, schema: "pa.Schema"
) -> Iterator[Callable[[Mapping[str, Any]], None]]:
    """Yield a function that writes one row, by column; memory does not grow with the table.

    Args:
        path: File in a folder that appears when all is written.
        schema: Columns and their types.
    """
    import pyarrow as pa  # noqa: PLC0415  (slow to import, and only needed here)
    import pyarrow.parquet as pq  # noqa: PLC0415

    rows: list[Mapping[str, Any]] = []
    with pq.ParquetWriter(path, schema) as writer:

        def flush() -> None:
            writer.write_table(pa.Table.from_pylist(rows, schema))
            rows.clear()

        def write(row: Mapping[str, Any]) -> None:
            rows.append(row)
            if len(rows) == ROW_GROUP:
                flush()

        yield write
        if rows:
            flush()
