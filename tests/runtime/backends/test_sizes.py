"""Parts of batches: every image in one part, in the fewest rounds, all compiled by a warm-up."""

import pytest

from endoexit.runtime.backends.sizes import SIZES, rounds_of, sizes_up_to


@pytest.mark.parametrize(
    ("images", "streams", "rounds"),
    [
        (1, 1, [[(0, 1)]]),
        (3, 1, [[(0, 1)], [(1, 2)], [(2, 3)]]),
        (13, 1, [[(0, 8)], [(8, 12)], [(12, 13)]]),
        (1, 2, [[(0, 1)]]),
        (16, 2, [[(0, 8), (8, 16)]]),
        (9, 2, [[(0, 4), (4, 8)], [(8, 9)]]),
        (21, 2, [[(0, 8), (10, 18)], [(8, 9), (18, 19)], [(9, 10), (19, 20)], [(20, 21)]]),
        (0, 2, []),
    ],
)
def test_a_batch_in_rounds(images, streams, rounds):
    assert rounds_of(images, streams) == rounds


@pytest.mark.parametrize("streams", [1, 2, 3, 7])
@pytest.mark.parametrize("images", range(1, 40))
def test_every_image_is_in_one_part(images, streams):
    rounds = rounds_of(images, streams)
    parts = [part for together in rounds for part in together]
    assert sorted(n for part in parts for n in range(*part)) == list(range(images))
    assert {stop - start for start, stop in parts} <= set(SIZES)
    assert all(1 <= len(together) <= streams for together in rounds)


@pytest.mark.parametrize("streams", [1, 2, 3, 4, 8])
@pytest.mark.parametrize("most", [1, 2, 4, 15, 16, 32, 50])
def test_a_warm_up_runs_all_sizes_that_smaller_batches_need(most, streams):
    def compiled(sizes):
        return {b - a for n in sizes for parts in rounds_of(n, streams) for a, b in parts}

    warm = sizes_up_to(most, streams)
    assert warm[-1] == most
    assert compiled(warm) == compiled(range(1, most + 1)) <= set(SIZES)
