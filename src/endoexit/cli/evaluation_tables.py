"""An evaluation on the terminal."""

from typing import TYPE_CHECKING

from endoexit.cli.tables import paragraph, with_notes

if TYPE_CHECKING:
    from endoexit.cli.console import Output
    from endoexit.evaluation.document import Evaluation


def print_evaluation(output: "Output", evaluation: "Evaluation") -> None:
    """Print the tables of an evaluation and what a reader must know about them."""
    from endoexit.evaluation.tables import evaluation_tables

    for table in evaluation_tables(evaluation):
        output.say(*with_notes(table), "")
    if evaluation.adaptive is not None and evaluation.adaptive.policy.note:
        output.say(paragraph(f"From its calibration: {evaluation.adaptive.policy.note}"))
