"""The timeline: what its strips are made of."""

import numpy as np
import pytest

from endoexit.reporting.timeline import PARTS, exit_shares
from endoexit.watching.tally import Tally
from watching_rows import row


def test_the_shares_of_a_part_are_those_of_its_frames():
    tally = Tally(2)
    for at in range(2 * PARTS):
        tally.add(row(at, exit_number=1 + at % 2, blind="dark" if at < 4 else None))
    shares = exit_shares(tally, 2)
    assert shares.shape == (PARTS, 2)
    np.testing.assert_allclose(shares[:2], 0)
    np.testing.assert_allclose(shares[2:], 0.5)


def test_reused_and_dropped_frames_count_as_not_computed():
    tally = Tally(2)
    for at in range(PARTS * 4):
        tally.add(row(at, exit_number=2, reuse=at % 4 == 1, dropped=at % 4 == 2))
    shares = exit_shares(tally, 2)
    assert shares[:, 1].mean() == pytest.approx(0.5)
    assert shares.sum(axis=1).max() <= 1


@pytest.mark.parametrize("frames", [1, 2, 3, 135, 479, 2000])
def test_no_part_of_a_steady_clip_is_empty(frames):
    tally = Tally(2)
    for at in range(frames):
        tally.add(row(at, exit_number=1))
    np.testing.assert_allclose(exit_shares(tally, 2)[:, 0], 1)
