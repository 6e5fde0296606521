"""Frames are counted in every format that has them, and chosen as asked."""

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from dicom_makers import GOLDEN, content, dataset, picture
from endoexit.errors import UsageError
from endoexit.images.frames import FrameChoice, count_frames
from endoexit.runtime.inputs import Inputs


def write(folder: Path, frames: int) -> list[Path]:
    """Write a file of so many frames in each format that has them."""
    pictures = [picture(seed=seed) for seed in range(frames)]
    files = [folder / f"a.{suffix}" for suffix in ("dcm", "gif", "tif", "webp")]
    files[0].write_bytes(content(dataset(np.stack(pictures))))
    tifffile.imwrite(files[2], np.stack(pictures), photometric="rgb")
    images = [Image.fromarray(pixels) for pixels in pictures]
    for file in (files[1], files[3]):
        images[0].save(file, save_all=True, append_images=images[1:])
    return files


def test_frames_are_counted_in_every_format(tmp_path: Path) -> None:
    assert [count_frames(file.read_bytes) for file in write(tmp_path, 3)] == [3, 3, 3, 3]
    assert count_frames((GOLDEN / "SC_rgb_rle_2frame.dcm").read_bytes) == 2


def test_a_still_and_what_cannot_be_read_have_one(tmp_path: Path) -> None:
    Image.fromarray(picture()).save(tmp_path / "a.jpg")
    (tmp_path / "broken.tif").write_bytes(b"II*\0 broken")
    for name in ("a.jpg", "broken.tif", "missing.gif"):
        assert count_frames((tmp_path / name).read_bytes) == 1


@pytest.mark.parametrize(
    ("text", "numbers"),
    {"first": [0], "all": [0, 1, 2, 3, 4], "every:2": [0, 2, 4], "every:9": [0]}.items(),
)
def test_frames_are_chosen_in_folders_and_files(
    tmp_path: Path, text: str, numbers: list[int]
) -> None:
    file = tmp_path / "a"
    file.write_bytes(content(dataset(np.stack([picture()] * 5))))
    choice = FrameChoice.parse(text)
    for argument in (tmp_path, file):
        images = list(Inputs([str(argument)], frames=choice))
        assert [image.frame for image in images] == numbers
    assert [image.frame for image in Inputs([f"{file}#3"], frames=choice)] == [3]


@pytest.mark.parametrize("text", ["", "every", "every:0", "every:-1", "last"])
def test_another_choice_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="write first, all, or every:N"):
        FrameChoice.parse(text)
