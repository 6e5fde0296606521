"""Accuracy of the networks of `front.py`: kept when the run that showed it is gone.

A point is a network under a policy: its accuracy on test, and how many images exit at each exit.
Times are another matter: those of an exit do not depend on the weights, so they are measured with
other runs, all in one process.
"""

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from endoexit.artifacts.run import Run
from endoexit.evaluation.fitting import exit_costs, find_run_policy
from endoexit.files import read_json, write_json
from endoexit.machine import describe_machine, library_versions
from endoexit.policy import ExitPolicy, fixed_exit
from endoexit.policy.goal_options import make_goal
from endoexit.policy.table import outcome
from endoexit.runtime.session import Session
from front_networks import CANDIDATES, GOALS
from tables import RESULTS, without_places

POINTS = RESULTS / "front_points.json"
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
    """

    network: str
    precision: str
    seed: int
    policy: str
    accuracy: float
    counts: dict[int, int]


def points_of(name: str, precision: str, seed: int, session: Session) -> list[Point]:
    """Return the points of one bundle.

    Policies are found on calibrate with the logits of this bundle; test only scores them.
    """
    test, macs = session.logits("test").as_set(), exit_costs(session, "macs")
    last = session.backend.num_stages
    policies: dict[str, ExitPolicy] = {FINAL: fixed_exit(last, last)}
    if CANDIDATES[name].exits:
        for drop in GOALS:
            result = find_run_policy(session, make_goal(max_accuracy_drop=drop))
            policies[f"at most {100 * drop:g} points lost on calibrate"] = result.policy
    points = []
    for words, policy in policies.items():
        exits = policy.assign(test.logits)
        accuracy = outcome(test, exits, macs.values).accuracy
        counts = {k: int((exits == k).sum()) for k in sorted(set(exits.tolist()))}
        points.append(Point(name, precision, seed, words, accuracy, counts))
    return points


def recipe_digest(run: Run) -> str:
    """Return what tells two recipes apart; a cascade's are those of its members."""
    recipe = run.config.recipe
    return hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()


def read_points() -> dict[str, Any]:
    """Return what is kept: facts of each network and seed, with their points."""
    return read_json(POINTS) if POINTS.is_file() else {}


def keep(name: str, seed: int, run: Run, points: list[Point]) -> None:
    """Add the points of a run to those that are kept; earlier ones of the same seed go."""
    kept = read_points()
    kept[f"{name}, seed {seed}"] = {
        "points": [vars(point) for point in points],
        "recipe": recipe_digest(run),
        "command": without_places((run.config.command or "").partition(" --out ")[0]),
        "machine": describe_machine(),
        "versions": library_versions(),
    }
    write_json(POINTS, dict(sorted(kept.items())))


def kept_points() -> list[Point]:
    """Return all points that are kept, in the order of the candidates."""
    kept = read_points()
    return [
        Point(**{**point, "counts": {int(k): n for k, n in point["counts"].items()}})
        for name in CANDIDATES
        for key, entry in kept.items()
        if key.partition(", seed ")[0] == name
        for point in entry["points"]
    ]
