"""Words that all errors share: the nearest name, numbers with their nouns, names of images."""

from pathlib import Path

import pytest

from endoexit import errors
from endoexit.errors import EndoexitError, ImageError, UsageError, counted, some, unknown_name
from endoexit.images.reference import ImageRef


@pytest.mark.parametrize(
    ("number", "noun", "words"),
    [(1, "file", "1 file"), (2, "file", "2 files"), (0, "file", "0 files"), (1, "class", "1 class"),
     (2, "such class", "2 such classes")],
)  # fmt: skip
def test_a_noun_is_in_the_plural_unless_there_is_one(number: int, noun: str, words: str) -> None:
    assert counted(number, noun) == words


def test_of_many_names_the_first_are_shown() -> None:
    assert some("abcde") == "a, b, c, d, e"
    assert some("abcdefg") == "a, b, c, d, e and 2 more"
    assert some(["a", "b"], 2) == "a, b"
    assert some(["a", "b", "c"], 2) == "a, b and 1 more"


def test_a_misspelt_name_is_answered_by_the_nearest_or_by_all() -> None:
    near = unknown_name("role", "tset", ("train", "test"))
    assert str(near) == "unknown role 'tset': did you mean 'test'?"
    far = unknown_name("role", "x", ("train", "test"))
    assert str(far) == "unknown role 'x': known: test, train."


def test_an_image_error_gets_its_name_once_it_is_known() -> None:
    nameless = ImageError("is empty: remove it.", kind="empty")
    named = nameless.named(ImageRef(Path("a/b.gif"), 2))
    assert str(named) == "a/b.gif#2 is empty: remove it."
    assert (named.fault, named.kind) == (nameless.fault, "empty")


def test_every_expected_error_is_one_class_and_wrong_usage_ends_with_2() -> None:
    kinds = [value for value in vars(errors).values()
             if isinstance(value, type) and value.__module__ == errors.__name__]  # fmt: skip
    assert all(issubclass(kind, EndoexitError) for kind in kinds)
    assert {kind for kind in kinds if kind.exit_code == 2} == {UsageError}
