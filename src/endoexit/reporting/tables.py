"""Tables that only the report has: reliability, roles, attention inside the outlines."""

from collections.abc import Sequence

from endoexit.evaluation.figures import SHARE, percent_with_interval, points_with_interval
from endoexit.evaluation.tables import temperature_table
from endoexit.reporting.cards import KINDS
from endoexit.reporting.masks import MaskStudy
from endoexit.reporting.material import Absent, Material
from endoexit.reporting.reliability import ExitReliability
from endoexit.tables import Column, Table


def reliability_table(exits: Sequence[ExitReliability], *, scaled: bool) -> Table:
    """Return temperature, likelihood, ECE and ranking of each exit, before and after."""
    return temperature_table(
        "Calibration of each exit, " + ("before → after its temperature" if scaled else "at T = 1"),
        (
            (
                exit_.name,
                exit_.temperature,
                exit_.nll,
                (exit_.before.ece, None if exit_.after is None else exit_.after.ece),
                exit_.auroc,
            )
            for exit_ in exits
        ),
    )


def role_table(material: Material) -> Table | None:
    """Return how many images of each class have which role; None where that is not known."""
    if isinstance(material.split, Absent):
        return None
    counts = material.split.get("counts")
    if not isinstance(counts, dict) or not all(isinstance(c, dict) for c in counts.values()):
        return None
    rows = [
        (name, *(of_role.get(name, 0) for of_role in counts.values()))
        for name in material.evaluation.classes
    ]
    rows.append(("all", *(sum(of_role.values()) for of_role in counts.values())))
    groups = material.split.get("groups")
    if isinstance(groups, dict):
        rows.append(("groups", *(groups.get(role) for role in counts)))
    columns = (Column("class"), *(Column(role, form=str) for role in counts))
    return Table("Images of each class and role", columns, tuple(rows))


def mask_table(study: MaskStudy) -> Table:
    """Return the share of the attention inside the masks, for each exit."""
    return Table.of(
        "Attention inside the masks, 95 % intervals over groups",
        {
            Column("exit"): lambda exit_: exit_.name,
            Column("attention"): lambda exit_: KINDS[exit_.kind],
            Column("inside the mask", SHARE, percent_with_interval): lambda exit_: exit_.inside,
            Column("mask’s share of the field", SHARE, percent_with_interval): (
                lambda exit_: exit_.area
            ),
            Column("difference", "points", points_with_interval): lambda exit_: exit_.gain,
            Column("images", form=str): lambda exit_: exit_.images,
        },
        study.exits,
    )
