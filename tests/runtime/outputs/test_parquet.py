"""Parquet tables written row by row: all rows, in groups, and none."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from endoexit.runtime.outputs import parquet
from endoexit.runtime.outputs.parquet import writing_parquet

SCHEMA = pa.schema([("name", pa.string()), ("value", pa.float64())])


@pytest.mark.parametrize(("count", "groups"), [(0, 0), (2, 1), (3, 2), (4, 2)])
def test_rows_come_back_in_groups(tmp_path, monkeypatch, count, groups):
    monkeypatch.setattr(parquet, "ROW_GROUP", 2)
    rows = [{"name": f"image {number}", "value": number / 4} for number in range(count)]
    path = tmp_path / "table.parquet"
    with writing_parquet(path, SCHEMA) as write:
        for row in rows:
            write(row)
    assert pq.read_table(path).to_pylist() == rows
    assert pq.read_schema(path).equals(SCHEMA)
    assert pq.ParquetFile(path).num_row_groups == groups
