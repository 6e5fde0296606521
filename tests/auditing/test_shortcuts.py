"""Borders and insets are called a shortcut where they tell a class, and nowhere else."""

import pytest

from endoexit.auditing.shortcuts import find_shortcuts, frame_shares
from endoexit.data.facts import ImageFacts
from endoexit.data.folders import ImageFile
from endoexit.data.frame import BORDERED, Frame


def images(label: str, count: int, *, framed: int = 0, border: float = BORDERED, inset: str = ""):
    """Facts of images of one class, so many of them with this border and inset."""
    return [
        ImageFacts(
            ImageFile(f"{label}/{number}.jpg", label), "0", 8, 8, b"",
            Frame(border, inset) if number < framed else Frame(0.0, ""),
        )
        for number in range(count)
    ]  # fmt: skip


def features(*classes: list[ImageFacts]) -> list[tuple[str, str]]:
    shortcuts = find_shortcuts([image for facts in classes for image in facts])
    return [(shortcut.feature, shortcut.label) for shortcut in shortcuts]


def test_shares_are_those_of_each_class() -> None:
    facts = images("b", 4, framed=1, border=0.4) + images("a", 2, framed=2, border=0, inset="green")
    shares = frame_shares(facts)
    assert list(shares) == ["a", "b"]
    assert (shares["a"].inset, shares["a"].border, shares["a"].bordered) == (1.0, 0.0, 0.0)
    assert (shares["b"].images, shares["b"].border, shares["b"].bordered) == (4, 0.1, 0.25)


@pytest.mark.parametrize(
    ("framed", "others", "flagged"),
    [
        (5, 0, True),  # 5 % of the class, and no other
        (4, 0, False),  # too few of the class
        (5, 1, False),  # another class has it too
        (26, 1, True),  # shares that differ by a quarter
        (25, 1, False),
    ],
)
def test_a_feature_of_one_class_alone_or_of_far_more_in_one(
    framed: int, others: int, *, flagged: bool
) -> None:
    facts = (
        images("a", 100, framed=framed, border=0, inset="green"),
        images("b", 100, framed=others, border=0, inset="green"),
    )
    assert features(*facts) == ([("position inset", "a")] if flagged else [])


def test_a_border_counts_by_its_area_too() -> None:
    uneven = images("a", 10, framed=10, border=0.3), images("b", 10, framed=10, border=0.19)
    assert features(*uneven) == [("border area", "a")]
    alike = images("a", 10, framed=10, border=0.3), images("b", 10, framed=10, border=0.25)
    assert features(*alike) == []


def test_fewer_than_three_images_prove_nothing() -> None:
    assert features(images("a", 2, framed=2), images("b", 50)) == []
    assert ("black border", "a") in features(images("a", 3, framed=3), images("b", 50))


def test_one_class_has_nothing_to_be_told_from() -> None:
    assert features(images("a", 50, framed=50)) == []


def test_the_remedy_is_named() -> None:
    (border, *_) = find_shortcuts(images("a", 10, framed=10) + images("b", 10))
    assert border.text.startswith("black border: 100% of a have one, and no other class does; crop")
