"""A run on changed images: answered at every strength of every change."""

import numpy as np
from numpy.typing import NDArray

from endoexit.errors import UsageError
from endoexit.evaluation.adaptive import promises_shown
from endoexit.evaluation.corruptions import CORRUPTIONS, STRENGTHS, corrupt
from endoexit.evaluation.estimates import Estimate
from endoexit.evaluation.intervals import RESAMPLES, GroupBootstrap
from endoexit.evaluation.robustness import FILE, UNCHANGED, ChangedRow, Robustness
from endoexit.machine import library_versions
from endoexit.policy import ExitPolicy
from endoexit.policy.logits import LogitSet
from endoexit.policy.referral import ANSWERED
from endoexit.runtime.session import BATCH_SIZE, Session


def measure_robustness(session: Session, role: str = "test", *, seed: int = 0) -> Robustness:
    """Answer the images of a role under every change, and write `corruptions.json`.

    The images are changed at the size at which the network sees them. The policy stays as it is:
    it was fitted on images without these changes.

    Args:
        session: Run or bundle with weights.
        role: Role of the images.
        seed: Random seed.

    Raises:
        RunError: The run has no weights or no manifest.
        DataError: No image has the role, or images cannot be read.
        UsageError: The policy is a deadline: where images exit depends on the clock.
        ModelError: The network gives values that are not finite.
    """
    cohort = session.manifest.cohort(role)
    images, clean = session.images(cohort), session.logits(role)
    decider = session.decide(len(clean.logits))
    if decider.policy.deadline_ms is not None:
        raise UsageError(
            f"the policy of {session.source.path} is a deadline, so the clock decides where "
            "images exit: give a threshold, or calibrate for another goal."
        )
    bootstrap = GroupBootstrap(clean.groups, RESAMPLES, seed)

    def row(change: str, strength: int, logits: NDArray[np.float32]) -> ChangedRow:
        data = LogitSet(role, logits, clean.labels, clean.groups)
        return _row(session, decider.policy, data, bootstrap, (change, strength))

    rows = [row(UNCHANGED, 0, clean.logits)]
    with session.track("changed images", len(CORRUPTIONS) * len(STRENGTHS) * len(images)) as bar:
        for change in CORRUPTIONS:
            for strength in STRENGTHS:
                parts = []
                for start in range(0, len(images), BATCH_SIZE):
                    batch = images[start : start + BATCH_SIZE]
                    changed = corrupt(batch, change, strength, first=start, seed=seed)
                    parts.append(session.answers(changed))
                    bar.advance(len(batch))
                rows.append(row(change, strength, np.concatenate(parts, axis=1)))
    found = Robustness(
        role=role,
        images=len(images),
        model=session.source.config.model,
        weights_sha256=session.source.weights_sha256,
        precision=str(clean.precision),
        decided_by=decider.rule,
        policy=decider.policy,
        rows=tuple(rows),
        seed=seed,
        versions=library_versions(),
    )
    found.write(session.results / FILE)
    return found


def _row(
    session: Session,
    policy: ExitPolicy,
    data: LogitSet,
    bootstrap: GroupBootstrap,
    what: tuple[str, int],
) -> ChangedRow:
    exits, macs = policy.assign(data.logits), np.asarray(session.source.complexity.macs, float)
    right = data.correct[exits - 1, np.arange(data.num_images)]
    answered = policy.referred(data.logits, exits) == ANSWERED
    of_answered = GroupBootstrap(data.groups[answered], bootstrap.resamples, bootstrap.seed)
    numbers = np.arange(1, len(data.logits) + 1)
    return ChangedRow(
        change=what[0],
        strength=what[1],
        accuracy=of_answered.proportion(right[answered])
        if answered.any()
        else Estimate(value=None, reason="every image is referred"),
        referred=float((~answered).mean()),
        final=bootstrap.proportion(data.correct[-1]),
        shares=tuple((exits == numbers[:, None]).mean(axis=1).tolist()),
        cost=float((macs[exits - 1] / macs[-1]).mean()),
        early_wrong=float(((exits < len(macs)) & answered & ~right).mean()),
        promises=promises_shown(policy, data, session.classes, bootstrap),
    )
