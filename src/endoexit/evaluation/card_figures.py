"""The figures of an evaluation, for the model card of its run."""

from endoexit.evaluation.document import Evaluation
from endoexit.evaluation.promise_tables import promise_table
from endoexit.evaluation.tables import class_table, exit_table


def card_figures(evaluation: Evaluation) -> str:
    """Return the figures that a reader of the card needs, as Markdown."""
    run, groups = evaluation.run, len(set(evaluation.images.groups))
    about = (
        f"{len(evaluation.images.paths)} {evaluation.role} images in {groups} groups, "
        f"{run.precision};\nweights `{run.weights_sha256[:12]}`, "
        f"manifest `{evaluation.manifest_sha256[:12]}`."
    )
    tables = exit_table(evaluation), promise_table(evaluation), class_table(evaluation)
    return "\n\n".join([about, *(table.markdown() for table in tables if table is not None)])
