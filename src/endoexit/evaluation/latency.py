"""Measured time of one image at each exit, and under the policy."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from endoexit.evaluation.document import Time, Timing
from endoexit.evaluation.turns import take_turns
from endoexit.machine import describe_machine
from endoexit.policy import ExitPolicy, fixed_exit
from endoexit.runtime.engine import Engine
from endoexit.runtime.prediction import Prediction
from endoexit.runtime.session import Session

ROUNDS = 30
INCLUDES = (
    "batch of 1, from the decoded and resized image to the answer: normalisation, stages 1 to k, "
    "exit heads 1 to k, softmax and routing; reading and decoding of the file not included; "
    "contenders take turns, medians after warm-up"
)

Images = NDArray[np.uint8]


@dataclass(frozen=True)
class Contender:
    """One thing whose time is measured.

    Attributes:
        engine: Engine that answers.
        images: Images, uint8 (n, S, S, 3), n at least 1, taken one after the other.
    """

    engine: Engine
    images: Images

    def answer(self, turn: int) -> list[Prediction]:
        """Return the answer for the image of a turn."""
        row = turn % len(self.images)
        return self.engine.predict(np.ascontiguousarray(self.images[row : row + 1]))


@dataclass(frozen=True)
class Measured:
    """The times of one network.

    Attributes:
        exits: Times (M,) if all images exit at exit k.
        adaptive: Time under the policy; None without one.
        twin: Time of the twin; None without one.
        timing: Conditions of the measurement.
    """

    exits: tuple[Time, ...]
    adaptive: Time | None
    twin: Time | None
    timing: Timing


def measure_run(
    session: Session,
    images: Images,
    *,
    policy: ExitPolicy | None = None,
    exits: NDArray[np.int64] | None = None,
    twin: tuple[Session, Images] | None = None,
    rounds: int = ROUNDS,
) -> Measured:
    """Measure every exit, the policy, and a twin, alternately on the same machine.

    The time of the policy is the mean over the cohort: for each exit that is taken, the
    median over images that exit there, weighted by their share.

    Args:
        session: Run or bundle whose exits are timed.
        images: Preprocessed images of the cohort, uint8 (N, S, S, 3).
        policy: Policy that is timed; None for none.
        exits: Exit of each image under `policy`, 1 to M, (N,).
        twin: Network whose last exit is timed, and the cohort as it was preprocessed for it.
        rounds: Number of measurements of each contender, after the warm-up.
    """
    with keeping_threads():
        backend, preprocessing = session.backend, session.preprocessing
        last = backend.num_stages
        contenders = {
            f"exit {number}": Contender(
                Engine(backend, fixed_exit(last, number), preprocessing), images
            )
            for number in range(1, last + 1)
        }
        counts: dict[int, int] = {}
        if policy is not None and exits is not None:
            engine = Engine(backend, policy, preprocessing)
            for number in np.unique(exits).tolist():
                rows = np.flatnonzero(exits == number)
                counts[number] = len(rows)
                contenders[f"adaptive {number}"] = Contender(engine, images[rows[:rounds]])
        if twin is not None:
            contenders["twin"] = _last_exit(*twin)
        with session.track("timing, batch of 1", rounds) as bar:
            works = {name: contender.answer for name, contender in contenders.items()}
            times = summarise(take_turns(works, rounds, bar))
        timing = Timing(
            threads=backend.threads,
            precision=str(backend.precision),
            size=preprocessing.view.size,
            rounds=rounds,
            includes=INCLUDES,
            machine=describe_machine(),
        )
    return Measured(
        exits=tuple(times[f"exit {number}"] for number in range(1, last + 1)),
        adaptive=mix([(times[f"adaptive {number}"], count) for number, count in counts.items()]),
        twin=times.get("twin"),
        timing=timing,
    )


def answers_by_the_clock(session: Session, images: Images, policy: ExitPolicy) -> list[Prediction]:
    """Return the answers to images under a policy with a deadline.

    The images go through the engine one by one. On another machine they may exit elsewhere.

    Args:
        session: Run or bundle that answers.
        images: Preprocessed images, uint8 (N, S, S, 3).
        policy: Policy with a deadline.
    """
    answers = []
    with keeping_threads(), session.track("exits by the clock", len(images)) as bar:
        engine = Engine(session.backend, policy, session.preprocessing)
        for row in range(len(images)):
            answers += engine.predict(np.ascontiguousarray(images[row : row + 1]))
            bar.advance()
    return answers


def _last_exit(session: Session, images: Images) -> Contender:
    last = session.backend.num_stages
    engine = Engine(session.backend, fixed_exit(last, last), session.preprocessing)
    return Contender(engine, images)


def summarise(times: Mapping[str, Sequence[float]]) -> dict[str, Time]:
    """Return median and outer deciles of each contender's times."""
    summary = {}
    for name, values in times.items():
        low, middle, high = np.quantile(values, [0.1, 0.5, 0.9]).tolist()
        summary[name] = Time(ms=middle, low_ms=low, high_ms=high, runs=len(values))
    return summary


def mix(parts: Sequence[tuple[Time, int]]) -> Time | None:
    """Return the mean time of images, given times and numbers of images; None without images."""
    if not parts:
        return None
    return Time(
        ms=sum(taken.ms * count for taken, count in parts) / sum(count for _, count in parts),
        low_ms=min(taken.low_ms for taken, _ in parts),
        high_ms=max(taken.high_ms for taken, _ in parts),
        runs=sum(taken.runs for taken, _ in parts),
    )


@contextlib.contextmanager
def keeping_threads() -> Iterator[None]:
    """Restore PyTorch's number of threads, which is one for the whole process, after the block."""
    before = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(before)
