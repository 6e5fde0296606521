import pytest

from endoexit.cli.tables import five_characters


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0734, "0.073"), (9.9994, "9.999"), (9.9996, "10.00"), (99.996, "100.0"), (121.74, "121.7")],
)
def test_numbers_take_five_characters(value, text):
    assert five_characters(value) == text
