"""Accuracy and time of the networks of `front.py`: all timed alternately in one process."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from endoexit.bench.peers import open_peer
from endoexit.bench.ratios import mixed, spread
from endoexit.evaluation.fitting import exit_costs, find_run_policy
from endoexit.evaluation.latency import Contender, keeping_threads
from endoexit.evaluation.turns import Work, take_turns
from endoexit.images.cache import cache_images
from endoexit.images.preprocessing import Preprocessing
from endoexit.models import NetworkSpec
from endoexit.policy import ExitPolicy, fixed_exit
from endoexit.policy.goal_options import make_goal
from endoexit.policy.table import outcome
from endoexit.precision import Precision
from endoexit.progress import Track
from endoexit.runtime.engine import Engine
from endoexit.runtime.session import Session
from front_networks import CANDIDATES, GOALS

BASELINE = "paper's baseline"  # HiFuse-Small, 224 × 224, eager PyTorch
NEAR = 0.005  # accuracy that a point with early exits may be below a static network
WITHIN = 0.67  # of its time
FINAL = "final exit"


@dataclass(frozen=True)
class Point:
    """One network at one precision with one seed, under one policy or none.

    Attributes:
        network: Name of the candidate.
        precision: "f32" or "int8".
        seed: Seed of the training.
        policy: What decides, in words.
        accuracy: Accuracy on test, 0 to 1.
        counts: Number of test images that exit at each exit.
        works: Name of the timed work for each of these exits.
    """

    network: str
    precision: str
    seed: int
    policy: str
    accuracy: float
    counts: Mapping[int, int]
    works: Mapping[int, str]


def points_of(
    name: str, precision: str, seed: int, session: Session
) -> tuple[list[Point], dict[str, Work]]:
    """Return the points of one bundle, and what is to be timed for them.

    Policies are found on calibrate with the logits of this bundle; test only scores them.
    """
    test, macs = session.logits("test").as_set(), exit_costs(session, "macs")
    images = np.asarray(session.images(session.manifest.cohort("test")))
    last = session.backend.num_stages
    policies: dict[str, ExitPolicy] = {FINAL: fixed_exit(last, last)}
    if CANDIDATES[name].exits:
        for drop in GOALS:
            result = find_run_policy(session, make_goal(max_accuracy_drop=drop))
            policies[f"at most {100 * drop:g} points lost on calibrate"] = result.policy
    points, works = [], dict[str, Work]()
    for words, policy in policies.items():
        exits = policy.assign(test.logits)
        engine = Engine(session.backend, policy, session.preprocessing)
        names = {k: f"{name} {precision} {seed} {words} {k}" for k in np.unique(exits).tolist()}
        for k, work in names.items():
            works[work] = Contender(engine, images[exits == k]).answer
        points.append(
            Point(
                name, precision, seed, words,
                accuracy=outcome(test, exits, macs.values).accuracy,
                counts={k: int((exits == k).sum()) for k in names}, works=names,
            )
        )  # fmt: skip
    return points, works


def baseline(session: Session, folder: Path, threads: int) -> Work:
    """Return the paper's baseline on the same test images, with random weights: the same time."""
    view = Preprocessing(size=224)
    spec = NetworkSpec("hifuse_small", len(session.classes), view.size)
    peer = open_peer("eager", spec, view, Precision("torch", "f32", "f32"), threads=threads,
                     folder=folder)  # fmt: skip
    images = cache_images(session.manifest.cohort("test").images, view).images
    return Contender(peer.engine, np.asarray(images)).answer


def measure(
    bundles: Mapping[tuple[str, str, int], Session],
    folder: Path,
    *,
    threads: int,
    rounds: int,
    track: Track,
) -> dict[str, Any]:
    """Return the points of all bundles, with times and the comparisons of static networks.

    Args:
        bundles: Open bundles by candidate, precision and seed.
        folder: Folder for the files of the baseline.
        threads: Threads of a stage.
        rounds: Rounds in which each work is timed once.
        track: Display of progress.
    """
    points, works = list[Point](), dict[str, Work]()
    with keeping_threads():
        for (name, precision, seed), session in bundles.items():
            new_points, timed = points_of(name, precision, seed, session)
            points += new_points
            works |= timed
        works[BASELINE] = baseline(next(iter(bundles.values())), folder, threads)
        with track("timing", rounds) as bar:
            times = take_turns(works, rounds, bar, untimed=1)
    return {
        "rows": [_row(group, times) for group in _grouped(points)],
        "comparisons": comparisons(_grouped(points), times),
        "baseline_ms": spread(times[BASELINE]).model_dump(),
    }


def _grouped(points: Sequence[Point]) -> list[list[Point]]:
    """Return the points that differ in their seed only, together."""
    groups: dict[tuple[str, str, str], list[Point]] = defaultdict(list)
    for point in points:
        groups[point.network, point.precision, point.policy].append(point)
    return list(groups.values())


def _time(group: Sequence[Point], times: Mapping[str, Sequence[float]]) -> NDArray[np.float64]:
    """Return the mean time of an image in each round, (rounds,), mean of the seeds."""
    each = [
        mixed({k: times[work] for k, work in point.works.items()}, point.counts)
        for point in group
    ]  # fmt: skip
    means: NDArray[np.float64] = np.mean(each, axis=0)
    return means


def _accuracy(group: Sequence[Point]) -> float:
    return float(np.mean([point.accuracy for point in group]))


def _row(group: Sequence[Point], times: Mapping[str, Sequence[float]]) -> dict[str, Any]:
    first, ms = group[0], _time(group, times)
    return {
        "network": first.network,
        "precision": first.precision,
        "policy": first.policy,
        "seeds": [point.seed for point in group],
        "accuracy": _accuracy(group),
        "accuracies": [point.accuracy for point in group],
        "ms": spread(ms).model_dump(),
        "to_baseline": spread(ms / np.asarray(times[BASELINE])).model_dump(),
    }


def comparisons(
    groups: Sequence[Sequence[Point]], times: Mapping[str, Sequence[float]]
) -> list[dict[str, Any]]:
    """Return, for each static network, the fastest point with exits that is about as accurate.

    Both are of the same precision. Only seeds that both have are compared.
    """
    compared = []
    for static in groups:
        if CANDIDATES[static[0].network].exits:
            continue
        rivals = []
        for group in groups:
            first = group[0]
            if not CANDIDATES[first.network].exits or first.precision != static[0].precision:
                continue
            seeds = {p.seed for p in group} & {p.seed for p in static}
            ours, theirs = ([p for p in g if p.seed in seeds] for g in (group, static))
            if seeds and _accuracy(ours) >= _accuracy(theirs) - NEAR:
                rivals.append((ours, spread(_time(ours, times) / _time(theirs, times))))
        best = min(rivals, key=lambda each: each[1].median, default=None)
        compared.append(
            {
                "network": static[0].network,
                "precision": static[0].precision,
                "accuracy": _accuracy(static),
                "best": None
                if best is None
                else {
                    "network": best[0][0].network,
                    "policy": best[0][0].policy,
                    "seeds": len(best[0]),
                    "accuracy": _accuracy(best[0]),
                    "ratio": best[1].model_dump(),
                    "met": best[1].median <= WITHIN,
                },
            }
        )
    return compared
