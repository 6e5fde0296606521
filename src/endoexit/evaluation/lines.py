"""The lines of an evaluation's table: twin, exits, policy."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from endoexit.evaluation.adaptive import Decision
from endoexit.evaluation.document import EvaluationRow, Time
from endoexit.evaluation.estimates import Estimate
from endoexit.evaluation.intervals import Floats, GroupBootstrap
from endoexit.evaluation.latency import Measured
from endoexit.evaluation.scores import score
from endoexit.models.cost import Complexity
from endoexit.policy import softmax
from endoexit.runtime.logits import RoleLogits

FINAL, TWIN, ADAPTIVE = "final", "twin", "adaptive"


@dataclass(frozen=True)
class Line:
    """A row that is not scored yet; for the fields see `EvaluationRow`."""

    name: str
    kind: Literal["exit", "adaptive", "twin"]
    exit: int | None
    probabilities: Floats
    parameters: int
    macs: float
    time: Time | None
    share: float | None = None


def exit_lines(
    logits: RoleLogits, cost: Complexity, decision: Decision | None, measured: Measured | None
) -> list[Line]:
    """Return one line for each exit, as if all images exited there."""
    last = len(logits.logits)
    shares = decision.shares() if decision else (None,) * last
    times = measured.exits if measured else (None,) * last
    return [
        Line(
            name=FINAL if number == last else f"exit {number}",
            kind="exit",
            exit=number,
            probabilities=softmax(logits.logits[number - 1]),
            parameters=cost.parameters[number - 1],
            macs=cost.macs[number - 1],
            time=times[number - 1],
            share=shares[number - 1],
        )
        for number in range(1, last + 1)
    ]


def adaptive_line(
    logits: RoleLogits, cost: Complexity, decision: Decision, measured: Measured | None
) -> Line:
    """Return the line of the policy: the mean cost, and all parameters in memory."""
    return Line(
        name=ADAPTIVE,
        kind="adaptive",
        exit=None,
        probabilities=decision.probabilities(logits.logits),
        parameters=cost.parameters[-1],
        macs=cost.mean_macs(decision.shares()),
        time=measured.adaptive if measured else None,
    )


def twin_line(logits: RoleLogits, cost: Complexity, measured: Measured | None) -> Line:
    """Return the line of the twin: its last exit."""
    return Line(
        name=TWIN,
        kind="twin",
        exit=len(logits.logits),
        probabilities=softmax(logits.logits[-1]),
        parameters=cost.parameters[-1],
        macs=cost.macs[-1],
        time=measured.twin if measured else None,
    )


def score_lines(
    lines: Sequence[Line],
    labels: NDArray[np.int64],
    classes: Sequence[str],
    bootstrap: GroupBootstrap,
) -> tuple[EvaluationRow, ...]:
    """Score every line, and compare it with the final exit and the twin on the same images."""
    right = {line.name: line.probabilities.argmax(axis=1) == labels for line in lines}

    def beside(line: Line, reference: str) -> Estimate | None:
        if line.name == reference or reference not in right:
            return None
        return bootstrap.mean(right[line.name].astype(float) - right[reference])

    return tuple(
        EvaluationRow(
            name=line.name,
            kind=line.kind,
            exit=line.exit,
            scores=score(line.probabilities, labels, classes, bootstrap),
            beside_final=beside(line, FINAL),
            beside_twin=beside(line, TWIN),
            parameters=line.parameters,
            macs=line.macs,
            time=line.time,
            share=line.share,
            predicted=tuple(line.probabilities.argmax(axis=1).tolist()),
            confidence=tuple(line.probabilities.max(axis=1).round(6).tolist()),
        )
        for line in lines
    )
