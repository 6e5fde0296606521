"""The exits and the policy of a run or a bundle as works that take turns."""

import numpy as np
from numpy.typing import NDArray

from endoexit.evaluation.latency import Contender
from endoexit.evaluation.turns import Work
from endoexit.policy import fixed_exit
from endoexit.progress import Track
from endoexit.runtime.engine import Engine, Images
from endoexit.runtime.session import Session

FINAL = "final exit"
POLICY = "policy"


def exit_names(session: Session) -> list[str]:
    """Return the names of the exits, the final one last."""
    return [f"exit {number}" for number in range(1, session.backend.num_stages)] + [FINAL]


def exit_works(session: Session, images: Images) -> dict[str, Work]:
    """Return works by the name of the exit that all images use."""
    engine, last = session.engine, session.backend.num_stages
    return {
        name: Contender(
            Engine(engine.backend, fixed_exit(last, number), engine.preprocessing), images
        ).answer
        for number, name in enumerate(exit_names(session), start=1)
    }


def exits_taken(session: Session, images: Images, track: Track) -> NDArray[np.int64]:
    """Return the exit of each image under the policy, (N,), 1 to M, one image at a time."""
    exits = []
    with track("finding exits", len(images)) as bar:
        for row in range(len(images)):
            exits += [answer.exit for answer in session.engine.predict(images[row : row + 1])]
            bar.advance()
    return np.array(exits)


def policy_works(session: Session, images: Images, exits: NDArray[np.int64]) -> dict[int, Work]:
    """Return, for each exit that the policy uses, a work on the images that exit there.

    Args:
        session: Run or bundle with a policy.
        images: Images, uint8 (N, S, S, 3).
        exits: (N,) see `exits_taken`.
    """
    return {
        number: Contender(session.engine, images[exits == number]).answer
        for number in np.unique(exits).tolist()
    }
