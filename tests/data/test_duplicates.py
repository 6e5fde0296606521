"""The difference hash, pairs against a plain double loop, groups against a plain search."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from endoexit.data import duplicates
from endoexit.data.duplicates import (
    Groups,
    difference_hash,
    near_pairs,
)
from endoexit.errors import UsageError
from pictures import group_near_copies, near_copy, picture


def random_hashes(count: int, seed: int, near: int = 0) -> np.ndarray:
    """Random hashes; the last `near` are earlier ones with up to 20 bits flipped."""
    rng = np.random.default_rng(seed)
    bits = rng.integers(0, 2, (count, 256), dtype=np.uint8)
    for row in range(count - near, count):
        bits[row] = bits[rng.integers(0, count - near)]
        bits[row, rng.choice(256, rng.integers(0, 21), replace=False)] ^= 1
    return np.packbits(bits, axis=1)


def distance(first: np.ndarray, second: np.ndarray) -> int:
    return int(np.unpackbits(first ^ second).sum())


def all_pairs(hashes: np.ndarray, threshold: int) -> set[tuple[int, int, int]]:
    return {
        (int(first), int(second), int(bits))
        for pairs in near_pairs(hashes, threshold)
        for first, second, bits in zip(pairs.first, pairs.second, pairs.bits, strict=True)
    }


def test_a_bit_says_brighter_than_the_right_neighbour() -> None:
    falling = np.repeat(np.linspace(255, 0, 17).astype(np.uint8)[None], 16, axis=0)
    image = np.repeat(falling[..., None], 3, axis=2)
    assert difference_hash(image).tolist() == [255] * 32
    assert difference_hash(image[:, ::-1]).tolist() == [0] * 32
    # Equal neighbours are not brighter: a black border gives zeros whatever its noise in sign.
    assert difference_hash(np.zeros((40, 40, 3), dtype=np.uint8)).tolist() == [0] * 32


def test_rows_are_packed_one_after_another_first_bit_highest() -> None:
    image = np.full((16, 17, 3), 100, dtype=np.uint8)
    image[1, 0] = 200  # brighter than its right neighbour: row 1, bit 0
    image[1, 5] = 200  # row 1, bit 5
    expected = np.zeros(32, dtype=np.uint8)
    expected[2] = 0b10000100
    np.testing.assert_array_equal(difference_hash(image), expected)


def test_brightness_and_scale_keep_the_hash_and_a_small_change_keeps_most() -> None:
    image = np.asarray(picture(1))
    darker = (image * 0.5).astype(np.uint8)
    larger = np.asarray(picture(1, (340, 320)))
    whole = difference_hash(image)
    assert distance(whole, difference_hash(darker)) <= 4
    assert distance(whole, difference_hash(larger)) <= 4
    assert 2 <= distance(whole, difference_hash(np.asarray(near_copy(1, 2)))) <= 8
    assert distance(whole, difference_hash(np.asarray(picture(2)))) > 80


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), threshold=st.integers(0, 64), block=st.integers(1, 40))
def test_pairs_equal_a_plain_double_loop_for_any_block(
    seed: int, threshold: int, block: int
) -> None:
    hashes = random_hashes(37, seed, near=15)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(duplicates, "_BLOCK", block)
        pairs = all_pairs(hashes, threshold)
    expected = {
        (i, j, distance(hashes[i], hashes[j]))
        for i in range(37)
        for j in range(i + 1, 37)
        if distance(hashes[i], hashes[j]) <= threshold
    }
    assert pairs == expected


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), block=st.integers(1, 40))
def test_groups_equal_a_plain_search_and_are_numbered_by_first_appearance(
    seed: int, block: int
) -> None:
    hashes = random_hashes(37, seed, near=20)
    near = np.array([[distance(a, b) <= 15 for b in hashes] for a in hashes])
    expected = np.full(37, -1)
    for start in range(37):
        if expected[start] >= 0:
            continue
        number, todo = expected.max() + 1, [start]
        while todo:
            image = todo.pop()
            if expected[image] < 0:
                expected[image] = number
                todo.extend(np.flatnonzero(near[image]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(duplicates, "_BLOCK", block)
        np.testing.assert_array_equal(group_near_copies(hashes, 15), expected)


def test_groups_link_over_others() -> None:
    groups = Groups(5)
    groups.add(np.array([3]), np.array([4]))
    groups.add(np.array([1]), np.array([3]))
    assert groups.numbers().tolist() == [0, 1, 2, 1, 1]


@pytest.mark.parametrize("threshold", [-1, 65])
def test_a_threshold_that_links_everything_is_refused(threshold: int) -> None:
    with pytest.raises(UsageError, match=r"not between 0 and 64 \(of 256\): .* 15 is a good"):
        list(near_pairs(random_hashes(3, 0), threshold))


def test_no_images_have_no_pairs() -> None:
    assert group_near_copies(np.empty((0, 32), dtype=np.uint8), 15).tolist() == []


def test_ten_thousand_hashes_are_grouped_in_seconds() -> None:
    hashes = random_hashes(10_000, 0, near=3_000)
    start = time.process_time()
    groups = group_near_copies(hashes, 15)
    assert time.process_time() - start < 60  # takes about 1 s; the promise is 3 minutes
    assert 7_000 <= groups.max() + 1 < 8_500
