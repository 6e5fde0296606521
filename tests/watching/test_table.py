"""The table of frames: what is in each column, read back from Parquet."""

from dataclasses import replace

import pyarrow.parquet as pq

from endoexit.watching.table import FrameColumns, writing_frames
from watching_rows import row


def test_rows_are_read_back_as_they_were(tmp_path):
    rows = [
        row(0, 1, exit_number=2, probability=0.8125),
        row(1, 1, reuse=True),
        row(2, 1, blind="dark"),
        row(3, 1, dropped=True),
        row(4, None, blind="dark", lag_ms=12.5),
    ]
    path = tmp_path / "frames.parquet"
    with writing_frames(path, FrameColumns(("a", "b", "c"), 4)) as write:
        for each in rows:
            write(each)
    table = pq.read_table(path).to_pylist()
    assert [record["frame"] for record in table] == [0, 1, 2, 3, 4]
    first = table[0]
    assert (first["label"], first["shown"], first["exit"]) == ("b", "b", 2)
    assert (first["probability"], first["p_b"], first["p_a"]) == (0.8125, 0.8125, 0.09375)
    assert (first["ms_1"], first["ms_2"], first["ms_3"], first["milliseconds"]) == (1, 1, None, 2)
    assert [record["reused"] for record in table] == [False, True, False, False, False]
    assert [record["dropped"] for record in table] == [False, False, False, True, False]
    assert [record["blind"] for record in table] == [None, None, "dark", None, "dark"]
    assert table[2]["label"] is table[2]["exit"] is table[2]["milliseconds"] is None
    assert (table[4]["shown"], table[4]["lag_ms"]) == (None, 12.5)


def test_a_referred_frame_has_no_label():
    columns = FrameColumns(("a", "b", "c"), 2)
    answered = row(0, 1)
    referred = replace(answered, prediction=replace(answered.prediction, referred="unsure"))
    record = columns.record(referred)
    assert record["label"] is record["probability"] is None
    assert (record["referred"], record["exit"]) == ("unsure", 1)
    assert columns.record(answered)["referred"] is None


def test_a_table_without_rows_has_its_columns(tmp_path):
    columns = FrameColumns(("a", "b"), 2)
    with writing_frames(tmp_path / "frames.parquet", columns):
        pass
    assert pq.read_table(tmp_path / "frames.parquet").column_names == list(columns.names)
