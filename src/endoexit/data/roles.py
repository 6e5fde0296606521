"""Giving each group of images one role, so that every class gets the shares that were asked for."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from endoexit.data.rows import ROLES
from endoexit.errors import DataError, UsageError, unknown_name

DEFAULT_ROLES = "train=.6,val=.1,calibrate=.1,certify=.1,test=.1"


def parse_roles(text: str) -> dict[str, float]:
    """Read roles and their shares, such as `train=.6,val=.2,test=.2`.

    Raises:
        UsageError: A role is unknown or is there twice, a share is not above 0, or
            the shares do not add up to 1.
    """
    shares: dict[str, float] = {}
    for item in text.split(","):
        role, equals, value = (piece.strip() for piece in item.partition("="))
        if role not in ROLES:
            raise unknown_name("role", role, ROLES)
        try:
            share = float(value)
        except ValueError:
            share = math.nan
        if not equals or not 0 < share <= 1:
            raise UsageError(
                f"the share of {role!r} is {value!r}: write a number above 0 and up to 1, such as "
                f"{role}=.2, or leave the role out."
            )
        if role in shares:
            raise UsageError(f"the role {role!r} is twice in {text!r}: keep one.")
        shares[role] = share
    total = math.fsum(shares.values())
    if abs(total - 1) > 1e-6:
        raise UsageError(
            f"the shares of {text!r} add up to {total:g}, not 1: change one of them by "
            f"{1 - total:+g}."
        )
    return shares


def assign_roles(
    labels: npt.NDArray[np.int64],
    groups: npt.NDArray[np.int64],
    shares: Mapping[str, float],
    seed: int,
    classes: Sequence[str],
) -> list[str]:
    """Give each group one role, so that each class is shared out as asked for.

    Groups are taken from the largest to the smallest, in random order where they
    are of one size; each goes to the role in which it lowers Σ (n − t)² / t most,
    n being the images of a class that a role has and t those that it should have.
    At last, a class that is missing in a role gets its smallest group from a role
    that has several.

    Args:
        labels: Index of each image's class, (N,).
        groups: Index of each image's group, (N,), from 0 without gaps.
        shares: Share of each role; they add up to 1.
        seed: Random seed of the order.
        classes: Names of the classes, for messages.

    Returns:
        The role of each image, N of them.

    Raises:
        DataError: The groups do not let every role have every class.
    """
    sizes = np.zeros((groups.max() + 1, len(classes)), dtype=np.int64)
    np.add.at(sizes, (groups, labels), 1)
    wanted = np.array(list(shares.values()))[:, None] * sizes.sum(axis=0)
    got = np.zeros_like(wanted)
    role_of = np.empty(len(sizes), dtype=np.int64)
    shuffled = np.random.default_rng(seed).permutation(len(sizes))
    order = shuffled[np.argsort(-sizes[shuffled].sum(axis=1), kind="stable")]
    for group in order:
        present = np.flatnonzero(sizes[group])
        size, have, want = sizes[group, present], got[:, present], wanted[:, present]
        change = (size * (2 * (have - want) + size) / want).sum(axis=1)
        role_of[group] = change.argmin()
        got[role_of[group]] += sizes[group]
    _fill_empty(role_of, sizes, order, tuple(shares), classes)
    names = tuple(shares)
    return [names[role] for role in role_of[groups]]


def _fill_empty(
    role_of: npt.NDArray[np.int64],
    sizes: npt.NDArray[np.int64],
    order: npt.NDArray[np.int64],
    roles: Sequence[str],
    classes: Sequence[str],
) -> None:
    """Move groups, smallest first, until every role has every class; changes `role_of`."""
    has = sizes > 0
    holds = np.zeros((len(roles), len(classes)), dtype=np.int64)  # groups by role and class
    np.add.at(holds, role_of, has)
    for role, label in np.argwhere(holds == 0):
        for group in reversed(order):
            giver = role_of[group]
            if has[group, label] and (holds[giver, has[group]] > 1).all():
                holds[giver] -= has[group]
                holds[role] += has[group]
                role_of[group] = role
                break
        else:
            raise DataError(
                f"the groups do not let {roles[role]!r} have an image of {classes[label]!r}: ask "
                "for fewer roles, or add groups of that class."
            )
