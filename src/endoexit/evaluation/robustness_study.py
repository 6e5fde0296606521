"""A run on changed images: answered at every strength of every change."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from endoexit.errors import RunError, UsageError
from endoexit.evaluation.adaptive import promises_shown
from endoexit.evaluation.corruptions import CORRUPTIONS, STRENGTHS, corrupt
from endoexit.evaluation.estimates import Estimate
from endoexit.evaluation.intervals import RESAMPLES, GroupBootstrap
from endoexit.evaluation.robustness import UNCHANGED, ChangedRow, Robustness, robustness_file
from endoexit.evaluation.study import evaluation_path
from endoexit.machine import library_versions
from endoexit.models.attacks import attack, average, random_starts, single, strongest
from endoexit.policy import ExitPolicy
from endoexit.policy.distance import Features
from endoexit.policy.logits import LogitSet
from endoexit.policy.referral import ANSWERED
from endoexit.runtime.exits import features_at_first_exit
from endoexit.runtime.logits import RoleLogits
from endoexit.runtime.session import BATCH_SIZE, Session

SEED = 0  # of the changes and of the bootstrap
Answered = tuple[str, int, NDArray[np.float32], Features | None]
"""Name of a change, its strength, logits (M, N, C), features (N, D) at exit 1 if needed."""


def measure_robustness(
    session: Session,
    role: str = "test",
    *,
    corruptions: bool = True,
    attacks: bool = False,
) -> Robustness:
    """Answer changed images of a role, and write what they show; see `robustness_path`.

    The images are changed at the size at which the network sees them. The policy stays as it is:
    it was fitted on images without these changes. What an earlier measurement of the same policy
    holds and this one leaves out is kept.

    Args:
        session: Run or bundle with weights; for attacks one that holds the network in PyTorch.
        role: Role of the images.
        corruptions: Whether images are changed as an endoscope might.
        attacks: Whether images are attacked.

    Raises:
        RunError: The run has no weights or no manifest, or attacks on stages of another backend.
        DataError: No image has the role, or images cannot be read.
        UsageError: The policy is a deadline: where images exit depends on the clock.
        ModelError: The network gives values that are not finite.
    """
    require_no_deadline(session)
    clean = session.logits(role)
    decider = session.decide(len(clean.logits))
    needs_features = decider.policy.needs_features
    answered: list[Answered] = [(UNCHANGED, 0, clean.logits, clean.features)]
    if corruptions:
        answered += _corrupted(session, role, needs_features)
    if attacks:
        answered += _attacked(session, clean, needs_features)
    robustness = Robustness(
        role=role,
        images=len(clean.labels),
        model=session.source.config.model,
        weights_sha256=session.source.weights_sha256,
        manifest_sha256=session.manifest.sha256,
        precision=str(clean.precision),
        decided_by=decider.rule,
        policy=decider.policy,
        rows=tuple(_row(session, decider.policy, clean, answer) for answer in answered),
        seed=SEED,
        versions=library_versions(),
    )
    file = robustness_path(session, role)
    robustness = _with_earlier(robustness, file)
    robustness.write(file)
    return robustness


def robustness_path(session: Session, role: str) -> Path:
    """Return where the study is kept: next to the evaluation of the same images."""
    return robustness_file(evaluation_path(session, role))


def require_no_deadline(session: Session) -> None:
    """Refuse a policy with which the clock decides where images exit.

    Raises:
        UsageError: The policy is a deadline.
    """
    if session.decider.policy.deadline_ms is not None:
        raise UsageError(
            f"the policy of {session.source.path} is a deadline, so the clock decides where "
            "images exit: give a threshold, or calibrate for another goal."
        )


def _with_earlier(robustness: Robustness, file: Path) -> Robustness:
    try:
        earlier = Robustness.read(file)
    except RunError:
        return robustness
    if not robustness.is_like(earlier):
        return robustness
    measured = {row.change for row in robustness.rows}
    kept = tuple(row for row in earlier.rows if row.change not in measured)
    return robustness.replaced(rows=robustness.rows + kept)


def _corrupted(session: Session, role: str, needs_features: bool) -> Iterator[Answered]:
    images = session.images(session.manifest.cohort(role))
    with session.track("changed images", len(CORRUPTIONS) * len(STRENGTHS) * len(images)) as bar:
        for change in CORRUPTIONS:
            for strength in STRENGTHS:
                parts, features = [], []
                for start in range(0, len(images), BATCH_SIZE):
                    batch = images[start : start + BATCH_SIZE]
                    changed = corrupt(batch, change, strength, first=start, seed=SEED)
                    parts.append(session.answers(changed))
                    if needs_features:
                        features.append(session.features(changed))
                    bar.advance(len(batch))
                yield change, strength, np.concatenate(parts, axis=1), _known(features)


def _known(features: list[NDArray[np.float32]]) -> Features | None:
    """Return the features of several batches; None where none were computed."""
    return partial(np.concatenate, features) if features else None


def _attacked(session: Session, clean: RoleLogits, needs_features: bool) -> Iterator[Answered]:
    """Yield the logits of attacked images; gradients are of the network in PyTorch, in f32."""
    images = session.images(session.manifest.cohort(clean.role))
    mean, std = (
        torch.tensor(values)[:, None, None]
        for values in (session.preprocessing.mean, session.preprocessing.std)
    )
    model, random = session.network, torch.Generator().manual_seed(SEED)
    exits = len(clean.logits)

    def network(values: Tensor) -> Sequence[Tensor]:
        answers: Sequence[Tensor] = model((values - mean) / std)
        return answers

    answers: dict[str, list[NDArray[np.float32]]] = defaultdict(list)
    features: dict[str, list[NDArray[np.float32]]] = defaultdict(list)
    with session.track("attacked images", len(images)) as bar:
        for start in range(0, len(images), BATCH_SIZE):
            batch = torch.tensor(images[start : start + BATCH_SIZE]).permute(0, 3, 1, 2) / 255
            labels = torch.tensor(clean.labels[start : start + BATCH_SIZE])
            singles = {
                f"exit {number}" if number < exits else "main": attack(
                    network, batch, labels, single(number), start=start
                )
                for number, start in enumerate(random_starts(batch, exits, random), start=1)
            }
            attacked = {
                **singles,
                "average": attack(network, batch, labels, average),
                "max-average": strongest(network, labels, list(singles.values())),
            }
            for name, values in attacked.items():
                with torch.no_grad():
                    answers[name].append(torch.stack(list(network(values))).numpy())
                if needs_features:
                    seen = ((values - mean) / std).contiguous().numpy()
                    features[name].append(features_at_first_exit(session.backend)(seen))
            bar.advance(len(batch))
    for name, parts in answers.items():
        yield name, 1, np.concatenate(parts, axis=1), _known(features[name])


def _row(session: Session, policy: ExitPolicy, clean: RoleLogits, answered: Answered) -> ChangedRow:
    change, strength, logits, features = answered
    data = LogitSet(clean.role, logits, clean.labels, clean.groups, features)
    bootstrap = GroupBootstrap(clean.groups, RESAMPLES, SEED)
    exits, macs = policy.assign(logits, features), np.asarray(session.source.complexity.macs, float)
    right = data.correct[exits - 1, np.arange(data.num_images)]
    said = policy.referred(logits, exits, features) == ANSWERED
    of_said = GroupBootstrap(clean.groups[said], RESAMPLES, SEED)
    numbers = np.arange(1, len(logits) + 1)
    return ChangedRow(
        change=change,
        strength=strength,
        accuracy=of_said.proportion(right[said])
        if said.any()
        else Estimate(value=None, reason="every image is referred"),
        referred=float((~said).mean()),
        final=bootstrap.proportion(data.correct[-1]),
        shares=tuple((exits == numbers[:, None]).mean(axis=1).tolist()),
        cost=float((macs[exits - 1] / macs[-1]).mean()),
        early_wrong=float(((exits < len(macs)) & said & ~right).mean()),
        promises=promises_shown(policy, data, session.classes, bootstrap),
    )
