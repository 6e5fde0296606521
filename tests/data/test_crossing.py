"""How near each image's nearest copy is in each part, against pairs given by hand."""

import numpy as np

from endoexit.data.crossing import FAR, Crossing
from endoexit.data.duplicates import Pairs


def test_crossing_counts_the_nearest_of_each_part_in_both_directions() -> None:
    crossing = Crossing(["train", "train", "test", "", "test"], ("train", "test"))
    crossing.add(Pairs(np.array([0, 1, 0]), np.array([2, 2, 1]), np.array([9, 4, 1])))
    crossing.add(Pairs(np.array([3]), np.array([4]), np.array([2])))
    assert crossing.bits.tolist() == [[1, 9], [1, 4], [4, FAR], [FAR, 2], [FAR, FAR]]
    # Image 3 is in no part: it neither leaks nor is leaked into.
    assert crossing.elsewhere().tolist() == [9, 4, 4, FAR, FAR]
    assert crossing.within("test", "train", 4) == 1
    assert crossing.within("test", "train", 3) == 0
    assert crossing.within("train", "test", 9) == 2
    assert crossing.size("test") == 2
    assert crossing.ways() == [("train", "test")]


def test_a_part_of_which_no_image_can_be_read_is_no_part() -> None:
    crossing = Crossing(["train", "val"], ("train", "val", "test"))
    crossing.add(Pairs(np.array([0]), np.array([1]), np.array([3])))
    assert crossing.names == ("train", "val")
    assert crossing.ways() == [("train", "val")]
    assert Crossing(["", ""], ("0", "1")).elsewhere().tolist() == [FAR, FAR]
