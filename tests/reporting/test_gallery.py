"""Which images are shown, on a cohort small enough to work out by hand."""

from dataclasses import dataclass

from endoexit.reporting.gallery import (
    EARLY,
    ERROR,
    LATE,
    MAX_CLASSES,
    REFERRED,
    RESCUED,
    choose_images,
)


@dataclass
class Row:
    name: str
    kind: str
    predicted: tuple
    confidence: tuple


@dataclass
class Images:
    labels: tuple
    groups: tuple


@dataclass
class Adaptive:
    exits: tuple


class Cohort:
    """What `choose_images` looks at: two exits, and the policy's answers."""

    classes = ("a", "b")

    def __init__(self, *, labels, first, answers, sure, exits, groups=None):
        groups = groups or tuple(map(str, range(len(labels))))
        self.images = Images(labels, groups)
        self.rows = [
            Row("exit 1", "exit", first, sure),
            Row("final", "exit", answers, sure),
            Row("adaptive", "adaptive", answers, sure),
        ]
        self.adaptive = Adaptive(exits)

    def row(self, name):
        return next(row for row in self.rows if row.name == name)


COHORT = {
    #           0    1    2    3    4    5    6
    "labels": (0, 0, 0, 0, 1, 1, 1),
    "first": (0, 0, 1, 0, 1, 0, 1),
    "answers": (0, 0, 0, 0, 1, 0, 1),
    "sure": (0.8, 0.9, 0.7, 0.6, 0.9, 0.95, 0.5),
    "exits": (1, 1, 2, 2, 1, 1, 1),
}


def test_the_surest_of_each_kind_is_chosen():
    gallery = choose_images(Cohort(**COHORT))
    chosen = {
        (name, choice.kind): choice.index
        for name, choices in gallery.by_class.items()
        for choice in choices
    }
    assert chosen == {("a", EARLY): 1, ("a", LATE): 3, ("a", RESCUED): 2, ("b", EARLY): 4}
    assert [(choice.index, choice.kind) for choice in gallery.errors] == [(5, ERROR)]
    assert gallery.none == {LATE: ("b",), RESCUED: ("b",)}


def test_of_a_group_one_image_is_shown():
    together = ("p", "p", "p", "p", "q", "r", "q")
    gallery = choose_images(Cohort(**COHORT, groups=together))
    assert [choice.index for choice in gallery.all()] == [1, 4, 5]


def test_the_order_of_images_with_the_same_sureness_does_not_matter_twice():
    same = COHORT | {"sure": (0.5,) * 7}
    assert choose_images(Cohort(**same)) == choose_images(Cohort(**same))
    assert choose_images(Cohort(**same)).by_class["a"][0].index == 0


def test_of_very_many_classes_those_with_most_images_are_shown():
    count = MAX_CLASSES + 3
    labels = (*range(count), *range(2, count - 1))  # classes 0, 1 and the last have one image
    cohort = Cohort(
        labels=labels, first=labels, answers=labels, sure=(0.9,) * len(labels),
        exits=(1,) * len(labels),
    )  # fmt: skip
    cohort.classes = tuple(f"class {index}" for index in range(count))
    gallery = choose_images(cohort)
    assert list(gallery.by_class) == list(cohort.classes[2 : count - 1])
    assert gallery.classes_left_out == ("class 0", "class 1", f"class {count - 1}")


def test_errors_come_surest_first_and_are_few():
    count = 30
    cohort = Cohort(
        labels=(0,) * count, first=(1,) * count, answers=(1,) * count,
        sure=tuple(index / count for index in range(count)), exits=(1,) * count,
    )  # fmt: skip
    assert [choice.index for choice in choose_images(cohort).errors] == list(range(29, 21, -1))


def test_a_referred_image_is_neither_right_nor_wrong():
    referred = (None, "unlike", None, "unsure", None, "unsure", None)
    gallery = choose_images(Cohort(**COHORT), referred)
    by_kind = {
        (name, choice.kind): choice.index
        for name, choices in gallery.by_class.items()
        for choice in choices
    }
    assert by_kind == {("a", EARLY): 0, ("a", RESCUED): 2, ("b", EARLY): 4}
    assert gallery.errors == ()
    assert [(choice.index, choice.kind) for choice in gallery.referred] == [
        (5, REFERRED), (1, REFERRED), (3, REFERRED),
    ]  # fmt: skip
    assert {choice.index for choice in gallery.all()} == {0, 1, 2, 3, 4, 5}
