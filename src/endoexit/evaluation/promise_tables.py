"""The table of a policy's promises, as data: what was promised, and what the images show."""

from collections.abc import Iterator

from endoexit.errors import counted
from endoexit.evaluation.document import Adaptive, Evaluation, PromiseShown
from endoexit.evaluation.figures import SHARE, percent, percent_with_interval
from endoexit.policy.goals import probability_words
from endoexit.policy.promises import counted_lines
from endoexit.tables import Column, Table


def verdict(kept: bool | None) -> str:
    """Return in a word what a cohort shows of a promise.

    Args:
        kept: See `PromiseShown`.
    """
    return {True: "kept", False: "VIOLATED", None: "nothing seen"}[kept]


def promise_table(evaluation: Evaluation) -> Table | None:
    """Return each promise of the policy and what the images show; None where it makes none."""
    adaptive, role = evaluation.adaptive, evaluation.role
    if adaptive is None or not adaptive.promises:
        return None
    return Table.of(
        f"Promises of the policy, held against the {role} images",
        {
            Column("promise"): lambda shown: shown.promise.words,
            Column("here"): lambda shown: verdict(shown.kept),
            Column("counted", form=str): lambda shown: counted(shown.units, shown.promise.unit),
            Column("on certify", "%", percent, brief="certify %"): lambda shown: (
                shown.promise.risk.as_named(shown.promise.observed)
            ),
            Column("proven on", form=str, roomy=True): lambda shown: counted(
                shown.promise.images, shown.promise.unit
            ),
            Column(f"on {role}", SHARE, percent_with_interval, brief=f"{role} {SHARE}"): (
                lambda shown: shown.as_named
            ),
        },
        adaptive.promises,
        _about_promises(adaptive, role),
    )


def _about_promises(adaptive: Adaptive, role: str) -> Iterator[str]:
    """Yield how sure the promises are, how they count, and what became of each."""
    promises = [shown.promise for shown in adaptive.promises]
    probability = probability_words(promises[0].delta)
    counts = [f"Counted as one{what}." for what in counted_lines(promises)]
    yield " ".join([f"Promised with probability {probability}, all at once.", *counts])
    for shown in adaptive.promises:
        if shown.kept is None:
            yield f"{shown.promise.risk.label}: {verdict(None)} ({shown.observed.reason})."
        elif not shown.kept:
            yield _violation(shown, role)


def _violation(shown: PromiseShown, role: str) -> str:
    promise, interval = shown.promise, shown.observed.interval
    chance = interval is None or interval.low <= promise.risk.tolerance
    reaches, beyond = ("up", "below") if promise.risk.is_floor else ("down", "above")
    return (
        f"{verdict(False)}: {promise.words} was promised, the "
        f"{counted(shown.units, f'{role} {promise.unit}')} show {shown.as_named.value:.2%}. "
        + (
            f"The interval reaches {reaches} to the promise, so it may be chance."
            if chance
            else f"The whole interval is {beyond} the promise: do not rely on it."
        )
    )
