"""The images of a benchmark: those of the user, else rendered ones."""

import pytest

from endoexit.bench.images import PER_CLASS, load_images
from endoexit.errors import DataError
from endoexit.phantom.render import CLASSES
from endoexit.progress import silent
from tiny import PREPROCESSING, SIDE, save_photos


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return str(save_photos(tmp_path_factory.mktemp("photos"), count=6))


def test_of_many_images_an_even_choice_is_taken(photos, monkeypatch):
    monkeypatch.setattr("endoexit.bench.images.MOST", 3)
    loaded = load_images((photos,), PREPROCESSING, silent)
    assert loaded.words == f"3 images of 6, evenly over all, from {photos}"
    everything = load_images((photos,), PREPROCESSING, silent)
    assert loaded.images.shape == everything.images.shape == (3, SIDE, SIDE, 3)
    monkeypatch.undo()
    everything = load_images((photos,), PREPROCESSING, silent).images
    assert (loaded.images == everything[[0, 2, 5]]).all()


def test_a_folder_without_images_is_refused(tmp_path):
    with pytest.raises(DataError, match="holds no images"):
        load_images((str(tmp_path),), PREPROCESSING, silent)


def test_without_paths_images_are_rendered_and_called_so():
    loaded = load_images((), PREPROCESSING, silent)
    count = PER_CLASS * len(CLASSES)
    assert loaded.images.shape == (count, SIDE, SIDE, 3)
    assert loaded.words == f"{count} SYNTHETIC images, rendered by this program"
    assert loaded.synthetic
