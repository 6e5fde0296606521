from pathlib import Path

import pytest

from pictures import near_copy, picture, picture_folder, save


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """train and test of two classes, with copies planted across folders and labels."""
    picture_folder(tmp_path / "train", {"a": 4, "b": 4})  # seeds 0 to 7
    picture_folder(tmp_path / "test", {"a": 3, "b": 3}, start=100)
    save(picture(0), tmp_path / "test" / "a" / "same.png")
    save(picture(1), tmp_path / "train" / "a" / "same-again.png")
    save(near_copy(2), tmp_path / "test" / "a" / "near.png")
    save(picture(5), tmp_path / "test" / "a" / "other-label.png")  # is train/b/1
    return tmp_path
