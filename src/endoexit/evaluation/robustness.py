"""What changed images show of a run: the schema of `robustness.json`, and its tables."""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from operator import attrgetter
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from endoexit.documents import Document, Record
from endoexit.evaluation.corruptions import CORRUPTIONS, STRENGTHS
from endoexit.evaluation.document import PromiseShown, Share
from endoexit.evaluation.estimates import Estimate
from endoexit.evaluation.figures import SHARE, percent, percent_with_interval
from endoexit.evaluation.promise_tables import verdict
from endoexit.policy import ExitPolicy
from endoexit.tables import Column, Table

FILE = "robustness.json"  # of the test role of the run's own manifest
UNCHANGED = "unchanged"
ATTACKS = {  # on several exits, or the last; those on one early exit: "exit 1" and so on
    "main": "on the final exit",
    "average": "on all exits at once",
    "max-average": "on each exit, the worst for each image",
}


class ChangedRow(Record):
    """What images show that were changed in one way.

    Attributes:
        change: Name of a corruption or an attack, see `endoexit.evaluation.corruptions` and
            `endoexit.models.attacks`; "unchanged" for none.
        strength: 1 to 5; 0 for unchanged images, 1 for attacks.
        accuracy: Share of right answers under the policy, of the images that it answers.
        referred: Share of the images that the policy refers to a human.
        final: Share of right answers of the final exit.
        shares: Shares (M,) of the images that exit at each exit.
        cost: Mean multiply-adds of an image, as a share of those of the final exit.
        early_wrong: Share of the images that exit before the final exit with a wrong answer.
        promises: Promises of the policy, held against these images.
    """

    change: str
    strength: Annotated[int, Field(ge=0, le=STRENGTHS[-1])]
    accuracy: Estimate
    referred: Share
    final: Estimate
    shares: tuple[Share, ...]
    cost: Share
    early_wrong: Share
    promises: tuple[PromiseShown, ...]


def robustness_file(evaluation: Path) -> Path:
    """Return the file of changed images that belongs to the file of an evaluation."""
    kind, hyphen, images = evaluation.stem.partition("-")
    ours = kind == "evaluation"  # not a file that the user renamed
    return evaluation.with_name(f"robustness{hyphen}{images}.json" if ours else FILE)


class Robustness(Document):
    """The document `robustness.json`.

    Attributes:
        format: Version of the document.
        role: Role of the images.
        images: Number of images.
        model: Name of the network.
        weights_sha256: SHA-256 of the weights file.
        manifest_sha256: SHA-256 of the manifest that lists the images; None in documents before
            this field.
        precision: Backend and numeric precision.
        decided_by: What decides where images exit, in words.
        policy: Exit policy.
        rows: Unchanged images, then what was asked for: every corruption at every strength, every
            attack.
        seed: Random seed of the changes and of the bootstrap.
        versions: Versions of the libraries.
    """

    remedy = "Make it again with `endoexit evaluate --corruptions --attacks`."

    format: Literal["endoexit-robustness-1"] = "endoexit-robustness-1"
    role: str
    images: int
    model: str
    weights_sha256: str
    manifest_sha256: str | None = None
    precision: str
    decided_by: str
    policy: ExitPolicy
    rows: tuple[ChangedRow, ...]
    seed: int
    versions: dict[str, str]

    def is_like(self, other: "Robustness") -> bool:
        """Return whether both are of one policy of one network on the same images."""
        names = (
            "role",
            "images",
            "weights_sha256",
            "manifest_sha256",
            "precision",
            "policy",
            "seed",
        )
        return all(getattr(self, name) == getattr(other, name) for name in names)

    @property
    def has_corruptions(self) -> bool:
        """Whether it holds corrupted images, not attacked ones alone."""
        return bool(self.of(next(iter(CORRUPTIONS))))

    def of(self, change: str) -> tuple[ChangedRow, ...]:
        """Return the rows of a change, from weak to strong."""
        return tuple(row for row in self.rows if row.change == change)


def robustness_tables(robustness: Robustness) -> list[Table]:
    """Return accuracy, cost, early mistakes and promises: tables with a row for each change."""
    return [*_corruption_tables(robustness), *_attack_tables(robustness)]


def _corruption_tables(robustness: Robustness) -> list[Table]:
    if not robustness.has_corruptions:
        return []
    accuracy = _table(
        robustness, "Accuracy on changed images, %", attrgetter("accuracy.value"), percent,
        _about(robustness),
    )  # fmt: skip
    cost = _table(robustness, "Mean cost, % of the final exit", attrgetter("cost"), percent, (
        "A changed image should cost more: the policy should send it on.",
    ))  # fmt: skip
    wrong = _table(
        robustness, "Exit early with a wrong answer, % of the images", attrgetter("early_wrong"),
        percent, ("These are the mistakes that later exits had no chance to mend.",),
    )  # fmt: skip
    tables = [accuracy, cost, wrong] if len(robustness.rows[0].shares) > 1 else [accuracy]
    if robustness.policy.referral is not None:
        tables.insert(1, _table(robustness, "Referred to a human, % of the images",
                                attrgetter("referred"), percent, ()))  # fmt: skip
    return [*tables, *_promise_tables(robustness)]


def _about(robustness: Robustness) -> Iterator[str]:
    clean = robustness.rows[0].accuracy
    yield (
        f"{robustness.images} {robustness.role} images, changed at the size that the network sees. "
        f"Without a change: {percent_with_interval(clean)} %. Decided by: {robustness.decided_by}."
    )


def _table(
    robustness: Robustness,
    title: str,
    take: Callable[[ChangedRow], Any],
    form: Callable[[Any], str],
    notes: Iterable[str],
) -> Table:
    columns = (Column("change"), Column("none", form=form),
               *(Column(f"strength {level}", form=form) for level in STRENGTHS))  # fmt: skip
    clean = take(robustness.rows[0])
    rows = tuple(
        (change, clean, *(take(row) for row in robustness.of(change))) for change in CORRUPTIONS
    )
    return Table(title, columns, rows, tuple(notes))


def _promise_tables(robustness: Robustness) -> Iterator[Table]:
    for place, shown in enumerate(robustness.rows[0].promises):
        yield _table(
            robustness,
            f"Promise “{shown.promise.risk.words}” on changed images, %",
            partial(_kept, place=place),
            str,
            ("The promise was made for images like those of certify, without these changes.",),
        )


def _kept(row: ChangedRow, place: int) -> str:
    shown = row.promises[place]
    return f"{percent(shown.as_named.value)}, {verdict(shown.kept)}"


def _attack_tables(robustness: Robustness) -> Iterator[Table]:
    attacked = [row for row in robustness.rows if row.change not in {UNCHANGED, *CORRUPTIONS}]
    if not attacked:
        return
    words = {UNCHANGED: "none", **ATTACKS}
    columns: dict[Column, Callable[[ChangedRow], Any]] = {
        Column("attack"): lambda row: words.get(row.change, f"on {row.change}"),
        Column("accuracy", SHARE, percent_with_interval): lambda row: row.accuracy,
        Column("final exit", SHARE, percent_with_interval): lambda row: row.final,
        Column("mean cost", "% of the final exit", percent): lambda row: row.cost,
        Column("early and wrong", "%", percent): lambda row: row.early_wrong,
    }
    yield Table.of(
        "Accuracy under attack",
        columns,
        [robustness.rows[0], *attacked],
        (
            "Each value of an image changes by at most 8/255, in 20 steps. The attacker knows the "
            "network. This is not expected in a clinic: it is the worst that such changes can do.",
        ),
    )
