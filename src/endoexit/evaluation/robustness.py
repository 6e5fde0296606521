"""How a run answers changed images: accuracy, cost, early mistakes, promises."""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from operator import attrgetter
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from endoexit.documents import Record, parse_record
from endoexit.errors import RunError, UsageError
from endoexit.evaluation.adaptive import promises_shown
from endoexit.evaluation.corruptions import CORRUPTIONS, STRENGTHS, corrupt
from endoexit.evaluation.document import PromiseShown, Share
from endoexit.evaluation.estimates import Estimate
from endoexit.evaluation.figures import percent, percent_with_interval
from endoexit.evaluation.intervals import RESAMPLES, GroupBootstrap
from endoexit.evaluation.tables import verdict
from endoexit.files import read_json, write_json
from endoexit.machine import library_versions
from endoexit.policy import ExitPolicy
from endoexit.policy.logits import LogitSet
from endoexit.runtime.session import BATCH_SIZE, Session
from endoexit.tables import Column, Table

FILE = "corruptions.json"
UNCHANGED = "unchanged"


class ChangedRow(Record):
    """What images show that were changed in one way.

    Attributes:
        change: Name of the change, see `endoexit.evaluation.corruptions`; "unchanged" for none.
        strength: 1 to 5; 0 for unchanged images.
        accuracy: Share of right answers under the policy.
        final: Share of right answers of the final exit.
        shares: Shares (M,) of the images that exit at each exit.
        cost: Mean multiply-adds of an image, as a share of those of the final exit.
        early_wrong: Share of the images that exit before the final exit with a wrong answer.
        promises: Promises of the policy, held against these images.
    """

    change: str
    strength: Annotated[int, Field(ge=0, le=STRENGTHS[-1])]
    accuracy: Estimate
    final: Estimate
    shares: tuple[Share, ...]
    cost: Share
    early_wrong: Share
    promises: tuple[PromiseShown, ...]


class Robustness(Record):
    """The document `corruptions.json`.

    Attributes:
        format: Version of the document.
        role: Role of the images.
        images: Number of images.
        model: Name of the network.
        weights_sha256: SHA-256 of the weights file.
        precision: Backend and numeric precision.
        decided_by: What decides where images exit, in words.
        policy: Exit policy.
        rows: Unchanged images, then every change at every strength.
        seed: Random seed of the changes and of the bootstrap.
        versions: Versions of the libraries.
    """

    format: Literal["endoexit-corruptions-1"] = "endoexit-corruptions-1"
    role: str
    images: int
    model: str
    weights_sha256: str
    precision: str
    decided_by: str
    policy: ExitPolicy
    rows: tuple[ChangedRow, ...]
    seed: int
    versions: dict[str, str]

    def of(self, change: str) -> tuple[ChangedRow, ...]:
        """Return the rows of a change, from weak to strong."""
        return tuple(row for row in self.rows if row.change == change)

    def write(self, path: Path) -> None:
        """Write the document, whole or not at all."""
        write_json(path, self.model_dump(mode="json"))

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a `corruptions.json`.

        Raises:
            RunError: It is missing, not JSON, or not such a document.
        """
        remedy = "Make it again with `endoexit evaluate --corruptions`."
        return parse_record(cls, read_json(path, RunError), path, RunError, remedy=remedy)


def measure_robustness(session: Session, role: str = "test", *, seed: int = 0) -> Robustness:
    """Answer the images of a role under every change, and write `corruptions.json`.

    The images are changed at the size at which the network sees them. The policy stays as it is:
    it was fitted on images without these changes.

    Args:
        session: Run or bundle with weights.
        role: Role of the images.
        seed: Random seed.

    Raises:
        RunError: The run has no weights or no manifest.
        DataError: No image has the role, or images cannot be read.
        UsageError: The policy is a deadline: where images exit depends on the clock.
        ModelError: The network gives values that are not finite.
    """
    cohort = session.manifest.cohort(role)
    images, clean = session.images(cohort), session.logits(role)
    decider = session.decide(len(clean.logits))
    if decider.policy.deadline_ms is not None:
        raise UsageError(
            f"the policy of {session.source.path} is a deadline, so the clock decides where "
            "images exit: give a threshold, or calibrate for another goal."
        )
    bootstrap = GroupBootstrap(clean.groups, RESAMPLES, seed)

    def row(change: str, strength: int, logits: NDArray[np.float32]) -> ChangedRow:
        data = LogitSet(role, logits, clean.labels, clean.groups)
        return _row(session, decider.policy, data, bootstrap, (change, strength))

    rows = [row(UNCHANGED, 0, clean.logits)]
    with session.track("changed images", len(CORRUPTIONS) * len(STRENGTHS) * len(images)) as bar:
        for change in CORRUPTIONS:
            for strength in STRENGTHS:
                parts = []
                for start in range(0, len(images), BATCH_SIZE):
                    batch = images[start : start + BATCH_SIZE]
                    changed = corrupt(batch, change, strength, first=start, seed=seed)
                    parts.append(session.answers(changed))
                    bar.advance(len(batch))
                rows.append(row(change, strength, np.concatenate(parts, axis=1)))
    found = Robustness(
        role=role,
        images=len(images),
        model=session.source.config.model,
        weights_sha256=session.source.weights_sha256,
        precision=str(clean.precision),
        decided_by=decider.rule,
        policy=decider.policy,
        rows=tuple(rows),
        seed=seed,
        versions=library_versions(),
    )
    found.write(session.results / FILE)
    return found


def _row(
    session: Session,
    policy: ExitPolicy,
    data: LogitSet,
    bootstrap: GroupBootstrap,
    what: tuple[str, int],
) -> ChangedRow:
    exits, macs = policy.assign(data.logits), np.asarray(session.source.complexity.macs, float)
    right = data.correct[exits - 1, np.arange(data.num_images)]
    numbers = np.arange(1, len(data.logits) + 1)
    return ChangedRow(
        change=what[0],
        strength=what[1],
        accuracy=bootstrap.proportion(right),
        final=bootstrap.proportion(data.correct[-1]),
        shares=tuple((exits == numbers[:, None]).mean(axis=1).tolist()),
        cost=float((macs[exits - 1] / macs[-1]).mean()),
        early_wrong=float(((exits < len(macs)) & ~right).mean()),
        promises=promises_shown(policy, data, session.classes, bootstrap),
    )


def robustness_tables(found: Robustness) -> list[Table]:
    """Return accuracy, cost, early mistakes and promises as tables: one row for each change."""
    accuracy = _table(
        found, "Accuracy on changed images, %", attrgetter("accuracy.value"), percent,
        _about(found),
    )  # fmt: skip
    cost = _table(found, "Mean cost, % of the final exit", attrgetter("cost"), percent, (
        "A changed image should cost more: the policy should send it on.",
    ))  # fmt: skip
    wrong = _table(
        found, "Exit early with a wrong answer, % of the images", attrgetter("early_wrong"),
        percent, ("These are the mistakes that later exits had no chance to mend.",),
    )  # fmt: skip
    tables = [accuracy, cost, wrong] if len(found.rows[0].shares) > 1 else [accuracy]
    return [*tables, *_promise_tables(found)]


def _about(found: Robustness) -> Iterator[str]:
    clean = found.rows[0].accuracy
    yield (
        f"{found.images} {found.role} images, changed at the size that the network sees. Without "
        f"a change: {percent_with_interval(clean)} %. Decided by: {found.decided_by}."
    )


def _table(
    found: Robustness,
    title: str,
    take: Callable[[ChangedRow], Any],
    form: Callable[[Any], str],
    notes: Iterable[str],
) -> Table:
    columns = (Column("change"), Column("none", form=form),
               *(Column(f"strength {level}", form=form) for level in STRENGTHS))  # fmt: skip
    clean = take(found.rows[0])
    rows = tuple(
        (change, clean, *(take(row) for row in found.of(change))) for change in CORRUPTIONS
    )
    return Table(title, columns, rows, tuple(notes))


def _promise_tables(found: Robustness) -> Iterator[Table]:
    for place, shown in enumerate(found.rows[0].promises):
        yield _table(
            found,
            f"Promise “{shown.promise.risk.words}” on changed images, %",
            partial(_kept, place=place),
            str,
            ("The promise was made for images like those of certify, without these changes.",),
        )


def _kept(row: ChangedRow, place: int) -> str:
    shown = row.promises[place]
    return f"{percent(shown.as_named.value)}, {verdict(shown.kept)}"
