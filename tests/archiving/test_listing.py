"""Which images a plan is of: files, and members of archives, by the same rules."""

import io
from pathlib import Path

import numpy as np
from PIL import Image

from archive_jobs import png, write_tar, write_zip
from dicom_makers import content, dataset, picture
from endoexit.archiving.listing import list_images
from endoexit.images.frames import FrameChoice
from endoexit.runtime.inputs import Inputs


def names(*arguments: object, frames: str = "first") -> tuple[list[str], list[dict]]:
    choice = FrameChoice.parse(frames)
    inputs = Inputs([str(argument) for argument in arguments], frames=choice, archives=True)
    listed = [str(image) for image in list_images(inputs, choice)]
    return listed, inputs.passed_over.document()


def test_archives_in_folders_are_listed_where_they_are(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("in").mkdir()
    Path("in/a10.png").write_bytes(png(0))
    Path("in/a2.png").write_bytes(png(1))
    write_tar(Path("in/a3.tar"), {"z.png": b"", "y/x.JPG": b"", "notes.txt": b""})
    write_zip(Path("b.ZIP"), {"c.png": b"", "d/": b"", "nested.tar": b""})
    listed, passed_over = names("in", "b.ZIP", "missing.png")
    assert listed == [
        "in/a2.png", "in/a3.tar#z.png", "in/a3.tar#y/x.JPG", "in/a10.png", "b.ZIP#c.png",
        "missing.png",
    ]  # fmt: skip
    assert [(kind["suffix"], kind["examples"]) for kind in passed_over] == [
        (".txt", ["in/a3.tar/notes.txt"]), (".tar", ["b.ZIP/nested.tar"]),
    ]  # fmt: skip


def test_clutter_in_archives_is_left_out(tmp_path):
    path = write_zip(tmp_path / "a.zip", {"__MACOSX/a.png": b"", "b/._a.png": b"", "b/a.png": b""})
    assert names(path) == ([f"{path}#b/a.png"], [])


def test_a_member_that_leads_out_is_listed_to_be_a_row(tmp_path):
    path = write_tar(tmp_path / "a.tar", {"../a.png": b""})
    assert names(path)[0] == [f"{path}#../a.png"]


def test_dicom_objects_are_found_by_content_and_frames_counted(tmp_path):
    clip = content(dataset(np.stack([picture()] * 3)))
    stream = io.BytesIO()
    pictures = [Image.fromarray(picture(seed=seed)) for seed in range(4)]
    pictures[0].save(stream, "GIF", save_all=True, append_images=pictures[1:])
    inside = {"IM_0001": clip, "README": b"text", "a.gif": stream.getvalue()}
    for path in (write_tar(tmp_path / "a.tar", inside), write_zip(tmp_path / "a.zip", inside)):
        assert names(path)[0] == [f"{path}#IM_0001", f"{path}#a.gif"]
        assert names(path, frames="every:2")[0] == [
            f"{path}#IM_0001", f"{path}#IM_0001#2", f"{path}#a.gif", f"{path}#a.gif#2",
        ]  # fmt: skip
