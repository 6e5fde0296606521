"""Spellings that mean one label have one form, and others keep apart."""

import pytest

from endoexit.data.labels import clean_label, label_among, number_form, spelling


def test_a_label_has_no_blanks_around_it_and_composed_accents() -> None:
    assert clean_label(" gro\u0308\u00dfe\t") == "gr\u00f6\u00dfe"
    assert clean_label("two  words") == "two  words"


@pytest.mark.parametrize(
    ("label", "form"),
    [("1.0", "1"), ("12.00", "12"), ("1.5", "1.5"), ("1.", "1."), ("a1.0", "a1.0"), ("1", "1")],
)
def test_decimals_of_a_whole_number_do_not_count(label: str, form: str) -> None:
    assert number_form(label) == form


def test_capitals_blanks_and_decimals_alone_make_no_other_label() -> None:
    assert len({spelling(label) for label in ("Grade  1", "grade 1", " GRADE 1 ")}) == 1
    assert spelling("7") == spelling("7.0") != spelling("70")
    assert spelling("STRASSE") == spelling("stra\u00dfe")


def test_a_text_names_the_class_that_is_known_exactly_then_cleaned_then_uncleaned() -> None:
    assert label_among(" polyp", ("cecum", "polyp")) == "polyp"
    assert label_among("polyp ", ("polyp ", "polyp")) == "polyp "
    assert label_among("polyp", ("cecum", "polyp ")) == "polyp "  # kept by a first release
    assert label_among(" ulcer ", ("cecum",)) == "ulcer"  # unknown: others say so
