"""Parts of a cohort for cross-fitting: what is fitted on some is looked at on the others."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from endoexit.errors import PolicyError
from endoexit.policy.distance import features_of
from endoexit.policy.logits import LogitSet
from endoexit.policy.table import ExitTable

FOLDS = 5
LEAST_IMAGES = 50  # ten in each part: with fewer, a part says nothing about a fit
_SEED = 0


def is_enough(data: LogitSet) -> bool:
    """Tell whether a cohort has enough images and groups to choose on some and look at others."""
    groups = data.num_images if data.groups is None else len(np.unique(data.groups))
    return data.num_images >= LEAST_IMAGES and groups >= FOLDS


def is_enough_to_hold_out(data: LogitSet, *, fits: bool) -> bool:
    """Tell whether thresholds can be chosen on some images and looked at on the others.

    Args:
        data: The cohort.
        fits: Whether the rule is fitted too: then each four fifths are parted once more.
    """
    if not is_enough(data):
        return False
    return not fits or all(is_enough(subset(data, fitting)) for fitting, _ in splits(data))


def require_enough_to_fit(data: LogitSet) -> None:
    """Refuse a cohort that is too small to fit a gate on some images and to judge it on others.

    Raises:
        PolicyError: Too few images, or too few groups; the message has both numbers.
    """
    if is_enough(data):
        return
    present = f"{data.num_images} images"
    least = f"{LEAST_IMAGES} images"
    if data.groups is not None:
        groups = len(np.unique(data.groups))
        present, least = f"{present} in {groups} groups", f"{least} in {FOLDS} groups"
    raise PolicyError(
        f"{data.name} has {present}, too few to fit a gate: it takes at least {least}. Give it "
        "more images, or take a rule of thresholds, such as max_probability."
    )


def fold_numbers(data: LogitSet) -> NDArray[np.int64]:
    """Return the part (N,), 0 to `FOLDS` − 1, of each image; a group is in one part.

    The groups are shuffled with a fixed seed and dealt out, each to the part that has the
    fewest images.
    """
    groups = np.arange(data.num_images) if data.groups is None else data.groups
    _, place, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    part_of = np.empty(len(sizes), dtype=np.int64)
    filled = np.zeros(FOLDS, dtype=np.int64)
    for group in np.random.default_rng(_SEED).permutation(len(sizes)):
        part_of[group] = filled.argmin()
        filled[part_of[group]] += sizes[group]
    return np.asarray(part_of[place])


def splits(data: LogitSet) -> Iterator[tuple[NDArray[np.bool_], NDArray[np.bool_]]]:
    """Yield masks (N,): the images to fit on, and those to look at; each is looked at once."""
    numbers = fold_numbers(data)
    for fold in range(FOLDS):
        yield numbers != fold, numbers == fold


def subset(data: LogitSet, mask: NDArray[np.bool_]) -> LogitSet:
    """Return the images of a cohort that a mask (N,) marks."""
    groups = None if data.groups is None else data.groups[mask]
    features = features_of(data.features, mask)
    return LogitSet(data.name, data.logits[:, mask], data.labels[mask], groups, features)


def parts(
    table: ExitTable,
) -> Iterator[tuple[NDArray[np.bool_], NDArray[np.bool_], ExitTable, ExitTable]]:
    """Yield masks and tables of the images to fit on and of those to look at; see `splits`.

    The temperatures of the table are kept: one number an exit, fitted on the whole cohort, as they
    are for every rule.
    """
    for fitting, looking in splits(table.data):
        inside, outside = (
            ExitTable(subset(table.data, mask), table.temperatures, table.costs)
            for mask in (fitting, looking)
        )
        yield fitting, looking, inside, outside
