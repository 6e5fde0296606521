"""The model that a service answers with: opened, warmed, asked once, described in words."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from endoexit.errors import PolicyError
from endoexit.files import sha256_bytes
from endoexit.images.preprocessing import Preprocessing
from endoexit.policy import ExitPolicy
from endoexit.policy.promises import promise_words
from endoexit.runtime.engine import Engine
from endoexit.runtime.session import Session, open_session
from endoexit.serve.scheduler import Scheduler
from endoexit.serve.settings import Settings
from endoexit.serve.worker import Journey

RESEARCH_USE = "Research use only; not a medical device."


@dataclass(frozen=True)
class Model:
    """A model that is ready to answer.

    Attributes:
        name: Name of its folder.
        session: Run or bundle.
        engine: Engine without a deadline: the scheduler keeps deadlines, image by image.
        scheduler: Scheduler of its images.
        deadline_ms: Deadline of its policy in milliseconds; None for none.
    """

    name: str
    session: Session
    engine: Engine
    scheduler: Scheduler[Journey]
    deadline_ms: float | None

    @property
    def classes(self) -> tuple[str, ...]:
        """Names in the order of the probabilities."""
        return self.session.classes

    @property
    def exits(self) -> int:
        """Number of exits, M."""
        return self.engine.backend.num_stages

    @property
    def policy(self) -> ExitPolicy:
        """Policy that decides where images exit."""
        return self.engine.policy

    @property
    def preprocessing(self) -> Preprocessing:
        """Preprocessing of the images."""
        return self.engine.preprocessing

    @cached_property
    def identity(self) -> dict[str, str]:
        """Name, hashes of weights and policy, and precision, which are in each answer."""
        return {
            "name": self.name,
            "weights": self.session.source.weights_sha256,
            "policy": sha256_bytes(self.policy.model_dump_json().encode()),
            "precision": str(self.engine.backend.precision),
        }

    @property
    def promises(self) -> tuple[str, ...]:
        """Promises of the policy, in words."""
        return tuple(promise_words(promise) for promise in self.policy.promises)

    def describe(self) -> dict[str, Any]:
        """Return the description of the model."""
        return {
            **self.identity,
            "classes": self.classes,
            "exits": self.exits,
            "image_size": self.preprocessing.view.size,
            "decided_by": self.policy.goal or str(self.policy.rule.kind),
            "promises": self.promises,
            "referral": self.policy.referral.words if self.policy.referral else (),
            "note": self.policy.note,
            "use": RESEARCH_USE,
        }


def open_model(path: Path, settings: Settings, observe: Callable[[int, int, float], None]) -> Model:
    """Open a run or a bundle, warm it, and ask it about an image.

    Args:
        path: Folder of the run or the bundle.
        settings: Settings of the service.
        observe: See `Scheduler`.

    Raises:
        RunError: It is neither, has no weights, or a file was changed.
        PolicyError: It has no policy, one for other weights, or its answer is not finite.
        UsageError: It cannot compute here.
    """
    streams, threads = settings.shares()
    session = open_session(path, threshold=settings.threshold, threads=threads)
    engine = session.engine
    if session.decider.origin == "none" and engine.backend.num_stages > 1:
        raise PolicyError(
            f"{path} has no exit policy, so no image would exit early: run `endoexit calibrate`, "
            "or add --threshold 0.9."
        )
    deadline_ms = engine.deadline_ms
    policy = engine.policy.replaced(deadline_ms=None)
    backends = [engine.backend]
    while len(backends) < streams:
        backends.append(session.another_backend())
    engines = [Engine(backend, policy, engine.preprocessing) for backend in backends]
    scheduler: Scheduler[Journey] = Scheduler(
        engines,
        settings.batch_size,
        sys.maxsize,  # the gate holds the limit, which may change while images are inside
        max_wait_s=settings.max_wait_ms / 1000,
        observe=observe,
    )
    scheduler.warm_up()
    for each in engines:
        _ask(each)
    return Model(path.resolve().name, session, engines[0], scheduler, deadline_ms)


def _ask(engine: Engine) -> None:
    """Refuse a model whose answer is none, by an image with all grey levels."""
    side = engine.preprocessing.size
    ramp = np.linspace(0, 255, side).astype(np.uint8)
    image = np.repeat(np.add.outer(ramp // 2, ramp // 2)[..., None], 3, axis=2)
    (answer,) = engine.predict(image[None])
    if abs(float(answer.probabilities.sum()) - 1) > 1e-3:
        raise PolicyError("the probabilities of an answer do not add up to 1: train it again.")
