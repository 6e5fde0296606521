"""A leak counts the groups in several folders, and their images."""

import numpy as np

from endoexit.data.crossing import Crossing
from endoexit.data.duplicates import Pairs
from endoexit.data.facts import ImageFacts
from endoexit.data.folders import ImageFile
from endoexit.data.frame import Frame
from endoexit.data.grouping import Pool
from endoexit.data.leaks import measure_leak, parts_by_group


def pool(*images: tuple[str, str]) -> Pool:
    """A pool of images with their folder and their group; the first two are 4 bits apart."""
    facts = tuple(
        ImageFacts(ImageFile(f"{n}.jpg", "a", part), "0", 8, 8, b"", Frame(0.0, ""))
        for n, (part, _) in enumerate(images)
    )
    crossing = Crossing([part for part, _ in images], ("train", "val", "test"))
    crossing.add(Pairs(np.array([0]), np.array([1]), np.array([4])))
    return Pool(facts, tuple(group for _, group in images), (), (), crossing)


def test_groups_in_one_folder_do_not_leak() -> None:
    images = pool(("train", "1"), ("train", "1"), ("test", "2"))
    assert parts_by_group(images) == {"1": {"train"}, "2": {"test"}}
    assert measure_leak(images, parts_by_group(images), 15) is None


def test_the_size_of_a_leak_is_said_for_each_pair_of_folders() -> None:
    images = pool(("train", "1"), ("test", "1"), ("test", "2"), ("val", "3"), ("val", "3"))
    leak = measure_leak(images, parts_by_group(images), 15)
    assert leak is not None
    assert (leak.groups, leak.images) == (1, 2)
    assert str(leak) == (
        "1 group (2 images) in more than one folder; "
        "0 of 2 images of val (0.0 %) with a near-copy (15 bits) in train, 0 of them the same "
        "hash; 1 of 2 images of test (50.0 %) with a near-copy (15 bits) in train, 0 of them the "
        "same hash; 0 of 2 images of test (0.0 %) with a near-copy (15 bits) in val, 0 of them "
        "the same hash"
    )
