"""Every goal of `endoexit calibrate` on a run trained on real images, and what test then showed.

    python benchmarks/real_policies.py                    the fine-tuned run of benchmarks/real.py
    python benchmarks/real_policies.py --run FOLDER       another one
    python benchmarks/real_policies.py --table-only       the tables again from the JSON

The goals are in real_policies_goals.py. They were written before any of them was tried, and those
about cost are shares of the network's own cost. Images of calibrate are shared out to calibrate and
certify. Policies are found on calibrate and proven on certify; test is looked at once for each. All
of it happens in a copy of the run, whose times are measured first. Takes three minutes on two cores
that do nothing else. Writes benchmarks/results/real_policies_colonoscopy.json, the table of the
README and those of docs/real-policies.md (see real_policies_pages.py).
"""

import argparse
import shutil
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from endoexit import evaluate
from endoexit.artifacts.run import Run, open_run
from endoexit.data.manifest import Manifest
from endoexit.errors import PolicyError
from endoexit.evaluation.adaptive import promises_shown
from endoexit.evaluation.fitting import CalibrationOptions, exit_costs, find_run_policy
from endoexit.evaluation.intervals import GroupBootstrap
from endoexit.evaluation.latency import answers_by_the_clock
from endoexit.files import read_json, write_json
from endoexit.images.cache import cache_images
from endoexit.machine import describe_machine, library_versions
from endoexit.policy import ExitPolicy
from endoexit.policy.choice import limit_in
from endoexit.policy.comparisons import oracle, random_assignment
from endoexit.policy.goal_options import make_goal
from endoexit.policy.goals import (
    AccuracyDrop,
    AccuracyFloor,
    Budget,
    CostLimit,
    Goal,
)
from endoexit.policy.logits import LogitSet
from endoexit.policy.referral import ANSWERED
from endoexit.policy.table import outcome
from endoexit.runtime.logits import RoleLogits
from endoexit.runtime.session import open_session
from real_policies_goals import Ask, asked
from real_policies_pages import write_pages
from real_split import make_manifest
from real_studies import THRESHOLD
from tables import RESULTS, ROOT, without_places

RUN = ROOT / "runs" / "real" / "colonoscopy" / "lite0-seed0"
RESULT = RESULTS / "real_policies_colonoscopy.json"


class Subject:
    """A run with what is needed to see what a policy does on test; its times are measured here."""

    def __init__(self, run: Run, manifest: Manifest) -> None:
        self.run = run
        evaluated = evaluate(run.path, threshold=THRESHOLD, manifest=manifest.path).evaluation
        assert evaluated.timing is not None
        self.timing = evaluated.timing
        self.session = open_session(run, threads=self.timing.threads, manifest=manifest)
        self.logits: dict[str, RoleLogits] = {
            role: self.session.logits(role) for role in ("calibrate", "certify", "test")
        }
        self.test: LogitSet = self.logits["test"].as_set()
        self.bootstrap = GroupBootstrap(self.test.groups)
        self.costs = {unit: exit_costs(self.session, unit) for unit in ("ms", "macs")}

    def on_test(self, policy: ExitPolicy) -> dict[str, Any]:
        """Return what a policy does on test."""
        late = None
        if policy.deadline_ms is None:
            exits = policy.assign(self.test.logits)
        else:
            answers = self.by_the_clock(policy)
            exits = np.array([answer.exit for answer in answers])
            late = float(np.mean([answer.deadline_missed for answer in answers]))
        right = self.test.correct[exits - 1, np.arange(len(exits))].astype(float)
        answered = policy.referred(self.test.logits, exits, self.test.features) == ANSWERED
        against = GroupBootstrap(self.test.groups[answered])
        seen = {unit: outcome(self.test, exits, cost.values) for unit, cost in self.costs.items()}
        promises = promises_shown(policy, self.test, self.run.classes, self.bootstrap)
        return {
            "referred": float(1 - answered.mean()),
            "accuracy": float(right[answered].mean()),
            "minus_final": against.mean((right - self.test.correct[-1])[answered]).model_dump(),
            "macs": seen["macs"].cost / self.costs["macs"].values[-1],
            "ms": seen["ms"].cost,
            "shares": seen["macs"].exit_shares,
            "random_accuracy": random_assignment(
                self.test, exits, self.costs["macs"].values
            ).accuracy,
            "late": late,
            "promises": [shown.model_dump(mode="json") for shown in promises],
        }

    def by_the_clock(self, policy: ExitPolicy) -> list[Any]:
        """Answer the test images one by one under a deadline."""
        test = self.session.manifest.cohort("test").images
        images = cache_images(test, self.run.config.preprocessing).images
        return answers_by_the_clock(self.session, images, policy)


def row(subject: Subject, ask: Ask) -> dict[str, Any]:
    """Find the policy for one goal and return it with what test showed, or why it was refused."""
    goal = make_goal(**ask.wanted)
    made: dict[str, Any] = {
        "kind": ask.name,
        "table": ask.table,
        "readme": ask.readme,
        "goal": " and ".join(ask.wanted["guarantee"]) if "guarantee" in ask.wanted else str(goal),
        "most_referred": ask.wanted.get("max_referral"),
        "wanted": ask.wanted,
        "rules": ask.rules.model_dump(),
    }
    try:
        result = find_run_policy(subject.session, goal, CalibrationOptions(rules=ask.rules))
    except PolicyError as error:
        return made | {"refused": str(error)}
    policy = result.policy
    seen = subject.on_test(policy)
    return made | {
        "policy": policy.model_dump(mode="json", exclude={"front", "provenance", "costs"}),
        "cost": policy.costs.source,
        "on_calibrate": asdict(result.expected)
        | {"relative_cost": result.expected.cost / policy.costs.values[-1]},
        "on_test": seen,
        "kept": kept(goal, subject, seen),
    }


def kept(goal: Goal, subject: Subject, seen: dict[str, Any]) -> bool:
    """Tell whether test shows what was promised, or, of a goal without a promise, was met."""
    if seen["promises"]:
        return all(shown["kept"] for shown in seen["promises"])
    if seen["late"] is not None:
        return bool(seen["late"] == 0.0)
    if isinstance(goal, AccuracyFloor):
        return bool(seen["accuracy"] >= goal.accuracy)
    if isinstance(goal, AccuracyDrop):
        return bool(-seen["minus_final"]["value"] <= goal.drop + 1e-12)
    assert isinstance(goal, Budget | CostLimit)
    in_ms = isinstance(goal, Budget) or goal.unit == "ms"
    costs = subject.costs["ms" if in_ms else "macs"]
    spent = seen["ms"] if in_ms else seen["macs"] * costs.values[-1]
    return bool(spent <= limit_in(goal, costs))


def measure(run: Path) -> dict[str, Any]:
    """Return the document of one run, measured in a copy of it."""
    with tempfile.TemporaryDirectory(dir=run.parent) as folder:  # a manifest's root may be
        copy = shutil.copytree(run, folder, dirs_exist_ok=True)  # relative to the run
        manifest = make_manifest("colonoscopy", Path(copy) / "roles.csv")
        subject = Subject(open_run(Path(copy)), manifest)
        return document(subject) | {"run": f"{run.parent.name}/{run.name}"}


def document(subject: Subject) -> dict[str, Any]:
    """Return what every goal gives."""
    run = subject.run
    test = subject.test
    macs = subject.costs["macs"].values
    best = oracle(test, macs)
    return {
        "command": "python benchmarks/real_policies.py",
        "training": without_places(run.config.command.partition(" --out ")[0]),
        "model": run.config.model,
        "weights_sha256": run.weights_sha256,
        "manifest_sha256": subject.session.manifest.sha256,
        "preprocessing": run.config.preprocessing.fingerprint(),
        "precision": str(subject.logits["test"].precision),
        "classes": run.classes,
        "roles": {
            role: {"images": len(logits.labels), "groups": len(set(logits.groups.tolist()))}
            for role, logits in subject.logits.items()
        },
        "costs": {unit: costs.model_dump(mode="json") for unit, costs in subject.costs.items()},
        "timing": subject.timing.model_dump(mode="json"),
        "exits": [
            {"accuracy": float(right.mean()), "macs": cost / macs[-1]}
            for right, cost in zip(test.correct, macs, strict=True)
        ],
        "oracle": {
            "accuracy": best.accuracy,
            "macs": best.cost / macs[-1],
            "ms": float(np.dot(best.exit_shares, subject.costs["ms"].values)),
            "shares": best.exit_shares,
        },
        "rows": [row(subject, ask) for ask in asked(subject.costs["ms"], subject.costs["macs"])],
        "machine": describe_machine(),
        "versions": library_versions(),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", type=Path, default=RUN, help="a finished run of real.py")
    parser.add_argument("--table-only", action="store_true", help="use the JSON that is there")
    arguments = parser.parse_args()
    if not arguments.table_only:
        write_json(RESULT, measure(arguments.run))
    write_pages(read_json(RESULT))
    return 0


if __name__ == "__main__":
    sys.exit(main())
