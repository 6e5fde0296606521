"""Time of the networks of `front.py`, all timed alternately in one process, with their points."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from endoexit.bench.peers import open_peer
from endoexit.bench.ratios import mixed, spread
from endoexit.evaluation.latency import Contender, keeping_threads
from endoexit.evaluation.turns import Work, take_turns
from endoexit.images.preprocessing import Preprocessing
from endoexit.models import NetworkSpec
from endoexit.policy import ExitPolicy
from endoexit.policy.rules.threshold import ThresholdRule
from endoexit.precision import Precision
from endoexit.progress import Track
from endoexit.runtime.engine import Engine
from endoexit.runtime.session import Session
from front_networks import CANDIDATES
from front_points import Point

BASELINE = "paper's baseline"  # HiFuse-Small, 224 × 224, eager PyTorch
NEAR = 0.005  # accuracy that a point with early exits may be below a static network
WITHIN = 0.67  # of its time
DECODING = "decoding"

Times = Mapping[str, Sequence[float]]


def work_of(network: str, precision: str, what: int | str) -> str:
    """Return the name of the timed work of an exit, or of decoding."""
    return f"{network} {precision} {what}"


def exit_works(
    name: str, precision: str, session: Session, files: Sequence[Path]
) -> dict[str, Work]:
    """Return the works of one bundle: an answer at each exit, and decoding.

    At each exit before, the confidence is computed and too low, as under a policy.
    """
    images = np.stack([session.preprocessing.load(file) for file in files])
    last = session.backend.num_stages
    works: dict[str, Work] = {
        work_of(name, precision, DECODING): lambda turn: session.preprocessing.load(
            files[turn % len(files)]
        )
    }
    for k in range(1, last + 1):
        thresholds = [1.0] * (k - 1) + [0.0] * (last - k)
        rule = ThresholdRule(kind="max_probability", thresholds=tuple(thresholds))
        policy = ExitPolicy(rule=rule, num_exits=last, temperatures=(1.0,) * last)
        engine = Engine(session.backend, policy, session.preprocessing)
        exits = {answer.exit for answer in engine.predict(images)}
        if exits != {k}:
            raise SystemExit(f"{name} answers at exits {sorted(exits)} instead of {k}")
        works[work_of(name, precision, k)] = Contender(engine, images).answer
    return works


def baseline_works(
    classes: int, files: Sequence[Path], folder: Path, threads: int
) -> dict[str, Work]:
    """Return the works of the paper's baseline: with random weights it takes the same time."""
    view = Preprocessing(size=224)
    spec = NetworkSpec("hifuse_small", classes, view.size)
    peer = open_peer("eager", spec, view, Precision("torch", "f32", "f32"), threads=threads,
                     folder=folder)  # fmt: skip
    images = np.stack([view.load(file) for file in files])
    return {
        BASELINE: Contender(peer.engine, images).answer,
        f"{BASELINE} {DECODING}": lambda turn: view.load(files[turn % len(files)]),
    }


def measure(
    points: Sequence[Point],
    bundles: Mapping[tuple[str, str], Session],
    files: Sequence[Path],
    folder: Path,
    *,
    threads: int,
    rounds: int,
    track: Track,
) -> dict[str, Any]:
    """Return all points with times, and the comparisons of static networks.

    Args:
        points: Points of networks that have a bundle.
        bundles: Open bundles by candidate and precision; their weights do not matter.
        files: Images that are answered and decoded.
        folder: Folder for the files of the baseline.
        threads: Threads of a stage.
        rounds: Rounds in which each work is timed once.
        track: Display of progress.
    """
    works = dict[str, Work]()
    with keeping_threads():
        for (name, precision), session in bundles.items():
            works |= exit_works(name, precision, session, files)
        classes = len(next(iter(bundles.values())).classes)
        works |= baseline_works(classes, files, folder, threads)
        with track("timing", rounds) as bar:
            times = take_turns(works, rounds, bar, untimed=1)
    groups = grouped([point for point in points if (point.network, point.precision) in bundles])
    return {
        "rows": [_row(group, times) for group in groups],
        "comparisons": comparisons(groups, times),
        "baseline_ms": spread(times[BASELINE]).model_dump(),
        "baseline_decoding_ms": spread(times[f"{BASELINE} {DECODING}"]).model_dump(),
    }


def grouped(points: Sequence[Point]) -> list[list[Point]]:
    """Return the points that differ in their seed only, together."""
    groups: dict[tuple[str, str, str], list[Point]] = defaultdict(list)
    for point in points:
        groups[point.network, point.precision, point.policy].append(point)
    return list(groups.values())


def _time(group: Sequence[Point], times: Times) -> NDArray[np.float64]:
    """Return the mean time of an image in each round, (rounds,), mean of the seeds."""
    each = [
        mixed(
            {k: times[work_of(point.network, point.precision, k)] for k in point.counts},
            point.counts,
        )
        for point in group
    ]
    means: NDArray[np.float64] = np.mean(each, axis=0)
    return means


def _accuracy(group: Sequence[Point]) -> float:
    return float(np.mean([point.accuracy for point in group]))


def _row(group: Sequence[Point], times: Times) -> dict[str, Any]:
    first, ms = group[0], _time(group, times)
    decoding = np.asarray(times[work_of(first.network, first.precision, DECODING)])
    baseline, its_decoding = (
        np.asarray(times[name]) for name in (BASELINE, f"{BASELINE} {DECODING}")
    )
    return {
        "network": first.network,
        "precision": first.precision,
        "policy": first.policy,
        "seeds": [point.seed for point in group],
        "accuracy": _accuracy(group),
        "accuracies": [point.accuracy for point in group],
        "ms": spread(ms).model_dump(),
        "decoding_ms": spread(decoding).model_dump(),
        "to_baseline": spread(ms / baseline).model_dump(),
        "to_baseline_with_decoding": spread(
            (ms + decoding) / (baseline + its_decoding)
        ).model_dump(),
    }


def comparisons(groups: Sequence[Sequence[Point]], times: Times) -> list[dict[str, Any]]:
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
