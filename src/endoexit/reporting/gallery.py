"""Which images a reader should see: chosen by rule, not because they look good."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from endoexit.evaluation.document import Evaluation
from endoexit.policy.referral import Reason

MAX_CLASSES = 40  # three images each; of more classes those with most images are shown
MAX_ERRORS = 8
MAX_REFERRED = 8

EARLY, LATE, RESCUED, ERROR, REFERRED = (
    "Early exit",
    "Late exit",
    "Exit 1 wrong, later right",
    "Confident error",
    "Referred to a human",
)


@dataclass(frozen=True)
class Choice:
    """One image of the gallery.

    Attributes:
        index: Index of the image in the evaluation.
        kind: Reason why it is shown.
    """

    index: int
    kind: str


@dataclass(frozen=True)
class Gallery:
    """The images to show.

    Attributes:
        by_class: Images by the name of their class; a class without any is left out.
        errors: Wrong answers that the network was surest of, surest first.
        referred: Images that got no answer, those first that the network was surest of.
        none: Classes that have no image of a kind, by the kind.
        classes_left_out: Classes that the page has no room for.
    """

    by_class: dict[str, tuple[Choice, ...]]
    errors: tuple[Choice, ...]
    referred: tuple[Choice, ...]
    none: dict[str, tuple[str, ...]]
    classes_left_out: tuple[str, ...]

    def all(self) -> Iterator[Choice]:
        """Yield all images."""
        for choices in self.by_class.values():
            yield from choices
        yield from self.errors
        yield from self.referred


def choose_images(
    evaluation: Evaluation, referred: Sequence[Reason | None] | None = None
) -> Gallery:
    """Choose the images of the gallery.

    For each class: of its right answers, the surest at the earliest exit that any used before the
    final one; the surest at the latest exit that any used, if that is later; and the
    surest of those that exit 1 had wrong. Over all: the wrong answers of largest probability, and
    the referred images of largest probability. A referred image is neither right nor wrong. Of a
    group (a patient, near-copies) one image is shown at most. Of very many classes those with
    most images are shown, in their usual order.

    Args:
        evaluation: Evaluation whose images are shown.
        referred: Reason why each image (N,) is referred; None where every image is answered.
    """
    answers = evaluation.row("final" if evaluation.adaptive is None else "adaptive")
    labels = np.array(evaluation.images.labels)
    predicted, sure = np.array(answers.predicted), np.array(answers.confidence)
    first = np.array(next(row for row in evaluation.rows if row.kind == "exit").predicted)
    last = sum(row.kind == "exit" for row in evaluation.rows)
    adaptive = evaluation.adaptive
    exits = np.full(len(labels), last) if adaptive is None else np.array(adaptive.exits)
    picker = _Picker(evaluation.images.groups, sure)
    answered = np.array([reason is None for reason in referred or [None] * len(labels)], dtype=bool)
    right = (predicted == labels) & answered
    wrong = (predicted != labels) & answered
    errors = picker.take(np.flatnonzero(wrong), ERROR, MAX_ERRORS)
    unanswered = picker.take(np.flatnonzero(~answered), REFERRED, MAX_REFERRED)
    by_class: dict[str, tuple[Choice, ...]] = {}
    none: dict[str, list[str]] = {EARLY: [], LATE: [], RESCUED: []}
    counts = np.bincount(labels, minlength=len(evaluation.classes))
    by_size = np.argsort(-counts, kind="stable").tolist()
    for label in sorted(by_size[:MAX_CLASSES]):
        name = evaluation.classes[label]
        good = np.flatnonzero(right & (labels == label))
        early, late = _early_and_late(exits[good], last)
        wanted = {
            EARLY: good[exits[good] == early] if last > 1 else good[:0],
            RESCUED: good[first[good] != label],
            LATE: good[exits[good] == late] if last > 1 else good,
        }
        chosen = []
        for kind, indices in wanted.items():
            picked = picker.take(indices, kind, 1)
            chosen += picked
            if not picked and last > 1:
                none[kind].append(name)
        if chosen:
            order = (EARLY, LATE, RESCUED)
            by_class[name] = tuple(sorted(chosen, key=lambda choice: order.index(choice.kind)))
    return Gallery(
        by_class,
        tuple(errors),
        tuple(unanswered),
        {kind: tuple(names) for kind, names in none.items() if names},
        tuple(evaluation.classes[label] for label in sorted(by_size[MAX_CLASSES:])),
    )


def _early_and_late(exits: NDArray[np.int64], last: int) -> tuple[int, int]:
    """Return the earliest exit taken before the last one, and the latest after it; 0 for none."""
    before = exits[exits < last]
    early = int(before.min()) if len(before) else 0
    late = int(exits.max()) if len(exits) else 0
    return early, late if late > early else 0


class _Picker:
    """Takes the surest images first, one of each group."""

    def __init__(self, groups: tuple[str, ...], sure: NDArray[np.float64]) -> None:
        self._groups, self._sure = groups, sure
        self._used: set[str] = set()

    def take(self, indices: NDArray[np.int64], kind: str, most: int) -> list[Choice]:
        choices: list[Choice] = []
        for index in indices[np.argsort(-self._sure[indices], kind="stable")].tolist():
            if len(choices) == most:
                break
            if self._groups[index] not in self._used:
                self._used.add(self._groups[index])
                choices.append(Choice(index, kind))
        return choices
