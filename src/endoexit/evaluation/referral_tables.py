"""The tables of referral, as data: coverage against risk, and foreign images."""

from collections.abc import Iterator
from typing import Any

from endoexit.errors import counted
from endoexit.evaluation.document import Evaluation
from endoexit.evaluation.figures import SHARE, percent, percent_with_interval, significant
from endoexit.tables import Column, Table

NOTE = (
    "Referred images have no answer: a human must look at them. All other figures of accuracy "
    "count them with the label that the network would have given."
)


def referral_table(evaluation: Evaluation) -> Table | None:
    """Return coverage and risk over all and by class; None without referral."""
    referrals = evaluation.referrals
    if referrals is None:
        return None
    return Table.of(
        f"Referral on {counted(len(evaluation.images.paths), f'{evaluation.role} image')}",
        {
            Column("images of"): lambda row: row.name,
            Column("images", form=str): lambda row: row.images,
            Column("unsure", form=str): lambda row: row.unsure,
            Column("unlike", form=str): lambda row: row.unlike,
            Column("answered", SHARE, percent_with_interval): lambda row: row.coverage,
            Column("wrong answers", SHARE, percent_with_interval): lambda row: row.risk,
        },
        referrals.rows,
        _about(evaluation),
    )


def _about(evaluation: Evaluation) -> Iterator[str]:
    referrals, adaptive = evaluation.referrals, evaluation.adaptive
    yield NOTE
    if adaptive is not None and adaptive.policy.referral is not None:
        yield f"Referred as {'; as '.join(adaptive.policy.referral.words)}."
    if referrals is not None:
        areas = ", ".join(f"{curve.name} {significant(curve.area)}" for curve in referrals.curves)
        yield f"Area under the curve of risk against coverage (less is better): {areas}."


def foreign_table(evaluation: Evaluation) -> Table | None:
    """Return what becomes of foreign images; None without any."""
    if not evaluation.foreign:
        return None
    exits = len(evaluation.foreign[0].auroc)
    columns: dict[Column, Any] = {
        Column("folder"): lambda row: row.name,
        Column("images", form=str): lambda row: row.images,
        Column("unsure", "%", percent): lambda row: row.unsure / row.images,
        Column("unlike", "%", percent): lambda row: row.unlike / row.images,
        Column("multiply-adds", "G", significant, brief="MACs\n(G)"): lambda row: row.macs / 1e9,
        Column("AUROC of energy, exits 1 to " + str(exits), form=str, brief="AUROC"): (
            lambda row: ", ".join(significant(area) for area in row.auroc)
        ),
    }
    if any(row.distance_auroc is not None for row in evaluation.foreign):
        distance = Column("AUROC of distance, exit 1", form=significant, brief="of\ndistance")
        columns[distance] = lambda row: row.distance_auroc
    unread = sum(row.failed for row in evaluation.foreign)
    notes = ["AUROC: 1 where a measure parts foreign images from these, 0.5 by chance."]
    if unread:
        notes.append(f"{counted(unread, 'image')} could not be read and are not counted.")
    return Table.of("Foreign images", columns, evaluation.foreign, notes)
