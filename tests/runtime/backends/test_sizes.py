"""Parts of batches: nothing lost, as few as possible, and all compiled by a warm-up."""

import pytest

from endoexit.runtime.backends.sizes import SIZES, parts_of, sizes_up_to


@pytest.mark.parametrize(
    ("images", "parts"),
    [(1, [1]), (3, [1, 1, 1]), (4, [4]), (7, [4, 1, 1, 1]), (16, [16]), (37, [16, 16, 4, 1])],
)
def test_a_batch_in_parts(images, parts):
    assert parts_of(images) == parts


@pytest.mark.parametrize("most", [1, 2, 4, 15, 16, 32, 50])
def test_a_warm_up_runs_all_sizes_that_smaller_batches_need(most):
    warm = sizes_up_to(most)
    assert warm[-1] == most
    compiled = {size for images in warm for size in parts_of(images)}
    needed = {size for images in range(1, most + 1) for size in parts_of(images)}
    assert needed == compiled <= set(SIZES)
