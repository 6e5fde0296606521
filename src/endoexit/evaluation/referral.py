"""Referral on a cohort and on foreign images: coverage, risk, and what is recognised as foreign."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn import metrics

from endoexit.errors import DataError, ImageError
from endoexit.evaluation.adaptive import Decision
from endoexit.evaluation.estimates import (
    CoverageRow,
    Estimate,
    Foreign,
    Referrals,
    RiskCurve,
)
from endoexit.evaluation.intervals import GroupBootstrap, exact_interval
from endoexit.models.cost import Complexity
from endoexit.policy import ExitPolicy, fixed_exit
from endoexit.policy.coverage import area_under, coverage, risk_curve, sureness_of
from endoexit.policy.distance import Distance, Features, distances
from endoexit.policy.logits import LogitSet
from endoexit.policy.referral import ANSWERED, UNLIKE, UNSURE, energy
from endoexit.runtime.exits import all_exits
from endoexit.runtime.inputs import Inputs
from endoexit.runtime.logits import RoleLogits
from endoexit.runtime.session import BATCH_SIZE, Session

# Points of a curve that are kept: enough for a figure, few enough for a document.
POINTS = 200


def referrals(
    decision: Decision, logits: RoleLogits, bootstrap: GroupBootstrap
) -> Referrals | None:
    """Return what the referral of a policy does on a cohort; None for a policy without.

    Args:
        decision: Policy, applied to the cohort.
        logits: Logits of the cohort.
        bootstrap: Bootstrap over the groups of the cohort.
    """
    policy, data = decision.policy, logits.as_set()
    if policy.referral is None:
        return None
    codes = policy.referred(logits.logits, decision.exits, logits.features)
    rows = [_row("all images", decision, data, codes, np.ones(data.num_images, dtype=np.bool_))]
    rows[0] = rows[0].replaced(**_with_groups(decision, data, codes, logits, bootstrap))
    for index, name in enumerate(logits.classes):
        if (of_class := data.labels == index).any():
            rows.append(_row(name, decision, data, codes, of_class))
    final = fixed_exit(policy.num_exits, policy.num_exits)
    final = final.replaced(temperatures=policy.temperatures)
    last = np.full(data.num_images, policy.num_exits)
    curves = (_curve("policy", policy, data, decision.exits), _curve("final", final, data, last))
    return Referrals(rows=tuple(rows), curves=curves)


def _row(
    name: str,
    decision: Decision,
    data: LogitSet,
    codes: NDArray[np.int8],
    images: NDArray[np.bool_],
) -> CoverageRow:
    seen = coverage(data, decision.exits, codes, images)
    return CoverageRow(
        name=name,
        images=seen.images,
        unsure=seen.unsure,
        unlike=seen.unlike,
        coverage=Estimate(value=seen.coverage, interval=exact_interval(seen.answered, seen.images)),
        risk=Estimate(value=None, reason="every image is referred")
        if seen.risk is None
        else Estimate(value=seen.risk, interval=exact_interval(seen.wrong, seen.answered)),
    )


def _with_groups(
    decision: Decision,
    data: LogitSet,
    codes: NDArray[np.int8],
    logits: RoleLogits,
    bootstrap: GroupBootstrap,
) -> dict[str, Estimate]:
    """Return coverage and risk of all images with intervals over groups."""
    answered = codes == ANSWERED
    estimates = {"coverage": bootstrap.proportion(answered)}
    if answered.any():
        wrong = ~data.correct[decision.exits - 1, np.arange(data.num_images)]
        inside = GroupBootstrap(logits.groups[answered], bootstrap.resamples, bootstrap.seed)
        estimates["risk"] = inside.proportion(wrong[answered])
    return estimates


def _curve(name: str, policy: ExitPolicy, data: LogitSet, exits: NDArray[np.int64]) -> RiskCurve:
    wrong = ~data.correct[exits - 1, np.arange(data.num_images)]
    curve = risk_curve(sureness_of(policy, data, exits), wrong)
    places = np.unique(np.linspace(0, len(curve) - 1, POINTS).astype(int))
    return RiskCurve(
        name=name,
        coverage=tuple(((places + 1) / len(curve)).tolist()),
        risk=tuple(curve[places].tolist()),
        area=area_under(curve),
    )


def foreign_images(
    session: Session, folder: Path, policy: ExitPolicy, good: RoleLogits, cost: Complexity
) -> Foreign:
    """Return what the exits and the policy do with images from elsewhere.

    Args:
        session: Run or bundle that answers.
        folder: Folder of images that the network cannot know.
        policy: Policy that decides.
        good: Logits of images that it should know.
        cost: Cost of each exit.

    Raises:
        DataError: The folder has no image that can be read.
    """
    logits, images, failed = _logits_of(session, folder)

    @cache
    def features() -> NDArray[np.float32]:
        return session.features(images)

    exits = policy.assign(logits, features)
    codes = policy.referred(logits, exits, features)
    shares = np.bincount(exits - 1, minlength=policy.num_exits) / len(exits)
    return Foreign(
        name=folder.resolve().name,
        images=len(exits),
        failed=failed,
        unsure=int((codes == UNSURE).sum()),
        unlike=int((codes == UNLIKE).sum()),
        exit_shares=tuple(shares.tolist()),
        macs=cost.mean_macs(tuple(shares.tolist())),
        auroc=tuple(
            _area(energy(of_good), energy(of_foreign))
            for of_good, of_foreign in zip(good.logits, logits, strict=True)
        ),
        distance_auroc=_area_of_distance(policy, good.features, features),
    )


def _area_of_distance(policy: ExitPolicy, good: Features | None, foreign: Features) -> float | None:
    unlike = None if policy.referral is None else policy.referral.unlike
    if not isinstance(unlike, Distance) or good is None:
        return None
    near, far = (
        distances(features(), unlike.whitening, unlike.means) for features in (good, foreign)
    )
    return _area(near, far)


def _area(good: NDArray[np.float64], foreign: NDArray[np.float64]) -> float:
    """Return the area under the ROC curve of a measure that is larger for foreign images."""
    labels = np.repeat([0, 1], [len(good), len(foreign)])
    return float(metrics.roc_auc_score(labels, np.concatenate([good, foreign])))


def _logits_of(
    session: Session, folder: Path
) -> tuple[NDArray[np.float32], NDArray[np.uint8], int]:
    """Return the logits (M, N, C) of the images of a folder, these, and how many are unreadable."""
    if not folder.is_dir():
        raise DataError(f"{folder} is no folder of foreign images: name one.")
    answer, parts, failed = all_exits(session.backend), [], 0
    images: list[NDArray[np.uint8]] = []
    waiting: list[NDArray[np.uint8]] = []

    def batches() -> Iterator[NDArray[np.uint8]]:
        nonlocal failed, waiting
        for image in Inputs([str(folder)]):
            try:
                waiting.append(session.preprocessing.load(image))
            except ImageError:
                failed += 1
            if len(waiting) == BATCH_SIZE:
                yield np.stack(waiting)
                waiting = []
        if waiting:
            yield np.stack(waiting)

    with session.track(f"foreign images of {folder.name}", None) as bar:
        for batch in batches():
            parts.append(answer(session.preprocessing.normalise(batch)))
            images.append(batch)
            bar.advance(len(batch))
    if not parts:
        raise DataError(f"{folder} has no image that can be read: name another folder.")
    return np.concatenate(parts, axis=1), np.concatenate(images), failed
