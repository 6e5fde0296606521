"""What every JSON document has in common: its schema's base, its file, its version, its faults."""

import re
from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    ValidationError,
    model_validator,
)

from endoexit.errors import EndoexitError, RunError, UsageError
from endoexit.files import read_json, write_json

# A field that is None by default and then not written: documents from before it existed stay as
# they were, byte for byte.
unless_none: Any = Field(default=None, exclude_if=lambda value: value is None)


class Record(BaseModel):
    """Base of the records: frozen, no unknown keys, no NaN."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    def replaced(self, **changes: Any) -> Self:
        """Return the record with some fields changed, checked as a new record is.

        pydantic's `model_copy(update=...)` checks nothing.

        Raises:
            ValidationError: A field is unknown, or a value does not fit. Records that raise a
                particular error when they are made raise it here too.
        """
        fields = {name: getattr(self, name) for name in type(self).model_fields}
        return type(self).model_validate(fields | changes)


class Worded(Record):
    """A record whose faults are expected errors with a remedy, not those of pydantic.

    Attributes:
        fault: Class of the error.
        remedy: Sentence that says what mends it.
    """

    fault: ClassVar[type[EndoexitError]]
    remedy: ClassVar[str]

    @model_validator(mode="wrap")
    @classmethod
    def _explain(cls, value: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        """Turn what pydantic finds into one error."""
        try:
            return handler(value)
        except ValidationError as error:
            raise cls.fault(
                f"not a valid {cls.__name__}: {all_faults(error)}. {cls.remedy}"
            ) from error


class Asked(Worded):
    """What a user asks for, from options of the command line or typed in Python."""

    fault = UsageError
    remedy = "Correct the option."


class Document(Record):
    """A record that is a whole JSON file.

    Attributes:
        fault: Class of the error of a file that is not such a document.
        remedy: Sentence that says what mends the file.
        newest: Largest number of a format that this version reads, where documents have one: in
            `format_version`, or at the end of the text `format`.
    """

    fault: ClassVar[type[EndoexitError]] = RunError
    remedy: ClassVar[str]
    newest: ClassVar[int | None] = None

    def values(self) -> dict[str, Any]:
        """Return the document as JSON values."""
        return self.model_dump(mode="json")

    def write(self, path: Path) -> None:
        """Write the document, whole or not at all."""
        write_json(path, self.values())

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read the document from its file.

        Raises:
            EndoexitError: The class is `fault`. The file is missing, cannot be read, is not JSON,
                or is not such a document.
        """
        try:
            document = read_json(path, cls.fault)
        except OSError as error:
            why = error.strerror or error
            raise cls.fault(f"cannot read {path} ({why}). {cls.remedy}") from error
        return cls.parse(document, path)

    @classmethod
    def parse(cls, document: Any, path: Path) -> Self:
        """Return the document that was read from a file as JSON.

        Args:
            document: Document as read from JSON.
            path: File that it was read from, for the message.

        Raises:
            EndoexitError: The class is `fault`. It is of a newer format, or does not fit; the first
                place is named.
        """
        version = _number_of_format(document)
        if cls.newest is not None and version is not None and version > cls.newest:
            raise cls.fault(
                f"{path} was made by a newer endoexit (format {version}, this one reads up to "
                f"{cls.newest}): update endoexit. Otherwise: {cls.remedy}"
            )
        try:
            return cls.model_validate(document)
        except ValidationError as cause:
            where, why = first_fault(cause)
            raise cls.fault(
                f"{path} is damaged at {where!r}, or of another version: {why}. {cls.remedy}"
            ) from cause
        except EndoexitError as cause:  # a record inside it that words its faults itself
            raise cls.fault(
                f"{path} is damaged, or of another version: {cause} {cls.remedy}"
            ) from cause


def first_fault(error: ValidationError) -> tuple[str, str]:
    """Return where a document does not fit first, such as "exits.0.macs", and why."""
    fault = error.errors(include_url=False)[0]
    return ".".join(map(str, fault["loc"])) or "the top", fault["msg"]


def all_faults(error: ValidationError) -> str:
    """Return every place where a record does not fit, why, and what was there."""
    faults = []
    for fault in error.errors(include_url=False, include_context=False):
        where = ".".join(map(str, fault["loc"])) or "the whole"
        faults.append(f"{where}: {fault['msg']} (got {str(fault['input'])[:60]})")
    return "; ".join(faults)


def _number_of_format(document: Any) -> int | None:
    if not isinstance(document, dict):
        return None
    version, text = document.get("format_version"), document.get("format")
    if version is None and isinstance(text, str) and (number := re.search(r"-(\d{1,9})$", text)):
        return int(number[1])
    return version if isinstance(version, int) else None
