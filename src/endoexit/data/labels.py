"""Labels and groups as text: one form of each, and spellings that must be one."""

import re
import unicodedata
from collections.abc import Iterable

_WHOLE = re.compile(r"(\d+)\.0+")


def clean_label(text: str) -> str:
    """Return a label or group without blanks around it, its accents composed (NFC)."""
    return unicodedata.normalize("NFC", text).strip()


def number_form(label: str) -> str:
    """Return a label in which a whole number has no decimals: spreadsheets make `1` to `1.0`."""
    whole = _WHOLE.fullmatch(label)
    return whole[1] if whole else label


def spelling(label: str) -> str:
    """Return what labels share that differ in capitals, blanks or decimals alone."""
    return number_form(" ".join(clean_label(label).split()).casefold())


def label_among(text: str, classes: Iterable[str]) -> str:
    """Return the class that a text names, which a first release may have kept uncleaned."""
    known = tuple(classes)
    cleaned = clean_label(text)
    if text in known or cleaned in known:
        return text if text in known else cleaned
    return next((name for name in known if clean_label(name) == cleaned), cleaned)
