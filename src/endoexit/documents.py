"""What every JSON document has in common: its schema's base, its version, its first fault."""

from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from endoexit.errors import EndoexitError

Schema = TypeVar("Schema", bound=BaseModel)


class Record(BaseModel):
    """Base of the records: frozen, no unknown keys, no NaN."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def first_fault(error: ValidationError) -> tuple[str, str]:
    """Return where a document does not fit first, such as "exits.0.macs", and why."""
    fault = error.errors(include_url=False)[0]
    return ".".join(map(str, fault["loc"])) or "the top", fault["msg"]


def parse_record(
    schema: type[Schema],
    document: Any,
    path: Path,
    error: type[EndoexitError],
    *,
    newest: int | None = None,
    remedy: str,
) -> Schema:
    """Return what a JSON document holds.

    Args:
        schema: what it must fit.
        document: as read from JSON.
        path: where it was read, for the message.
        error: the class raised when it does not fit.
        newest: the largest `format_version` that this version reads, where it has one.
        remedy: what mends it: a sentence.

    Raises:
        EndoexitError: of the class `error`: it is of a newer format, or does not fit; the first
            place is named.
    """
    version = document.get("format_version") if isinstance(document, dict) else None
    if newest is not None and isinstance(version, int) and version > newest:
        raise error(
            f"{path} was made by a newer endoexit (format {version}, this one reads up to "
            f"{newest}): update endoexit. Otherwise: {remedy}"
        )
    try:
        return schema.model_validate(document)
    except ValidationError as cause:
        where, why = first_fault(cause)
        raise error(
            f"{path} is damaged at {where!r}, or of another version: {why}. {remedy}"
        ) from cause
