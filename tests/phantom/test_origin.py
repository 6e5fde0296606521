"""Where images come from: rendered ones are known wherever they are, others are not."""

import shutil
from pathlib import Path

import pytest
from PIL import Image

from endoexit.phantom.origin import SETTINGS_FILE, all_rendered, is_phantom, is_rendered
from endoexit.phantom.render import render_phantom


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = render_phantom(tmp_path_factory.mktemp("origin") / "phantom", 1, size=32)
    assert is_phantom(folder)
    return sorted(folder.rglob("*.jpg"))


def photograph(path: Path) -> Path:
    Image.new("RGB", (32, 32), (120, 40, 30)).save(path, "JPEG")
    return path


def test_a_copy_elsewhere_under_another_name_is_known(rendered, tmp_path):
    copy = Path(shutil.copy(rendered[0], tmp_path / "case 7.jpeg"))
    assert is_rendered(copy)
    assert not is_phantom(tmp_path)
    assert not is_rendered(photograph(tmp_path / "photograph.jpg"))


def test_an_image_without_a_mark_is_known_by_the_folder_around_it(tmp_path):
    (tmp_path / "phantom" / "polyps").mkdir(parents=True)
    (tmp_path / "phantom" / SETTINGS_FILE).write_text("{}")
    assert is_rendered(photograph(tmp_path / "phantom" / "polyps" / "a.jpg"))


def test_a_set_is_rendered_if_all_of_it_is(rendered, tmp_path):
    assert all_rendered(rendered)
    assert not all_rendered([*rendered, photograph(tmp_path / "photograph.jpg")])
    assert not all_rendered([])


def test_a_file_that_cannot_be_read_has_no_mark(tmp_path):
    assert not is_rendered(tmp_path / "gone.jpg")
    assert not is_rendered(tmp_path)
