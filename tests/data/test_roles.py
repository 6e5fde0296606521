"""Roles are read strictly, and groups are shared out as nearly as their sizes allow."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from endoexit.data.roles import DEFAULT_ROLES, assign_roles, parse_roles
from endoexit.errors import DataError, UsageError

SHARES = parse_roles(DEFAULT_ROLES)
CLASSES = ("a", "b", "c", "d")


def test_roles_are_read() -> None:
    assert SHARES == {"train": 0.6, "val": 0.1, "calibrate": 0.1, "certify": 0.1, "test": 0.1}
    assert parse_roles(" train = 0.75 , test=.25") == {"train": 0.75, "test": 0.25}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tain=.5,test=.5", "unknown role 'tain': did you mean 'train'"),
        ("train=.5,test=.4", r"add up to 0.9, not 1: change one of them by \+0.1"),
        ("train=.8,test=.4", r"add up to 1.2, not 1: change one of them by -0.2"),
        ("train=.5,train=.5", "the role 'train' is twice in"),
        ("train=1,test=0", "the share of 'test' is '0': write a number above 0"),
        ("train=1.5,test=-.5", "the share of 'train' is '1.5'"),
        ("train=half,test=.5", "the share of 'train' is 'half'"),
        ("train=nan,test=.5", "the share of 'train' is 'nan'"),
        ("train", "the share of 'train' is ''"),
        ("", "unknown role ''"),
    ],
)
def test_wrong_roles_are_refused(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse_roles(text)


def random_groups(seed: int, largest: int) -> tuple[np.ndarray, np.ndarray]:
    """600 images of 4 uneven classes in groups of one class; most groups are single images."""
    rng = np.random.default_rng(seed)
    labels = np.sort(rng.choice(4, 600, p=(0.5, 0.25, 0.15, 0.1)))
    groups, number = np.empty(600, dtype=np.int64), 0
    for label in range(4):
        todo = list(np.flatnonzero(labels == label))
        while todo:
            size = 1 if rng.random() < 0.7 else int(rng.integers(2, largest + 1))
            groups[todo[:size]] = number
            todo, number = todo[size:], number + 1
    return labels, groups


def counts(labels: np.ndarray, roles: list[str]) -> np.ndarray:
    return np.array([[np.sum((np.array(roles) == r) & (labels == k)) for k in range(4)]
                     for r in SHARES])  # fmt: skip


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_shares_are_met_to_two_images_where_most_groups_are_single(seed: int) -> None:
    labels, groups = random_groups(seed, largest=6)
    roles = assign_roles(labels, groups, SHARES, seed, CLASSES)
    wanted = np.array(list(SHARES.values()))[:, None] * np.bincount(labels, minlength=4)
    assert np.abs(counts(labels, roles) - wanted).max() <= 2  # 1.6 is the worst of 1,400 seeds
    for group in np.unique(groups):
        assert len({roles[i] for i in np.flatnonzero(groups == group)}) == 1


def test_large_groups_are_not_all_put_into_train() -> None:
    labels = np.repeat([0, 1], 500)
    groups = np.concatenate((np.arange(400) // 4, np.arange(100, 200), np.arange(200, 700)))
    roles = np.array(assign_roles(labels, groups, SHARES, 0, CLASSES[:2]))
    in_groups_of_four = {role: np.mean(roles[:400] == role) for role in SHARES}
    assert in_groups_of_four == pytest.approx(SHARES, abs=0.02)


def test_the_same_seed_gives_the_same_roles_and_another_seed_others() -> None:
    labels, groups = random_groups(1, largest=6)
    first = assign_roles(labels, groups, SHARES, 5, CLASSES)
    assert assign_roles(labels, groups, SHARES, 5, CLASSES) == first
    assert assign_roles(labels, groups, SHARES, 6, CLASSES) != first


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), extra=st.integers(0, 3))
def test_every_role_gets_every_class_that_has_enough_groups(seed: int, extra: int) -> None:
    """Five groups of one class, of any size, are enough for five roles."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 40, 5 + extra)
    groups = np.concatenate((np.repeat(np.arange(len(sizes)), sizes), 100 + np.arange(50)))
    _, groups = np.unique(groups, return_inverse=True)
    labels = np.concatenate((np.zeros(sizes.sum(), dtype=int), np.ones(50, dtype=int)))
    roles = assign_roles(labels, groups, SHARES, seed, CLASSES[:2])
    assert counts(labels, roles)[:, :2].min() >= 1


def test_groups_of_several_classes_have_one_role() -> None:
    """Patients with several findings: all their images go together."""
    rng = np.random.default_rng(0)
    groups, labels = rng.integers(0, 120, 900), rng.integers(0, 3, 900)
    groups = np.unique(groups, return_inverse=True)[1]
    roles = np.array(assign_roles(labels, groups, SHARES, 0, CLASSES[:3]))
    assert all(len(set(roles[groups == g])) == 1 for g in range(groups.max() + 1))
    shares = np.array([np.mean(roles == role) for role in SHARES])
    np.testing.assert_allclose(shares, list(SHARES.values()), atol=0.02)


def test_groups_that_cannot_serve_every_role_are_refused() -> None:
    """Both classes lie in the same two groups, beside a third of one class alone."""
    labels = np.array([0, 1, 0, 1, 0])
    groups = np.array([0, 0, 1, 1, 2])
    shares = {"train": 0.4, "val": 0.3, "test": 0.3}
    with pytest.raises(DataError, match=r"do not let '\w+' have an image of 'b': ask for fewer"):
        assign_roles(labels, groups, shares, 0, ("a", "b"))
