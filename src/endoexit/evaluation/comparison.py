"""Two evaluations next to each other: every row, and a paired test on the images of both."""

from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

from endoexit.documents import Record
from endoexit.errors import DataError, UsageError, counted
from endoexit.evaluation.document import Evaluation, EvaluationRow
from endoexit.evaluation.estimates import Estimate
from endoexit.evaluation.intervals import RESAMPLES, GroupBootstrap

SEED = 0
MCNEMAR = (
    "exact McNemar test on images of which one answer is right and the other wrong; it takes "
    "images as independent, the interval takes groups"
)


class RowPair(Record):
    """One row of both evaluations.

    Attributes:
        name: Name of the row.
        first: Accuracy in A, on all of its images.
        second: Accuracy in B, on all of its images.
        difference: Accuracy of B minus that of A on the common images, with a paired interval;
            None without common images.
        only_first: Number of common images that A alone answers right.
        only_second: Number of common images that B alone answers right.
        p_value: Probability of a difference at least as large if both were equally good; see
            `MCNEMAR`. None without common images.
        macs: Multiply-adds of an image in A and in B.
        ms: Time of an image in A and in B; None where it was not measured.
    """

    name: str
    first: Estimate
    second: Estimate
    difference: Estimate | None
    only_first: int
    only_second: int
    p_value: float | None
    macs: tuple[float, float]
    ms: tuple[float | None, float | None]


class Comparison(Record):
    """Two evaluations row by row.

    Attributes:
        format: Version of the document.
        images: Number of images in A and in B.
        common: Number of images that are in both.
        groups: Number of groups of the common images, which the bootstrap draws.
        rows: Rows that both have.
        missing: Names of rows that only one of them has.
        notes: Sentences that a reader must know.
        resamples: Number of draws of the bootstrap.
        seed: Random seed of the bootstrap.
        test: Method of the p-values.
    """

    format: Literal["endoexit-comparison-1"] = "endoexit-comparison-1"
    images: tuple[int, int]
    common: int
    groups: int
    rows: tuple[RowPair, ...]
    missing: tuple[str, ...]
    notes: tuple[str, ...]
    resamples: int
    seed: int
    test: str = MCNEMAR


def compare_evaluations(first: Evaluation, second: Evaluation) -> Comparison:
    """Compare two evaluations, image by image where they have images in common.

    Images are the same if their paths are; where no path is in both, if their file names are,
    provided that no name is there twice. The bootstrap draws the groups of the evaluation that
    has fewer of them: its intervals are the wider ones.

    Args:
        first: Evaluation A.
        second: Evaluation B.

    Raises:
        UsageError: They are of other classes, or have no row in common.
        DataError: An image has another label in one of them.
    """
    if set(first.classes) != set(second.classes):
        raise UsageError(
            f"A is of the classes {', '.join(first.classes)}, B of {', '.join(second.classes)}: "
            "compare evaluations of the same classes."
        )
    names_of_b = {row.name for row in second.rows}
    names = [row.name for row in first.rows if row.name in names_of_b]
    if not names:
        raise UsageError("A and B have no row in common: compare evaluations of one kind.")
    pairs, notes = _common_images(first, second)
    _check_labels(first, second, pairs)
    groups = _coarser(first, second, pairs)
    bootstrap = GroupBootstrap(groups, RESAMPLES, SEED) if len(pairs) else None
    both = {*(row.name for row in first.rows), *(row.name for row in second.rows)}
    return Comparison(
        images=(len(first.images.paths), len(second.images.paths)),
        common=len(pairs),
        groups=len(set(groups)),
        rows=tuple(_compare_rows(first, second, name, pairs, bootstrap) for name in names),
        missing=tuple(sorted(both - set(names))),
        notes=tuple(notes),
        resamples=RESAMPLES,
        seed=SEED,
    )


def _common_images(first: Evaluation, second: Evaluation) -> tuple[NDArray[np.int64], list[str]]:
    """Return the positions (n, 2) of the common images, and notes on them."""
    paths = first.images.paths, second.images.paths
    pairs, notes = _matched(*paths), []
    if not pairs:
        names = [[PurePosixPath(path).name for path in each] for each in paths]
        if all(len(set(each)) == len(each) for each in names):
            pairs = _matched(*names)
            if pairs:
                notes.append("Images were matched by their file names: no path is in both.")
    contents = first.images.contents_sha256, second.images.contents_sha256
    if paths[0] == paths[1] and None not in contents and contents[0] != contents[1]:
        notes.append(
            "Some images have the same name but another content: they were changed in between."
        )
    if not pairs:
        notes.append("No image is in both: there is nothing to test in pairs.")
    elif len(pairs) < max(map(len, paths)):
        notes.append(
            f"Only {counted(len(pairs), 'image')} of {len(paths[0])} and {len(paths[1])} are in "
            "both: the differences and tests are about these."
        )
    return np.array(pairs, dtype=np.int64).reshape(-1, 2), notes


def _matched(first: Sequence[str], second: Sequence[str]) -> list[tuple[int, int]]:
    places = {name: place for place, name in enumerate(second)}
    return [(place, places[name]) for place, name in enumerate(first) if name in places]


def _labels(evaluation: Evaluation) -> NDArray[np.str_]:
    return np.array(evaluation.classes)[list(evaluation.images.labels)]


def _check_labels(first: Evaluation, second: Evaluation, pairs: NDArray[np.int64]) -> None:
    of_first, of_second = _labels(first)[pairs[:, 0]], _labels(second)[pairs[:, 1]]
    wrong = np.flatnonzero(of_first != of_second)
    if len(wrong):
        place = wrong[0]
        raise DataError(
            f"B gives {counted(len(wrong), 'image')} another label than A, such as "
            f"{first.images.paths[pairs[place, 0]]} ({of_first[place]}, {of_second[place]}): "
            "evaluate both on one manifest."
        )


def _coarser(first: Evaluation, second: Evaluation, pairs: NDArray[np.int64]) -> list[str]:
    each = (
        [first.images.groups[place] for place in pairs[:, 0]],
        [second.images.groups[place] for place in pairs[:, 1]],
    )
    return min(each, key=lambda groups: len(set(groups)))


def _compare_rows(
    first: Evaluation,
    second: Evaluation,
    name: str,
    pairs: NDArray[np.int64],
    bootstrap: GroupBootstrap | None,
) -> RowPair:
    first_row, second_row = first.row(name), second.row(name)
    right = (
        _right(first, first_row)[pairs[:, 0]],
        _right(second, second_row)[pairs[:, 1]],
    )
    only_first, only_second = (
        int((right[0] & ~right[1]).sum()),
        int((right[1] & ~right[0]).sum()),
    )
    changed = only_first + only_second
    p_value = float(binomtest(only_first, changed, 0.5).pvalue) if changed else 1.0
    return RowPair(
        name=first_row.name,
        first=first_row.scores.accuracy,
        second=second_row.scores.accuracy,
        difference=bootstrap.mean(right[1].astype(float) - right[0]) if bootstrap else None,
        only_first=only_first,
        only_second=only_second,
        p_value=p_value if bootstrap else None,
        macs=(first_row.macs, second_row.macs),
        ms=(
            first_row.time.ms if first_row.time else None,
            second_row.time.ms if second_row.time else None,
        ),
    )


def _right(evaluation: Evaluation, row: EvaluationRow) -> NDArray[np.bool_]:
    right: NDArray[np.bool_] = np.array(row.predicted) == np.array(evaluation.images.labels)
    return right
