"""The figures of an evaluation, for the model card of its run."""

from collections.abc import Iterator

from endoexit.artifacts.card import table_cell
from endoexit.evaluation.document import Adaptive, Evaluation, Row
from endoexit.evaluation.figures import MISSING, percent_with_interval, significant
from endoexit.policy.promises import promise_words


def card_figures(found: Evaluation) -> str:
    """Return the figures that a reader of the card needs, as Markdown."""
    groups = len(set(found.images.groups))
    lines = [
        f"{len(found.images.paths)} {found.role} images in {groups} groups, {found.run.precision};",
        f"weights `{found.run.weights_sha256[:12]}`, manifest `{found.manifest_sha256[:12]}`.",
        "95 % intervals, of accuracies by draws of whole groups.",
        "",
        "| all images leave at | accuracy, % | ECE | GMACs an image | ms an image |",
        "|---|---:|---:|---:|---:|",
        *(_row(row) for row in found.rows if row.kind != "twin"),
        "",
    ]
    means = "; GMACs and ms of the adaptive rule are means" if found.adaptive else ""
    lines += [f"Decided by: {found.decided_by}{means}.", ""]
    if found.adaptive is not None:
        lines += _promises(found.adaptive, found.role)
    if found.timing is not None:
        timing = found.timing
        lines += [f"Time: {timing.precision}, threads: {timing.threads}, "
                  f"{timing.machine['processor']}.", ""]  # fmt: skip
    last = found.rows[-1]
    lines += [
        f"By class, {last.name} (exact binomial intervals):",
        "",
        "| class | images | sensitivity, % | specificity, % |",
        "|---|---:|---:|---:|",
        *(
            f"| {table_cell(one.name)} | {one.images} | {percent_with_interval(one.sensitivity)} "
            f"| {percent_with_interval(one.specificity)} |"
            for one in last.scores.classes
        ),
    ]
    return "\n".join(lines)


def _row(row: Row) -> str:
    ece, time = row.scores.ece.value, row.time
    cells = (
        row.name,
        percent_with_interval(row.scores.accuracy),
        MISSING if ece is None else f"{ece:.3f}",
        significant(row.macs / 1e9),
        MISSING if time is None else significant(time.ms),
    )
    return f"| {' | '.join(cells)} |"


def _promises(adaptive: Adaptive, role: str) -> Iterator[str]:
    for shown in adaptive.promises:
        promise = shown.promise
        verdict = {True: "kept", False: "VIOLATED", None: "nothing seen"}[shown.kept]
        yield (
            f"- Promised: {promise_words(promise)}. On {role}: "
            f"{percent_with_interval(shown.observed)} % of {shown.units} {promise.unit}s, "
            f"{verdict}."
        )
    if adaptive.promises:
        yield ""
