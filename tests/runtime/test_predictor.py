import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from table_backend import PREPROCESSING as TABLE_PREPROCESSING
from table_backend import TableBackend, numbered

from endoexit.errors import UsageError
from endoexit.images.reference import ImageRef
from endoexit.policy import fixed_exit, threshold_policy
from endoexit.runtime import predictor
from endoexit.runtime.backends.torch import TorchBackend
from endoexit.runtime.engine import Engine
from endoexit.runtime.predictor import predict_images
from tiny import PREPROCESSING


@pytest.fixture(scope="module")
def engine(model):
    return Engine(TorchBackend(model, threads=1), threshold_policy(4, 0.752), PREPROCESSING)


@pytest.fixture
def table_files(tmp_path):
    """Make numbered images on disk; every third file is broken."""

    def make(count, broken=lambda number: number % 3 == 2):
        paths = []
        for number, image in enumerate(numbered(range(count))):
            path = tmp_path / f"{number}.png"
            Image.fromarray(image).save(path)
            if broken(number):
                path.write_bytes(b"not an image")
            paths.append(path)
        return paths

    return make


def predict_refs(engine, paths, *args, **options):
    return predict_images(engine, map(ImageRef, paths), *args, **options)


def table_engine(count, **options):
    logits = np.random.default_rng(0).normal(size=(3, count, 2)) * 2
    return Engine(TableBackend(logits), threshold_policy(3, 0.8), TABLE_PREPROCESSING, **options)


def test_rows_equal_predicting_the_images_directly(engine, photos, photo_folder):
    paths = [photo_folder / f"{number}.png" for number in range(len(photos))]
    rows = list(predict_refs(engine, paths, batch_size=5))
    assert [row.image.path for row in rows] == paths
    assert all(row.error is None for row in rows)
    for row, answer in zip(rows, engine.predict(photos), strict=True):
        assert (row.prediction.label, row.prediction.exit) == (answer.label, answer.exit)
        np.testing.assert_allclose(row.prediction.probabilities, answer.probabilities, atol=1e-5)


def test_one_broken_image_in_a_batch_of_32_leaves_31_answers(table_files):
    paths = table_files(32, broken=lambda number: number == 17)
    engine = table_engine(32)
    rows = list(predict_refs(engine, paths, batch_size=32))
    assert [row.image.path for row in rows] == paths
    assert [number for number, row in enumerate(rows) if row.error] == [17]
    assert str(paths[17]) in str(rows[17].error)
    assert "is not an image" in str(rows[17].error)
    assert rows[17].prediction is None
    assert engine.backend.visits(1) == [number for number in range(32) if number != 17]


@pytest.mark.parametrize("batch_size", [1, 4, 100])
@pytest.mark.parametrize("deadline_ms", [None, 60_000.0])
def test_rows_stay_in_order_among_errors(table_files, batch_size, deadline_ms):
    paths = table_files(20)
    engine = table_engine(20, deadline_ms=deadline_ms)
    expected = engine.policy.assign(engine.backend.logits)
    rows = list(predict_refs(engine, paths, batch_size))
    assert [row.image.path for row in rows] == paths
    for number, row in enumerate(rows):
        if number % 3 == 2:
            assert row.error
        else:
            assert row.prediction.exit == expected[number]


def test_errors_do_not_keep_an_answer_waiting(table_files, tmp_path):
    good = table_files(1)
    taken = []

    def paths():
        yield good[0]
        for number in range(10_000):
            taken.append(number)
            yield tmp_path / "missing.png"

    rows = predict_refs(table_engine(1), paths(), batch_size=4)
    assert next(rows).prediction is not None
    assert len(taken) < 16 * 4 + 20
    rows.close()


def test_images_at_hand_are_answered_when_no_more_come(table_files, monkeypatch):
    monkeypatch.setattr(predictor, "IDLE_S", 0.01)
    files = table_files(4, broken=lambda _: False)
    answered = threading.Event()

    def paths():
        yield from files[:3]
        assert answered.wait(30), "the first three waited for a full batch"
        yield files[3]

    rows = predict_refs(table_engine(4), paths(), batch_size=32)
    assert [next(rows).image.path for _ in range(3)] == files[:3]
    answered.set()
    assert [row.image.path for row in rows] == files[3:]


def test_paths_that_break_off_are_answered_first(table_files):
    files = table_files(2, broken=lambda _: False)

    def paths():
        yield from files
        raise ConnectionError("the share went away")

    rows = predict_refs(table_engine(2), paths(), batch_size=32)
    assert [next(rows).image.path, next(rows).image.path] == files
    with pytest.raises(ConnectionError, match="share went away"):
        next(rows)


def test_no_paths_give_no_rows():
    assert list(predict_refs(table_engine(1), [])) == []


def test_only_broken_files(tmp_path):
    paths = [tmp_path / f"{number}.jpg" for number in range(3)]
    rows = list(predict_refs(table_engine(1), paths, batch_size=2))
    assert [row.image.path for row in rows] == paths
    assert all("does not exist" in str(row.error) for row in rows)


def test_memory_does_not_grow_with_the_number_of_paths(table_files):
    (file,) = table_files(1)
    given, ahead = 0, []

    def paths():
        for number in range(3000):
            ahead.append(number - given)
            yield file

    engine = Engine(TableBackend(np.zeros((2, 1, 2))), fixed_exit(2, 2), TABLE_PREPROCESSING)
    for _ in predict_refs(engine, paths(), batch_size=4):
        given += 1
    assert given == 3000
    # The window of the stream, a batch, and what is being read.
    assert max(ahead) <= 16 * 4 + 4 + 2 * 4 + 2 + 2


def test_the_batch_size_is_checked():
    with pytest.raises(UsageError, match="at least 1, got 0"):
        list(predict_refs(table_engine(1), [Path("x.png")], batch_size=0))


@pytest.mark.parametrize("batch_size", [1, 4])
def test_a_stream_of_images_of_mixed_sizes_answers_each_as_it_answers_it_alone(
    engine, tmp_path, batch_size
):
    random = np.random.default_rng(0)
    paths = []
    for number, (height, width) in enumerate([(40, 90), (64, 64), (300, 200), (33, 500), (97, 41)]):
        paths.append(tmp_path / f"{number}.{('png', 'jpg')[number % 2]}")
        Image.fromarray(random.integers(0, 256, (height, width, 3), np.uint8)).save(paths[-1])
    rows = list(predict_refs(engine, paths, batch_size=batch_size))
    assert [row.image.path for row in rows] == paths
    for row, path in zip(rows, paths, strict=True):
        (alone,) = engine.predict(engine.preprocessing.load(path)[None])
        assert (row.prediction.label, row.prediction.exit) == (alone.label, alone.exit)
        np.testing.assert_allclose(row.prediction.probabilities, alone.probabilities, atol=1e-5)
