"""Files and folders that are written whole or not at all."""

import csv
import errno
import io
import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from endoexit.errors import EndoexitError, UsageError
from endoexit.files import (
    csv_line,
    read_json,
    replacing,
    replacing_folder,
    require_new_folder,
    write_once,
    write_text,
)

BOTH = pytest.mark.parametrize("writing", [replacing, replacing_folder])


@pytest.fixture
def umask():
    """A user who lets nobody else read."""
    before = os.umask(0o077)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_folder_appears_whole_and_with_the_rights_of_the_user(tmp_path, umask):
    with replacing_folder(tmp_path / "new" / "folder") as building:
        (building / "file").write_text("content")
        assert not (tmp_path / "new" / "folder").exists()
    assert (tmp_path / "new" / "folder" / "file").read_text() == "content"
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["folder"]
    assert mode(tmp_path / "new" / "folder") == 0o700


def test_a_file_has_the_rights_of_the_user(tmp_path, umask):
    write_text(tmp_path / "file", "content")
    assert mode(tmp_path / "file") == 0o600


@BOTH
def test_what_fails_leaves_nothing(tmp_path, writing):
    with pytest.raises(ValueError, match="broken"), writing(tmp_path / "out"):
        raise ValueError("broken")
    assert list(tmp_path.iterdir()) == []


@BOTH
@pytest.mark.parametrize("out", ["/proc/nowhere/out", "file/out"])
def test_a_place_that_cannot_be_written_is_named(tmp_path, writing, out):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(EndoexitError, match=f"cannot write .*{out}: .*choose another folder"):  # noqa: SIM117
        with writing(tmp_path / out):
            pytest.fail("there is nothing to write into")


@BOTH
def test_an_error_that_is_not_about_the_file_is_not_blamed_on_it(tmp_path, writing):
    with pytest.raises(FileNotFoundError, match="elsewhere"), writing(tmp_path / "out"):
        (tmp_path / "elsewhere").read_text()
    with pytest.raises(BrokenPipeError), writing(tmp_path / "out"):
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")


@BOTH
def test_a_full_disk_is_named(tmp_path, writing):
    with (
        pytest.raises(EndoexitError, match=r"cannot write .*out: No space left on device"),
        writing(tmp_path / "out"),
    ):
        raise OSError(errno.ENOSPC, "No space left on device")


def test_what_cannot_be_written_in_a_folder_is_named(tmp_path):
    with (
        pytest.raises(EndoexitError, match=r"cannot write .*out: Is a directory"),
        replacing_folder(tmp_path / "out") as building,
    ):
        building.write_text("content")


def test_a_folder_with_content_is_not_replaced(tmp_path):
    write_text(tmp_path / "out" / "mine", "content")
    with (
        pytest.raises(EndoexitError, match=r"cannot write .*out: Directory not empty"),
        replacing_folder(tmp_path / "out"),
    ):
        pass
    assert (tmp_path / "out" / "mine").read_text() == "content"


LFS_POINTER = """\
version https://git-lfs.github.com/spec/v1
oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393
size 12345
"""


def test_a_pointer_of_git_lfs_is_called_so_wherever_a_file_is_read(tmp_path):
    from endoexit.artifacts.run import Run
    from endoexit.data.manifest import read_manifest
    from endoexit.datasets.unpack import unpack
    from endoexit.errors import ImageError
    from endoexit.images.decode import read_image
    from endoexit.images.members import list_members
    from endoexit.models.pretrained import read_weights
    from endoexit.models.weights import load_weights
    from endoexit.policy import ExitPolicy
    from endoexit.training.checkpoint import SafetensorsCheckpointIO
    from endoexit.training.recipe import read_recipe

    def pointer(name: str) -> Path:
        path = tmp_path / name
        path.write_text(LFS_POINTER)
        return path

    readers = [
        (lambda: read_json(pointer("config.json"))),
        (lambda: read_image(pointer("a.png"))),
        (lambda: read_manifest(pointer("manifest.csv"))),
        (lambda: ExitPolicy.read(pointer("policy.json"))),
        (lambda: read_recipe(str(pointer("recipe.yaml")), ())),
        (lambda: load_weights(None, pointer("weights.safetensors"))),
        (lambda: Run(tmp_path, None).weights_sha256),
        (lambda: read_weights(str(pointer("published.pth")))),
        (lambda: list(list_members(pointer("images.zip")))),
        (lambda: unpack(pointer("kvasir.zip"), tmp_path / "to", max_members=9, max_bytes=9)),
        (lambda: SafetensorsCheckpointIO().load_checkpoint(pointer("last.safetensors"))),
    ]
    for read in readers:
        with pytest.raises(EndoexitError, match=r"is a pointer of git LFS.*run `git lfs pull`"):
            read()
    with pytest.raises(ImageError, match=r"^the image is a pointer of git LFS"):
        read_image(LFS_POINTER.encode())


@given(
    st.lists(st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1), min_size=1)
)
def test_a_csv_is_read_back_as_it_was_written(rows: list[list[str]]) -> None:
    text = "".join(map(csv_line, rows))
    assert list(csv.reader(io.StringIO(text, newline=""), strict=True)) == rows


def test_csv_values_that_others_take_for_something_else_are_quoted() -> None:
    assert csv_line(("a\r", "b", None, 1.5, " c", 'd"', "e;f")) == (
        '"a\r",b,,1.5," c","d""","e;f"\n'
    )


def test_only_a_new_or_an_empty_folder_is_taken(tmp_path):
    require_new_folder(tmp_path / "new")
    (tmp_path / "empty").mkdir()
    require_new_folder(tmp_path / "empty")
    (tmp_path / "file").touch()
    for taken in (tmp_path, tmp_path / "file"):
        with pytest.raises(UsageError, match="exists already: name a new folder"):
            require_new_folder(taken)


@pytest.mark.parametrize("links", [True, False])
def test_a_file_that_is_written_once_is_never_replaced(tmp_path, umask, monkeypatch, links):
    if not links:

        def refuse(*_):
            raise OSError(errno.EPERM, "no hard links on this file system")

        monkeypatch.setattr(Path, "hardlink_to", refuse)
    file = tmp_path / "file"
    assert write_once(file, b"first")
    assert not write_once(file, b"second")
    assert file.read_bytes() == b"first"
    assert mode(file) == 0o600
    assert file.stat().st_nlink == 1
    assert list(tmp_path.iterdir()) == [file]
