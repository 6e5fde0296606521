"""The file of a shard: what is written comes back; other rows and damage are refused."""

import numpy as np
import pytest

from endoexit.archiving.results import describe, read_results, write_results
from endoexit.errors import ImageError, RunError
from endoexit.files import sha256_file
from endoexit.runtime.prediction import Prediction
from endoexit.runtime.predictor import PredictedRow

CLASSES = ("a", "b")
ROWS = [
    PredictedRow(0, "x", Prediction(1, np.array([1 / 3, 2 / 3]), 2, (1.5, 0.1))),
    PredictedRow(1, "y", error=ImageError("is empty: restore it.", "y")),
    PredictedRow(2, "z", Prediction(0, np.array([0.9, 0.1]), 1, (3.25,))),
]


@pytest.fixture
def file(tmp_path):
    return tmp_path / "out" / "shard.parquet"


def test_rows_come_back_exactly(file):
    entry = write_results(file, 40, ROWS)
    assert (entry.file, entry.images, entry.failed) == ("shard.parquet", 3, 1)
    assert entry.sha256 == sha256_file(file)
    assert describe(file, range(40, 43)) == entry
    assert [path.name for path in file.parent.iterdir()] == ["shard.parquet"]
    read = [result.row(name) for result, name in
            zip(read_results(file, range(40, 43), CLASSES), "xyz", strict=True)]  # fmt: skip
    for before, after in zip(ROWS, read, strict=True):
        assert (after.index, after.image) == (before.index + 40, before.image)
        if before.error is not None:
            assert after.error is not None
            assert (after.error.fault, after.prediction) == (before.error.fault, None)
            continue
        assert after.error is None
        for name in ("label", "exit", "stage_ms", "cut_short"):
            assert getattr(after.prediction, name) == getattr(before.prediction, name)
        assert (after.prediction.probabilities == before.prediction.probabilities).all()


def test_the_file_of_a_worker_that_comes_late_replaces_nothing(file):
    entry = write_results(file, 40, ROWS)
    late = [ROWS[0], ROWS[1], PredictedRow(2, "z", Prediction(0, np.array([0.9, 0.1]), 1, (9.5,)))]
    assert write_results(file, 40, late) == entry
    assert sha256_file(file) == entry.sha256
    with pytest.raises(RunError, match="not those of its shard"):
        write_results(file, 41, ROWS)


def test_other_rows_are_refused(file):
    write_results(file, 40, ROWS)
    for expected in (range(39, 42), range(40, 44), range(40, 42)):
        for read in (lambda e: list(read_results(file, e, CLASSES)), lambda e: describe(file, e)):
            with pytest.raises(RunError, match=r"not those of its shard\): remove it, and run"):
                read(expected)


def test_damage_is_refused(file):
    write_results(file, 0, ROWS)
    with pytest.raises(RunError, match="neither an answer nor a fault"):
        list(read_results(file, range(3), ("a", "b", "c")))
    file.write_bytes(file.read_bytes()[:-9])
    with pytest.raises(RunError, match="which computes it anew"):
        list(read_results(file, range(3), CLASSES))


def test_a_shard_that_breaks_off_leaves_nothing(file):
    def rows():
        yield ROWS[0]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_results(file, 0, rows())
    assert not file.parent.exists()


def test_a_referred_image_comes_back_with_its_reason(file):
    unsure = Prediction(1, np.array([0.4, 0.6]), 2, (1.0, 1.0), referred="unsure")
    write_results(file, 0, [ROWS[0], PredictedRow(1, "y", unsure)])
    first, second = read_results(file, range(2), CLASSES)
    assert (first.prediction.referred, second.prediction.referred) == (None, "unsure")
