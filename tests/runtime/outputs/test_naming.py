"""Rows name their images by path, by number or by a keyed hash, in their errors too."""

import hashlib
import hmac
from pathlib import Path

import pytest

from endoexit.errors import ImageError, UsageError
from endoexit.images.reference import ImageRef
from endoexit.runtime.outputs.naming import BY_INDEX, BY_PATH, by_hash, choose_naming
from endoexit.runtime.predictor import PredictedRow

KEY = bytes(range(32))
IMAGE = ImageRef(Path("Doe, Jane/scan.gif"), 3)
ROW = PredictedRow(6, IMAGE, error=ImageError("is empty: remove it.", IMAGE))


def test_paths_have_their_frame_and_numbers_start_at_1() -> None:
    assert (BY_PATH.shows_paths, BY_PATH.name(ROW)) == (True, "Doe, Jane/scan.gif#3")
    assert (BY_INDEX.shows_paths, BY_INDEX.name(ROW)) == (False, "7")
    assert BY_PATH.error(ROW) == "Doe, Jane/scan.gif#3 is empty: remove it."
    assert BY_INDEX.error(ROW) == "image 7 is empty: remove it."
    assert BY_INDEX.error(PredictedRow(0, IMAGE)) is None


def test_a_hash_is_that_of_the_whole_name_under_the_key() -> None:
    expected = hmac.new(KEY, b"Doe, Jane/scan.gif#3", hashlib.sha256).hexdigest()[:32]
    assert by_hash(KEY).name(ROW) == expected
    assert by_hash(KEY).error(ROW) == f"image {expected} is empty: remove it."
    assert by_hash(bytes(32)).name(ROW) != expected


def test_without_a_key_one_is_drawn_and_forgotten() -> None:
    assert choose_naming("hash").name(ROW) != choose_naming("hash").name(ROW)
    assert choose_naming("path") is BY_PATH
    assert choose_naming("index") is BY_INDEX


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, r"the key .* cannot be read .*: name a file of 16 random bytes or more"),
        (b"secret", r"has 6 bytes, not 16 to 65536: make one with"),
        (bytes(65537), r"has more than 65536 bytes"),
    ],
)
def test_a_key_that_is_none_is_refused(tmp_path: Path, content: bytes | None, message: str) -> None:
    file = tmp_path / "key"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(UsageError, match=message):
        choose_naming("hash", file)


def test_a_key_without_a_hash_is_refused(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(KEY)
    assert choose_naming("hash", tmp_path / "key").name(ROW) == by_hash(KEY).name(ROW)
    with pytest.raises(UsageError, match="give both, or neither"):
        choose_naming("index", tmp_path / "key")
