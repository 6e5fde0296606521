"""`endoexit predict`: answers for images, which exit where the policy decides."""

import contextlib
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from endoexit.cli.console import (
    FramesOption,
    JsonOption,
    NamesKeyOption,
    NamesOption,
    NullOption,
    Output,
    PrecisionOption,
    ThresholdOption,
    name_images,
    progress,
)
from endoexit.cli.dicom_out import (
    DicomAsOption,
    DicomOutOption,
    IdentityOption,
    check_dicom_out,
    dicom_document,
    say_written,
    writing_dicom,
)
from endoexit.cli.streams import standard_input

if TYPE_CHECKING:
    from endoexit.images.reference import ImageRef
    from endoexit.runtime.inputs import Inputs
    from endoexit.runtime.outputs.tables import Layout, Row, Write

BATCH_SIZE = 16


def predict(
    run: Annotated[Path, typer.Argument(help="Run folder of `endoexit train`, or bundle.")],
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="PATH...", help="Images, folders, quoted globs, or - for a list on stdin."
        ),
    ],
    *,
    out: Annotated[
        Path | None, typer.Option(help="Write the rows there: .csv, .jsonl or .parquet.")
    ] = None,
    threshold: ThresholdOption = None,
    batch_size: Annotated[
        int | None,
        typer.Option(min=1, help=f"Images of a full batch; {BATCH_SIZE}, or 1 with a deadline."),
    ] = None,
    deadline_ms: Annotated[
        float | None,
        typer.Option(help="Answer each batch in this time, with the last exit that finished."),
    ] = None,
    threads: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Threads of the network.  [default: OMP_NUM_THREADS, else all cores, or for a "
            "bundle what is fastest]",
        ),
    ] = None,
    precision: PrecisionOption = None,
    null: NullOption = False,
    frames: FramesOption = "first",
    names: NamesOption = "path",
    names_key: NamesKeyOption = None,
    dicom_out: DicomOutOption = None,
    dicom_as: DicomAsOption = None,
    identity: IdentityOption = None,
    as_json: JsonOption = False,
) -> None:
    """Classify images; each exits where the policy decides.

    Example: `endoexit predict runs/nano images/ 'more/**/*.png' --out results.csv`

    Without `--out`, a terminal gets a table, and a pipe gets the rows as CSV. An image that
    cannot be read becomes a row with its error, the others are processed, and the exit code is 1.
    Without a policy in the run and without `--threshold`, the last exit answers. With
    `--names index` (position in the input, from 1) or `--names hash`, no path of an image is
    written or shown. `--dicom-out` also writes the answers as DICOM objects, without the identity
    of the patient unless `--identity keep`. Research use only; not a medical device.
    """
    from endoexit.errors import DataError
    from endoexit.images.frames import FrameChoice
    from endoexit.runtime.inputs import Inputs
    from endoexit.runtime.outputs.tables import Layout, check_suffix
    from endoexit.runtime.predictor import predict_images
    from endoexit.runtime.session import open_session

    output = Output(as_json)
    name_images(names, names_key)
    chosen_frames = FrameChoice.parse(frames)
    if out is not None:
        check_suffix(out)
    check_dicom_out(dicom_out, dicom_as, identity)
    output.warn_if_unfinished(run)
    session = open_session(
        run, threshold=threshold, deadline_ms=deadline_ms, threads=threads, precision=precision
    )
    engine, decided_by = session.engine, session.decider.words
    if session.decider.origin == "none" and engine.backend.num_stages > 1:
        output.warn_without_policy(run)
    with_deadline = engine.deadline_ms is not None
    size = batch_size or (1 if with_deadline else BATCH_SIZE)
    stages = engine.backend.num_stages
    layout = Layout(
        session.classes,
        stages,
        deadline=with_deadline,
        referral=engine.policy.referral is not None,
    )
    inputs = Inputs(paths, standard_input(), null=null or None, frames=chosen_frames)
    tally = _Tally()
    records: list[dict[str, Any]] | None = [] if as_json and out is None else None
    with (
        _writing(out, layout, records) as write,
        writing_dicom(dicom_out, dicom_as, identity, session) as files,
        _counting(inputs, paths, shown=out is None and not as_json) as (images, advance),
    ):
        for row in predict_images(engine, images, size):
            write(row)
            if files is not None:
                files.add(row)
            tally.count(row)
            advance()
        if tally.images == 0:
            raise DataError("there is nothing to predict: no path came on standard input.")
    if inputs.passed_over:
        print(inputs.passed_over.words(), file=sys.stderr)
    if out is not None:
        output.say(f"{tally.words()}\nDecided by: {decided_by}\nWritten: {out}")
    if files is not None and dicom_out is not None:
        say_written(output, files.written, dicom_out, identity)
    output.document(
        {
            "source": str(run),
            "decided_by": decided_by,
            "precision": str(engine.backend.precision),
            "threads": engine.backend.threads,
            "batch_size": size,
            "deadline_ms": engine.deadline_ms,
            **tally.document(),
            "passed_over": inputs.passed_over.document(),
            "out": None if out is None else str(out),
            "dicom": None
            if files is None or dicom_out is None
            else dicom_document(files.written, dicom_out, dicom_as, identity),
            "rows": records,
        }
    )
    if tally.failed:
        text = f"{tally.failed} of {tally.images} images could not be read: see their errors."
        print(text, file=sys.stderr)
    if tally.failed or (files is not None and files.written.faults):
        raise typer.Exit(1)


@dataclass
class _Tally:
    """What is said at the end: how many images, how many failed, where images exit."""

    images: int = 0
    failed: int = 0
    cut_short: int = 0
    deadline_missed: int = 0
    milliseconds: float = 0.0
    exits: Counter[int] = field(default_factory=Counter)
    referred: Counter[str] = field(default_factory=Counter)

    def count(self, row: "Row") -> None:
        self.images += 1
        if row.prediction is None:
            self.failed += 1
            return
        self.exits[row.prediction.exit] += 1
        if row.prediction.referred is not None:
            self.referred[row.prediction.referred] += 1
        self.cut_short += row.prediction.cut_short
        self.deadline_missed += row.prediction.deadline_missed
        self.milliseconds += row.prediction.milliseconds

    @property
    def mean_ms(self) -> float | None:
        predicted = self.images - self.failed
        return self.milliseconds / predicted if predicted else None

    def words(self) -> str:
        text = f"{self.images} images"
        if self.mean_ms is not None:
            left = ", ".join(
                f"{count} at exit {exit_}" for exit_, count in sorted(self.exits.items())
            )
            text += f": {left}; {self.mean_ms:.1f} ms each in the network"
        if self.referred:
            reasons = ", ".join(f"{count} {why}" for why, count in sorted(self.referred.items()))
            text += f"; referred to a human {self.referred.total()} ({reasons})"
        if self.cut_short or self.deadline_missed:
            text += f"; cut short by the deadline {self.cut_short}, late {self.deadline_missed}"
        return text + "."

    def document(self) -> dict[str, Any]:
        return {
            "images": self.images,
            "failed": self.failed,
            "exits": {str(exit_): count for exit_, count in sorted(self.exits.items())},
            "referred": dict(sorted(self.referred.items())),
            "mean_ms": self.mean_ms,
            "cut_short": self.cut_short,
            "deadline_missed": self.deadline_missed,
        }


@contextlib.contextmanager
def _writing(
    out: Path | None, layout: "Layout", records: list[dict[str, Any]] | None
) -> Iterator["Write"]:
    """Yield what takes the rows: a file, the list for the document, the terminal or a pipe."""
    from endoexit.runtime.outputs.tables import csv_lines, writing

    if out is not None:
        with writing(out, layout) as write:
            yield write
    elif records is not None:
        yield lambda row: records.append(layout.record(row))
    elif _on_terminal(sys.stdout):
        yield _table(layout)
    else:
        lines = csv_lines(sys.stdout, layout)

        def write_now(row: "Row") -> None:
            lines(row)
            sys.stdout.flush()  # whoever sends paths through a pipe waits for their answers

        yield write_now


def _on_terminal(stream: TextIO) -> bool:
    return stream.isatty()


def _table(layout: "Layout") -> "Write":
    """Print a header; return a function that prints one row, the path (of any length) last."""
    width = max(map(len, (*layout.classes, "unsure" if layout.referral else "label")))
    late = 9 if layout.deadline else 0
    typer.echo(f"{'label':{width}}   prob.  exit        ms  {'deadline':{late}.{late}}path")

    def write(row: "Row") -> None:
        record = layout.record(row)
        if row.prediction is None:
            typer.echo(f"{'-':{width}}  {_printable(record['error'])}")
            return
        said = (
            f"{record['label']:{width}}  {record['probability']:6.3f}"
            if record["label"]
            else (f"{row.prediction.referred or '-':{width}}  {'refer':>6}")
        )
        typer.echo(
            f"{said}  {record['exit']:4d}  "
            f"{record['milliseconds']:8.1f}  {record.get('deadline', ''):{late}}"
            f"{_printable(record['path'])}"
        )

    return write


def _printable(text: str) -> str:
    """Return text without what would steer a terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


@contextlib.contextmanager
def _counting(
    inputs: "Inputs", paths: list[str], *, shown: bool
) -> Iterator[tuple["Iterable[ImageRef]", Callable[[], None]]]:
    """Yield the images, and what counts one on a bar.

    A bar needs the total, so folders are read before it is drawn, once. Without a bar (in a pipe,
    or where the rows themselves show on the terminal) images are found as they are needed.
    """
    from endoexit.runtime.inputs import STDIN

    if (shown and _on_terminal(sys.stdout)) or not _on_terminal(sys.stderr):
        yield inputs, lambda: None
        return
    images = inputs if STDIN in paths else list(inputs)
    with progress("Predicting", len(images) if isinstance(images, list) else None) as bar:
        yield images, bar.advance
