"""From rows to a folder of DICOM files: one report an object, one capture an image."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from endoexit.data.patients import patient_key
from endoexit.errors import ImageError
from endoexit.files import replacing_folder
from endoexit.images.decode import read_bytes, read_image
from endoexit.naming import naming
from endoexit.runtime.outputs.dicom import capture as captures
from endoexit.runtime.outputs.dicom.answers import Answer, ModelFacts
from endoexit.runtime.outputs.dicom.report import report
from endoexit.runtime.outputs.dicom.source import (
    Identity,
    Reference,
    SourceFile,
    fresh_uid,
    read_source,
)
from endoexit.runtime.outputs.tables import Row

Kind = Literal["sr", "sc", "both"]
MOST_ANSWERS = 1000  # in one report; viewers become slow on longer ones


@dataclass
class Written:
    """What was written, and what could not be.

    Attributes:
        reports: Number of reports.
        captures: Number of captures.
        burned_in: Number of captures that may show text that was burned into the image.
        faults: Name and fault of each image that was answered and has no output.
    """

    reports: int = 0
    captures: int = 0
    burned_in: int = 0
    faults: list[tuple[str, str]] = field(default_factory=list)


@dataclass
class _Open:
    """The file whose rows are coming in.

    Attributes:
        path: The file.
        data: Its content.
        source: What outputs may know of it.
        reports: UID of the series of its reports.
        captures: UID of the series of its captures.
        answers: Answers that are not in a report yet.
        written: Number of its reports so far.
    """

    path: Path
    data: bytes
    source: SourceFile
    reports: str = field(default_factory=fresh_uid)
    captures: str = field(default_factory=fresh_uid)
    answers: list[Answer] = field(default_factory=list)
    written: int = 0


class DicomFiles:
    """Writes the DICOM files of rows into a folder; give it the rows in order, then `finish`.

    Rows of one file that follow one another are in one report. Files are called after the number
    of their first image in the input, counted from 1, so that their names say nothing.

    Args:
        folder: A folder that exists.
        model: Model that answers.
        kind: Reports, captures or both.
        identity: Whether patient and study are dropped or kept.

    Raises:
        DataError: The key of replaced UIDs cannot be read or made.
    """

    def __init__(self, folder: Path, model: ModelFacts, kind: Kind, identity: Identity) -> None:
        self._key = patient_key() if identity == "drop" else b""
        self._folder, self._model = folder, model
        self._kind, self._identity = kind, identity
        self._open: _Open | None = None
        self._refused: tuple[Path, ImageError] | None = None
        self.written = Written()

    def add(self, row: Row) -> None:
        """Take one row.

        Raises:
            OSError: The folder takes no more.
        """
        path = row.image.path
        if self._open is not None and self._open.path != path:
            self.finish()
        answer = Answer.of(row, self._model.classes)
        try:
            if self._open is None:
                self._open = self._opened(path)
            answer = self._with_image(row, answer, self._open)
        except ImageError as error:
            self._note(row, error)
            return
        self._open.answers.append(answer)
        if len(self._open.answers) == MOST_ANSWERS:
            self._write_report(self._open)

    def finish(self) -> None:
        """Write the report that is still open.

        Raises:
            OSError: The folder takes no more.
        """
        if self._open is not None:
            self._write_report(self._open)
        self._open = None

    def _opened(self, path: Path) -> _Open:
        """Return the file of a row; one that was refused is not read again for its next frame."""
        if self._refused is not None and self._refused[0] == path:
            raise self._refused[1]
        try:
            data = read_bytes(path)
            return _Open(path, data, read_source(data, self._identity, self._key))
        except ImageError as error:
            self._refused = path, error
            raise

    def _with_image(self, row: Row, answer: Answer, opened: _Open) -> Answer:
        """Return an answer with the object that a report refers to; write its capture."""
        answer = replace(answer, image=opened.source.image)
        if self._kind == "sr" or row.error is not None:
            return answer
        made_as = Reference(captures.SOP_CLASS, fresh_uid(), opened.captures)
        pixels = read_image(opened.data, frame=answer.frame)
        content = captures.capture(pixels, answer, opened.source, self._model, made_as)
        (self._folder / f"{answer.number:06}-sc.dcm").write_bytes(content)
        self.written.captures += 1
        self.written.burned_in += opened.source.burned_in
        # Whoever reads a report without the source's identity finds the image in the capture.
        return (
            answer if self._identity == "keep" and answer.image else replace(answer, image=made_as)
        )

    def _write_report(self, opened: _Open) -> None:
        answers, opened.answers = opened.answers, []
        if self._kind == "sc" or all(answer.status == "not read" for answer in answers):
            return
        opened.written += 1
        content = report(answers, opened.source, self._model, opened.reports, opened.written)
        (self._folder / f"{answers[0].number:06}-sr.dcm").write_bytes(content)
        self.written.reports += 1

    def _note(self, row: Row, error: ImageError) -> None:
        if row.error is None:  # else the row says it
            name = naming().mention(str(row.image), row.index)
            self.written.faults.append((name, error.fault))


@contextlib.contextmanager
def dicom_files(
    folder: Path, model: ModelFacts, kind: Kind, identity: Identity
) -> Iterator[DicomFiles]:
    """Yield what takes the rows; the folder appears, whole, when the block ends well.

    Args:
        folder: A folder that does not exist, or is empty.
        model: Model that answers.
        kind: Reports, captures or both.
        identity: Whether patient and study are dropped or kept.

    Raises:
        DataError: The key of replaced UIDs cannot be read or made.
        WriteError: The folder cannot be written, or the disk is full.
    """
    with replacing_folder(folder) as temporary:
        files = DicomFiles(temporary, model, kind, identity)
        yield files
        files.finish()
