"""The home folder for caches, and what is taken where there is none."""

import os
import tempfile
from pathlib import Path

import pytest

from endoexit.home import home_for_caches, temporary_home, usable_home

pytestmark = pytest.mark.skipif(not hasattr(os, "getuid"), reason="users have no numbers here")


@pytest.fixture(autouse=True)
def _temporary_folder(tmp_path, monkeypatch):
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))


def test_a_home_that_can_be_written_to_is_taken(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert usable_home() == home_for_caches() == tmp_path


def test_without_a_home_the_same_temporary_folder_is_taken_again(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "nowhere"))
    home = home_for_caches()
    assert home == tmp_path / "temporary" / f"endoexit-{os.getuid()}"
    assert home.stat().st_mode & 0o777 == 0o700
    assert temporary_home() == home


@pytest.mark.parametrize("kind", ["open to all", "a link", "a file"])
def test_a_folder_that_others_can_write_to_is_not_trusted(tmp_path, kind):
    taken = Path(tempfile.gettempdir()) / f"endoexit-{os.getuid()}"
    if kind == "open to all":
        taken.mkdir()
        taken.chmod(0o777)
    elif kind == "a link":
        taken.symlink_to(tmp_path)
    else:
        taken.touch()
    home = temporary_home()
    assert home.parent == taken.parent
    assert home != taken
    assert home.stat().st_mode & 0o777 == 0o700
    assert not list(home.iterdir())
