"""What is measured: a run or a bundle, its exits and its policy as works that take turns."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from endoexit.artifacts.bundle import Bundle, Source
from endoexit.evaluation.latency import Contender
from endoexit.evaluation.turns import Work
from endoexit.policy import fixed_exit
from endoexit.precision import FloatFormat, Precision
from endoexit.progress import Track
from endoexit.runtime.engine import Engine, Images
from endoexit.runtime.session import open_engine

FINAL = "final exit"
POLICY = "policy"


@dataclass(frozen=True)
class Subject:
    """An opened run or bundle.

    Attributes:
        source: Run or bundle.
        engine: Engine with its policy.
        decided_by: Policy and its origin, in words.
    """

    source: Source
    engine: Engine
    decided_by: str

    @property
    def precision(self) -> Precision:
        """What the subject computes in."""
        return self.engine.backend.precision

    @property
    def exits(self) -> list[str]:
        """Names of the exits, the final one last."""
        return [f"exit {number}" for number in range(1, self.engine.backend.num_stages)] + [FINAL]

    @property
    def adaptive(self) -> bool:
        """Whether a policy decides about each image."""
        return self.engine.policy.rule.kind != "fixed"

    def macs(self) -> tuple[int, ...]:
        """Return the true multiply-adds of each exit, (M,)."""
        if isinstance(self.source, Bundle):
            return tuple(facts.macs for facts in self.source.config.exits)
        return self.source.config.network.complexity.macs


def open_subject(
    path: Path,
    *,
    threshold: float | None = None,
    precision: FloatFormat | None = None,
    threads: int | None = None,
) -> Subject:
    """Open a run or a bundle; see `endoexit.runtime.session.open_engine`."""
    opened = open_engine(path, threshold=threshold, threads=threads, precision=precision)
    return Subject(opened.source, opened.engine, opened.decided_by)


def exit_works(subject: Subject, images: Images) -> dict[str, Work]:
    """Return works by the name of the exit that all images use."""
    engine, last = subject.engine, subject.engine.backend.num_stages
    return {
        name: Contender(
            Engine(engine.backend, fixed_exit(last, number), engine.preprocessing), images
        ).answer
        for number, name in enumerate(subject.exits, start=1)
    }


def exits_taken(subject: Subject, images: Images, track: Track) -> NDArray[np.int64]:
    """Return the exit (N,) of each image under the policy, 1 to M, one image at a time."""
    found = []
    with track("finding exits", len(images)) as bar:
        for row in range(len(images)):
            found += [answer.exit for answer in subject.engine.predict(images[row : row + 1])]
            bar.advance()
    return np.array(found)


def policy_works(subject: Subject, images: Images, exits: NDArray[np.int64]) -> dict[int, Work]:
    """Return, for each exit that the policy uses, a work on the images that exit there.

    Args:
        subject: Subject with a policy.
        images: Images, uint8 (N, S, S, 3).
        exits: Exit (N,) of each image; see `exits_taken`.
    """
    return {
        number: Contender(subject.engine, images[exits == number]).answer
        for number in np.unique(exits).tolist()
    }
