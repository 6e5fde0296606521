"""Reading JSON documents: of a newer format, damaged, and whole."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from endoexit.documents import Document, Record, first_fault
from endoexit.errors import RunError


class Inner(Record):
    macs: int


class Outer(Document):
    remedy = "Make it again."
    newest = 1

    format_version: int = 1
    exits: tuple[Inner, ...]


class Newer(Outer):
    newest = 2


def parse(document, schema=Outer):
    return schema.parse(document, Path("some.json"))


def test_a_document_that_fits_is_returned():
    assert parse({"format_version": 1, "exits": [{"macs": 3}]}) == Outer(exits=(Inner(macs=3),))


def test_a_newer_format_is_said_before_anything_else_is_looked_at():
    newer = r"some\.json was made by a newer endoexit \(format 2, this one reads up to 1\)"
    with pytest.raises(RunError, match=rf"{newer}: update endoexit\. Otherwise: Make it again\."):
        parse({"format_version": 2, "unknown": True})
    assert parse({"format_version": 2, "exits": []}, Newer).format_version == 2


@pytest.mark.parametrize("text", ["endoexit-evaluation-2", "x-2"])
def test_a_newer_format_is_also_said_by_the_number_at_the_end_of_a_name(text):
    with pytest.raises(RunError, match=r"made by a newer endoexit \(format 2, this one reads up"):
        parse({"format": text})


@pytest.mark.parametrize("text", ["endoexit-evaluation", 2, "2", None])
def test_a_format_without_a_number_is_damage(text):
    with pytest.raises(RunError, match="is damaged at 'exits'"):
        parse({"format": text})


@pytest.mark.parametrize(
    ("document", "place"),
    [
        ({"exits": [{"macs": 3}, {"macs": "many"}]}, "exits.1.macs"),
        ({"exits": [], "exit": 1}, "exit"),
        ([], "the top"),
        (None, "the top"),
    ],
)
def test_the_first_place_that_does_not_fit_is_named(document, place):
    with pytest.raises(RunError, match=rf"damaged at '{place}', or of .* Make it again\.$"):
        parse(document)


def test_numbers_that_are_none_are_refused():
    class Share(Record):
        value: float

    with pytest.raises(ValidationError) as caught:
        Share(value=float("nan"))
    assert first_fault(caught.value) == ("value", "Input should be a finite number")
