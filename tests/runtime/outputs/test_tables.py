import csv
import json
import os
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from endoexit.errors import ImageError, UsageError
from endoexit.images.reference import ImageRef
from endoexit.runtime.outputs import parquet
from endoexit.runtime.outputs import tables as output
from endoexit.runtime.outputs.tables import Layout, check_suffix, writing
from endoexit.runtime.prediction import Prediction
from endoexit.runtime.predictor import PredictedRow

CLASSES = ("clean, bowel", "polyp")
BROKEN = ImageRef(Path("b, c.jpg"))
ROWS = (
    PredictedRow(0, ImageRef(Path("a.jpg")), Prediction(1, np.array([0.25, 0.75]), 2, (1.25, 2.5))),
    PredictedRow(1, BROKEN, error=ImageError("is empty", BROKEN)),
    PredictedRow(2, ImageRef(Path("é.jpg")), Prediction(0, np.array([2 / 3, 1 / 3]), 1, (1.0,))),
)
RECORDS = [
    {"path": "a.jpg", "label": "polyp", "probability": 0.75, "exit": 2,
     "p_clean, bowel": 0.25, "p_polyp": 0.75, "milliseconds": 3.75, "ms_1": 1.25, "ms_2": 2.5,
     "error": None},
    {"path": "b, c.jpg", "label": None, "probability": None, "exit": None,
     "p_clean, bowel": None, "p_polyp": None, "milliseconds": None, "ms_1": None, "ms_2": None,
     "error": "b, c.jpg is empty"},
    {"path": "é.jpg", "label": "clean, bowel", "probability": 0.666667, "exit": 1,
     "p_clean, bowel": 0.666667, "p_polyp": 0.333333, "milliseconds": 1.0, "ms_1": 1.0,
     "ms_2": None, "error": None},
]  # fmt: skip


def write_all(path, rows=ROWS, **options):
    with writing(path, Layout(CLASSES, 2, **options)) as write:
        for row in rows:
            write(row)


def test_csv(tmp_path):
    write_all(tmp_path / "out.csv")
    text = (tmp_path / "out.csv").read_text(encoding="utf-8")
    assert text.splitlines()[1] == "a.jpg,polyp,0.75,2,0.25,0.75,3.75,1.25,2.5,"
    read = list(csv.DictReader(text.splitlines()))
    assert read == [
        {name: "" if value is None else str(value) for name, value in record.items()}
        for record in RECORDS
    ]
    assert list(read[0]) == list(RECORDS[0])


def test_json_lines(tmp_path):
    write_all(tmp_path / "out.JSONL")
    lines = (tmp_path / "out.JSONL").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in lines] == RECORDS
    assert list(json.loads(lines[0])) == list(RECORDS[0])


def test_parquet(tmp_path, monkeypatch):
    monkeypatch.setattr(parquet, "ROW_GROUP", 2)
    write_all(tmp_path / "out.parquet")
    table = pq.read_table(tmp_path / "out.parquet")
    assert table.to_pylist() == RECORDS
    assert [str(kind) for kind in table.schema.types] == [
        "string", "string", "double", "int32", *["double"] * 5, "string",
    ]  # fmt: skip
    assert pq.ParquetFile(tmp_path / "out.parquet").num_row_groups == 2


@pytest.mark.parametrize("suffix", output.SUFFIXES)
def test_an_error_on_the_way_leaves_the_old_file_and_nothing_else(tmp_path, suffix):
    path = tmp_path / f"out{suffix}"
    path.write_text("precious")

    def interrupted():
        yield ROWS[0]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_all(path, interrupted())
    assert path.read_text() == "precious"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("suffix", output.SUFFIXES)
def test_nothing_appears_before_the_end(tmp_path, suffix):
    path = tmp_path / f"out{suffix}"
    with writing(path, Layout(CLASSES, 2)) as write:
        write(ROWS[0])
        assert not path.exists()
    assert path.exists()


def test_the_deadline_has_a_column_of_its_own(tmp_path):
    probabilities = np.array([0.5, 0.5])
    rows = [
        PredictedRow(0, BROKEN, Prediction(0, probabilities, 2, (1.0, 1.0))),
        PredictedRow(1, BROKEN, Prediction(0, probabilities, 1, (1.0,), cut_short=True)),
        PredictedRow(2, BROKEN, Prediction(0, probabilities, 1, (9.0,), True, True)),
        PredictedRow(3, BROKEN, error=ImageError("is empty", BROKEN)),
    ]
    layout = Layout(CLASSES, 2, deadline=True)
    assert layout.columns[-2:] == ("deadline", "error")
    assert [layout.record(row)["deadline"] for row in rows] == ["kept", "cut", "missed", None]


@pytest.mark.parametrize("suffix", output.SUFFIXES)
def test_file_names_that_are_not_text_are_escaped(tmp_path, suffix):
    name = os.fsdecode(b"caf\xe9.jpg")
    write_all(
        tmp_path / f"out{suffix}",
        [PredictedRow(0, ImageRef(Path(name)), error=ImageError("is empty", name))],
    )
    if suffix == ".parquet":
        (record,) = pq.read_table(tmp_path / "out.parquet").to_pylist()
    else:
        text = (tmp_path / f"out{suffix}").read_text(encoding="utf-8").splitlines()
        record = json.loads(text[0]) if suffix == ".jsonl" else next(csv.DictReader(text))
    assert record["path"] == r"caf\xe9.jpg"
    assert record["error"] == r"caf\xe9.jpg is empty"


@pytest.mark.parametrize("name", ["out.xlsx", "out", "out.csv.gz"])
def test_an_unknown_suffix_is_refused_with_the_known_ones(tmp_path, name):
    with pytest.raises(UsageError, match=r"name it \.csv, \.jsonl or \.parquet"):
        check_suffix(tmp_path / name)


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_a_referred_image_has_a_reason_and_no_label(tmp_path, suffix):
    rows = [
        PredictedRow(0, ImageRef(Path("a.jpg")), Prediction(1, np.array([0.25, 0.75]), 2, (1.0,))),
        PredictedRow(1, ImageRef(Path("b.jpg")),
                     Prediction(1, np.array([0.45, 0.55]), 2, (1.0,), referred="unsure")),
        PredictedRow(2, BROKEN, error=ImageError("is empty", BROKEN)),
    ]  # fmt: skip
    file = tmp_path / f"out{suffix}"
    write_all(file, rows, referral=True)
    if suffix == ".parquet":
        read = pq.read_table(file).to_pylist()
    elif suffix == ".jsonl":
        read = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    else:
        read = list(csv.DictReader(file.read_text(encoding="utf-8").splitlines()))
    names = ("status", "reason", "label", "probability")
    facts = [tuple(row[name] or None for name in names) for row in read]
    assert [fact[:3] for fact in facts] == [
        ("answered", None, "polyp"), ("referred", "unsure", None), (None, None, None)
    ]  # fmt: skip
    assert facts[1][3] is None
    assert float(read[1]["p_polyp"]) == 0.55
