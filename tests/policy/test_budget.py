import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from endoexit.policy.budget import (
    geometric_shares,
    thresholds_for_shares,
)


def test_shares_by_hand():
    assert geometric_shares(3, 2.0).tolist() == [1 / 7, 2 / 7, 4 / 7]
    assert geometric_shares(3, 1.0) == pytest.approx([1 / 3] * 3)
    assert geometric_shares(3, 0.0).tolist() == [1, 0, 0]


def test_worked_example():
    # Ten images. Exit 1 takes floor(3) = 3: those of .9, .9 and .8; exit 2 takes the 4 most
    # confident of the seven that remain, which are not the four most confident of all.
    first = np.array([0.9, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1])
    second = np.array([1.0, 1.0, 1.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7])
    shares = np.array([0.3, 0.4, 0.3])
    assert thresholds_for_shares(np.stack([first, second]), shares) == (0.8, 0.4)


def test_tied_images_exit_together():
    # Wanted: 3 at exit 1, but the 3rd to 5th most confident are tied, so five exit; exit 2 wants
    # four of the five that remain.
    first = np.array([0.9, 0.8, 0.7, 0.7, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2])
    second = np.array([0.9, 0.9, 0.9, 0.9, 0.9, 0.1, 0.2, 0.3, 0.4, 0.5])
    shares = np.array([0.3, 0.4, 0.3])
    assert thresholds_for_shares(np.stack([first, second]), shares) == (0.7, 0.2)


def test_an_exit_may_take_no_image_and_ties_may_take_all():
    first = np.array([0.9, 0.8, 0.7, 0.6])
    second = np.array([0.5, 0.6, 0.7, 0.8])
    none = thresholds_for_shares(np.stack([first, second]), np.array([0.2, 0.5, 0.3]))
    assert none == (None, 0.7)  # floor(4 · 0.2) = 0
    tied = np.full(4, 0.5)
    assert thresholds_for_shares(np.stack([tied, second]), np.array([0.5, 0.3, 0.2])) == (0.5, None)
    # Ties at exit 1 take three of four; exit 2 wants two and gets the one that remains.
    most = np.array([0.5, 0.5, 0.5, 0.1])
    assert thresholds_for_shares(np.stack([most, second]), np.array([0.25, 0.5, 0.25])) == (
        0.5,
        0.8,
    )


@given(
    hnp.arrays(float, (3, 40), elements=st.floats(0, 1), unique=True),
    st.floats(0.02, 20),
)
def test_without_ties_each_exit_takes_its_floor(confidences, ratio):
    shares = geometric_shares(4, ratio)
    inside = np.ones(40, dtype=bool)
    for values, threshold, share in zip(
        confidences, thresholds_for_shares(confidences, shares), shares, strict=False
    ):
        leaving = inside & (values >= threshold) if threshold is not None else inside & False
        assert leaving.sum() == np.floor(40 * share + 1e-9)
        inside &= ~leaving
