"""What `results.json` of a reproduction holds: both splits whole, so that it can be compared."""

from pathlib import Path
from typing import Any, Literal

from endoexit.documents import Document, Record
from endoexit.errors import RunError
from endoexit.evaluation.document import Evaluation
from endoexit.evaluation.estimates import Estimate
from endoexit.files import read_json
from endoexit.reproduction.forecast import Pace
from endoexit.reproduction.settings import Settings, SplitName
from endoexit.reproduction.splits import Leak

FILE = "results.json"


class Counts(Record):
    """Complexity of one row by the counting rules of the paper.

    Attributes:
        name: Name of the row, as in `Evaluation`.
        parameters: Number of parameters.
        operations: "FLOPs".
    """

    name: str
    parameters: int
    operations: int


class AuditFacts(Record):
    """What the audit of the folder showed.

    Attributes:
        images: Number of images that can be read.
        broken: Number of files that cannot.
        repeated_contents: Number of contents that are there more than once.
        near_images: Number of images with a near-copy.
        groups: Number of groups of near-copies, single images included.
        pairs_with_other_labels: Number of pairs of near-copies whose labels differ.
        folds: Share of images with a near-copy in another of the authors' folds; None where
            there is no table of folds.
        shortcuts: What borders and insets tell of the classes, in sentences.
    """

    images: int
    broken: int
    repeated_contents: int
    near_images: int
    groups: int
    pairs_with_other_labels: int
    folds: float | None
    shortcuts: tuple[str, ...]


class SplitResults(Record):
    """What one split showed.

    Attributes:
        name: Name of the split.
        words: What it is.
        images: Number of images of each role.
        leak: Near-copies of test images among the others.
        leaking_accuracy: Accuracy of the final exit on test images that have one.
        other_accuracy: Accuracy of the final exit on test images that have none.
        epochs: Number of epochs of each training, by network.
        minutes: Minutes of each training, by network.
        evaluation: Evaluation of the network with early exits, compared with the baseline.
        report: Page of the report, relative to the folder.
    """

    name: SplitName
    words: str
    images: dict[str, int]
    leak: Leak
    leaking_accuracy: Estimate | None
    other_accuracy: Estimate | None
    epochs: dict[str, int]
    minutes: dict[str, float]
    evaluation: Evaluation
    report: str


class Results(Document):
    """The document `results.json`.

    Attributes:
        format: Version of the document.
        command: Command line.
        release: Name of the release that the images are of.
        title: The same for people.
        citation: What to cite.
        licence: Terms of the images.
        notes: How the folder differs from the release.
        images_by_class: Number of images by class.
        audit: What the audit showed.
        settings: What was asked for.
        counts: Complexity by the paper's rules; empty for networks that these cannot count.
        paces: How quickly the networks train on this machine; empty where nothing was to train.
        splits: What each split showed.
        versions: Versions of the libraries.
        machine: Processor, cores, memory.
    """

    remedy = "Make it again with `endoexit reproduce kvasir`."

    format: Literal["endoexit-reproduction-1"] = "endoexit-reproduction-1"
    command: str
    release: str
    title: str
    citation: str
    licence: str
    notes: tuple[str, ...]
    images_by_class: dict[str, int]
    audit: AuditFacts
    settings: Settings
    counts: tuple[Counts, ...]
    paces: tuple[Pace, ...]
    splits: tuple[SplitResults, ...]
    versions: dict[str, str]
    machine: dict[str, Any]


def read_evaluations(path: Path) -> dict[str, Evaluation]:
    """Return the evaluations of a results file or folder, by the name of their split.

    Args:
        path: `results.json` of a reproduction or an `evaluation.json`, or a folder with one. The
            name of an evaluation that is of no split is "".

    Raises:
        RunError: There is no such file, or it is damaged.
    """
    path = Path(path)
    if path.is_dir():
        names = (FILE, "evaluation.json")
        file = next((path / name for name in names if (path / name).is_file()), None)
        if file is None:
            raise RunError(
                f"{path} has neither {' nor '.join(names)}: name a folder of "
                "`endoexit reproduce` or `endoexit evaluate`."
            )
        path = file
    document = read_json(path, RunError)
    if isinstance(document, dict) and str(document.get("format", "")).startswith(
        "endoexit-reproduction"
    ):
        return {split.name: split.evaluation for split in Results.read(path).splits}
    return {"": Evaluation.read(path)}
