"""What a report is made of, wherever it comes from: a run or a bundle."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from endoexit.artifacts.source import Source
from endoexit.auditing.document import AuditDocument
from endoexit.evaluation.document import Evaluation
from endoexit.evaluation.robustness import Robustness
from endoexit.images.preprocessing import Preprocessing
from endoexit.images.reference import ImageRef
from endoexit.phantom.origin import all_rendered, is_phantom
from endoexit.policy import ExitPolicy
from endoexit.policy.referral import Reason, reason_of

AttentionKind = Literal["cbam", "attention", "grad-cam"]


@dataclass(frozen=True)
class Absent:
    """Something that a report could show and does not have.

    Attributes:
        reason: Reason why it is missing, and what makes it; one or two sentences for the page.
    """

    reason: str


@dataclass(frozen=True, eq=False)
class ExitAttention:
    """What one exit looked at, for a batch of images.

    Attributes:
        maps: Maps (B, h, w), float32, at least 0, one for each image.
        kind: "cbam" for the product of the spatial attention of the head's CBAM blocks;
            "attention" for what another head tells of itself; "grad-cam" for the evidence for the
            exit's answer where the head tells nothing.
    """

    maps: NDArray[np.float32]
    kind: AttentionKind


Attention = Callable[[NDArray[np.uint8]], list[ExitAttention]]
"""Function from images uint8 (B, S, S, 3) to what each of the M exits looks at."""


@dataclass(frozen=True)
class Step:
    """One command on the way to a page.

    Attributes:
        command: Command line; None where it is not known any more.
        makes: What it makes; without a command the reason why there is none.
        trains: Whether it makes the weights.
    """

    command: str | None
    makes: str
    trains: bool = False


@dataclass(frozen=True)
class History:
    """The metrics of every epoch.

    Attributes:
        columns: Values by the name of their column, one for each epoch; `epoch` is among them.
        best: Epoch whose weights were kept; None where several have the best score and the run
            does not say which it was.
    """

    columns: dict[str, tuple[float, ...]]
    best: int | None


@dataclass(frozen=True, eq=False)
class Material:
    """Everything that a report shows.

    What a source does not have is `Absent`; the page then says so in that place.

    Attributes:
        source: Run or bundle that was evaluated.
        evaluation: Evaluation of it.
        evaluation_file: File of the evaluation.
        policy: Policy that was evaluated, with temperatures; None without one.
        policy_changed: Whether the folder's policy is no longer the evaluated one.
        logits: Logits (M, N, C) of all exits on the evaluated images.
        history: Metrics of the training.
        split: Sidecar of the manifest: which image has which role, and what was dropped.
        audit: Findings of `endoexit audit` on the same images.
        images: Folder that the paths of the evaluation are relative to.
        attention: Function that tells where the exits look; it loads the weights when asked.
        facts: Names and values of what the results came from, for the provenance.
        steps: Commands that led to the evaluation, in order.
        named: Options of `endoexit report` that were given, and their values.
        paper: Whether the measurements of the exit paper are drawn as well.
        robustness: Figures of changed images; None where they were not measured for the same
            weights, role and policy.
    """

    source: Source
    evaluation: Evaluation
    evaluation_file: Path
    policy: ExitPolicy | None
    policy_changed: bool
    logits: NDArray[np.float32] | Absent
    history: History | Absent
    split: dict[str, Any] | Absent
    audit: AuditDocument | Absent
    images: Path | Absent
    attention: Attention | Absent
    facts: Sequence[tuple[str, str]]
    steps: Sequence[Step]
    named: Mapping[str, Path | bool | None] = field(default_factory=dict)
    paper: bool = False
    robustness: Robustness | None = None

    @property
    def path(self) -> Path:
        """The folder of the run or the bundle."""
        return self.source.path

    @property
    def preprocessing(self) -> Preprocessing:
        """Way from an image to the network's input."""
        return self.source.config.preprocessing

    @property
    def num_exits(self) -> int:
        """Number of exits, M."""
        return sum(row.kind == "exit" for row in self.evaluation.rows)

    @property
    def answers(self) -> str:
        """Name of the row whose answers are used: "adaptive", or "final" without a policy."""
        return "final" if self.evaluation.adaptive is None else "adaptive"

    @cached_property
    def synthetic(self) -> bool:
        """Whether the images are known to be rendered ones, which show no patient."""
        if isinstance(self.images, Absent):
            return False
        if is_phantom(self.images):
            return True
        paths = self.evaluation.images.paths
        return all_rendered([ImageRef.parse(name).under(self.images).path for name in paths])

    @cached_property
    def referred(self) -> tuple[Reason | None, ...] | Absent:
        """Reason why each image (N,) is referred to a human; None for an answer."""
        adaptive = self.evaluation.adaptive
        images = len(self.evaluation.images.paths)
        if adaptive is None or adaptive.policy.referral is None:
            return (None,) * images
        if isinstance(self.logits, Absent):
            return Absent(
                "Which of these images are referred to a human is not known. " + self.logits.reason
            )
        if adaptive.policy.needs_features:
            return Absent(
                "Which of these images are referred to a human is not known here: the policy looks "
                "at features, which an evaluation does not keep. `endoexit predict` tells it."
            )
        codes = adaptive.policy.referred(self.logits, np.array(adaptive.exits))
        return tuple(reason_of(code) for code in codes.tolist())

    def exit_name(self, number: int) -> str:
        """Return the name of exit 1 to M, as the rows have it."""
        return "final" if number == self.num_exits else f"exit {number}"
