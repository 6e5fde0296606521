"""Errors that a user can act on: each message names the fault and the remedy."""

import difflib
from collections.abc import Iterable, Sequence


class EndoexitError(Exception):
    """Base of all expected errors. The command line prints the message alone.

    Attributes:
        exit_code: Exit code of the command line: 1 for work that failed.
    """

    exit_code = 1


class UsageError(EndoexitError):
    """The request itself is wrong (unknown name, impossible option): exit code 2."""

    exit_code = 2


class WriteError(EndoexitError):
    """A file or folder cannot be written: no space, no permission."""


class DataError(EndoexitError):
    """A folder, manifest or cohort cannot be used as it is."""


class ImageError(DataError):
    """One image cannot be read. Batches of work note it and continue with the rest.

    Names of files may hold the names of patients. The text of the error names the image; whoever
    must not show names takes `fault` alone.

    Attributes:
        fault: Predicate that says what is wrong and what mends it: `is empty: restore it.`
        image: Name of the image, such as its path; None where only its content is known.
        kind: Kind of the fault: "empty", "not an image", "damaged" (cut off too), "not supported"
            (whole, but of a kind that is not read) or "refused" (too large, too small, missing).
    """

    def __init__(self, fault: str, image: object = None, kind: str = "refused") -> None:
        super().__init__(fault)
        self.fault = fault
        self.image = None if image is None else str(image)
        self.kind = kind

    def named(self, image: object) -> "ImageError":
        """Return the same error with the name of the image (None: its content alone is known)."""
        return ImageError(self.fault, image, self.kind)

    def __str__(self) -> str:
        """Return the fault with the name of the image before it."""
        return f"{self.image or 'the image'} {self.fault}"


class ModelError(EndoexitError):
    """Weights and network do not fit each other."""


class RunError(EndoexitError):
    """A run folder or bundle is missing something or was changed."""


class TrainingError(EndoexitError):
    """Training cannot continue."""


class PausedError(EndoexitError):
    """Work stopped as it was asked to, before it was done; the same command continues it.

    The exit code is the one that job managers start a job again for (`EX_TEMPFAIL`).
    """

    exit_code = 75


class PolicyError(EndoexitError):
    """An exit policy cannot be made or may not be used here."""


def unknown_name(kind: str, name: str, known: Iterable[str]) -> UsageError:
    """Return the error for a misspelt name, with the nearest known spelling.

    Args:
        kind: Kind of thing that the name is of, such as "model".
        name: Name that was asked for.
        known: Every name that exists.
    """
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(names)}."
    return UsageError(f"unknown {kind} {name!r}: {hint}")


def counted(number: int, noun: str) -> str:
    """Return a number with its noun, in the plural unless it is one: `1 file`, `2 classes`."""
    plural = f"{noun}es" if noun.endswith("s") else f"{noun}s"
    return f"{number} {noun if number == 1 else plural}"


def some(names: Sequence[object], most: int = 5) -> str:
    """Return the first names, and how many more there are: `a, b and 3 more`."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(map(str, names[:most])) + more
