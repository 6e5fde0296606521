"""What a report is made of, wherever it comes from: a run or a bundle."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from endoexit.audit.summary import AuditSummary
from endoexit.evaluation.document import Evaluation
from endoexit.images.preprocessing import Preprocessing
from endoexit.phantom.render import is_phantom
from endoexit.policy import ExitPolicy

AttentionKind = Literal["cbam", "attention", "grad-cam"]


@dataclass(frozen=True)
class Absent:
    """Something that a report could show and does not have.

    Attributes:
        reason: why, and what makes it; one or two sentences for the page.
    """

    reason: str


@dataclass(frozen=True, eq=False)
class ExitAttention:
    """What one exit looked at, for a batch of images.

    Attributes:
        maps: (B, h, w) float32, at least 0, one map an image.
        kind: "cbam" for the product of the spatial attention of the head's CBAM blocks;
            "attention" for what another head tells of itself; "grad-cam" for the evidence for the
            exit's answer where the head tells nothing.
    """

    maps: NDArray[np.float32]
    kind: AttentionKind


class Network(Protocol):
    """A trained network that can be asked where it looks."""

    def attention(self, images: NDArray[np.uint8]) -> list[ExitAttention]:
        """Return what each of the M exits looks at, for images likewise."""


@dataclass(frozen=True)
class Step:
    """One command on the way to a page.

    Attributes:
        command: the line; None where nobody can tell it any more.
        makes: what it makes; without a command, why there is none.
        trains: it makes the weights.
    """

    command: str | None
    makes: str
    trains: bool = False


@dataclass(frozen=True)
class History:
    """The metrics of every epoch.

    Attributes:
        columns: name to values, one for each epoch; `epoch` is among them.
        best: the epoch whose weights were kept; None where several scored alike and the run does
            not say which it was.
    """

    columns: dict[str, tuple[float, ...]]
    best: int | None


@dataclass(frozen=True, eq=False)
class Material:
    """Everything that a report shows.

    What a source does not have is `Absent`; the page then says so in that place.

    Attributes:
        path: the folder that was named.
        evaluation: its figures.
        evaluation_file: where they stand.
        policy: as evaluated, temperatures included; None for a network with one exit.
        policy_changed: whether the folder's policy is no longer the evaluated one.
        preprocessing: from image to network input.
        logits: (M, N, C) of all exits on the evaluated images.
        history: of the training.
        split: the sidecar of the manifest: who has which role, and what was dropped.
        audit: what `endoexit audit` found on the same images.
        images: the folder that the paths of the evaluation are relative to.
        network: answers where it looks; a loader, as weights are large.
        facts: name and value of what the results came from, for the provenance.
        steps: the commands that led to the evaluation, in order.
        named: options of `endoexit report` by which files were named, and these files.
        paper: Whether the figures show the exits of the paper's Table 3 as well.
    """

    path: Path
    evaluation: Evaluation
    evaluation_file: Path
    policy: ExitPolicy | None
    policy_changed: bool
    preprocessing: Preprocessing
    logits: NDArray[np.float32] | Absent
    history: History | Absent
    split: dict[str, Any] | Absent
    audit: AuditSummary | Absent
    images: Path | Absent
    network: Network | Absent
    facts: Sequence[tuple[str, str]]
    steps: Sequence[Step]
    named: Mapping[str, Path | None] = field(default_factory=dict)
    paper: bool = False

    @property
    def num_exits(self) -> int:
        """M."""
        return sum(row.kind == "exit" for row in self.evaluation.rows)

    @property
    def answers(self) -> str:
        """Name of the row that answers in use: "adaptive", or "final" with one exit."""
        return "final" if self.evaluation.adaptive is None else "adaptive"

    @property
    def synthetic(self) -> bool:
        """Whether the images are known to be rendered ones, of no patient."""
        return not isinstance(self.images, Absent) and is_phantom(self.images)

    def exit_name(self, number: int) -> str:
        """Return the name of exit 1 to M, as the rows have it."""
        return "final" if number == self.num_exits else f"exit {number}"
