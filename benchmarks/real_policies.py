"""Every goal of `endoexit calibrate` on a run trained on real images, and what test then showed.

    python benchmarks/real_policies.py                    the first run of benchmarks/real.py
    python benchmarks/real_policies.py --run FOLDER       another one
    python benchmarks/real_policies.py --table-only       the tables again from the JSON

The goals are in this file. They were written before any of them was tried, and those about cost are
shares of the network's own cost. Policies are found on calibrate and proven on certify;
test is looked at once for each, and the run keeps the policy that it has. The run needs an
evaluation.json with times measured on this machine (`endoexit evaluate`). Takes two minutes on two
cores that do nothing else. Writes benchmarks/results/real_policies_colonoscopy.json, the table of
the README and those of docs/real-policies.md (see real_policies_pages.py).
"""

import argparse
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from endoexit.artifacts.run import Run, open_run
from endoexit.errors import EndoexitError
from endoexit.evaluation.adaptive import promises_shown
from endoexit.evaluation.document import Evaluation
from endoexit.evaluation.fitting import CalibrationOptions, exit_costs, find_run_policy
from endoexit.evaluation.intervals import GroupBootstrap
from endoexit.evaluation.latency import answers_by_the_clock
from endoexit.files import read_json, write_json
from endoexit.images.cache import cache_images
from endoexit.machine import describe_machine, library_versions
from endoexit.policy import ExitPolicy
from endoexit.policy.choice import limit_in
from endoexit.policy.comparisons import oracle, random_assignment
from endoexit.policy.document import Costs
from endoexit.policy.goal_options import make_goal
from endoexit.policy.goals import (
    AccuracyDrop,
    AccuracyFloor,
    Budget,
    CostLimit,
    Goal,
)
from endoexit.policy.logits import LogitSet
from endoexit.policy.options import RuleOptions
from endoexit.policy.table import outcome
from endoexit.runtime.logits import RoleLogits
from endoexit.runtime.session import open_session
from real_policies_pages import write_pages
from tables import RESULTS, ROOT

RUN = ROOT / "runs" / "real" / "colonoscopy" / "ee_hifuse_nano-seed0"
RESULT = RESULTS / "real_policies_colonoscopy.json"
FINDING = "polyp"
RISKS = ("disagreement", "accuracy_loss", f"missed[{FINDING}]")
TOLERANCES = (0.05, 0.1)
RULES = (
    RuleOptions(),
    RuleOptions(thresholds="shared"),
    RuleOptions(thresholds="geometric"),
    RuleOptions(rule="entropy"),
    RuleOptions(rule="margin"),
    RuleOptions(rule="patience"),
    RuleOptions(rule="fixed"),
    RuleOptions(temperature_scaling=False),
)


@dataclass(frozen=True)
class Ask:
    """One thing that is asked for.

    Attributes:
        name: Name of the kind of goal.
        wanted: Goal that is asked for.
        rules: Policies that are tried.
        table: Table of its row.
        readme: Whether its row is in the README as well.
    """

    name: str
    wanted: dict[str, Any]
    rules: RuleOptions = field(default_factory=RuleOptions)
    table: str = "plain"
    readme: bool = False


def asked(ms: Costs, macs: Costs) -> list[Ask]:
    """Return all goals, from the cost of the whole network."""
    whole_ms = ms.values[-1]
    half_ms = round(whole_ms / 2, 1)
    plain = [
        Ask("max-ms", {"max_ms": half_ms}, readme=True),
        Ask("max-macs", {"max_macs": float(f"{macs.values[-1] / 2:.3g}")}),
        Ask("mean-exit-cost", {"mean_exit_cost": 0.4}),
        Ask("mean-exit-cost", {"mean_exit_cost": 0.6}),
        Ask("min-accuracy", {"min_accuracy": 0.8}),
        Ask("min-accuracy", {"min_accuracy": 0.95}),
        Ask("max-accuracy-drop", {"max_accuracy_drop": 0.0}),
        Ask("max-accuracy-drop", {"max_accuracy_drop": 0.01}, readme=True),
        Ask("budget", {"budget": f"1000 images, {half_ms:g} seconds"}),
        *(
            Ask("deadline-ms", {"deadline_ms": round(share * whole_ms, 1)})
            for share in (0.4, 0.7, 1.5)
        ),
    ]
    guarantees = [
        Ask(
            "guarantee",
            {"guarantee": [f"{name}<={tolerance}" for name in names], "unit": unit},
            table="guarantee",
            readme=unit is None and (tolerance == TOLERANCES[0] or len(names) > 1),
        )
        for tolerance in TOLERANCES
        for names in (*((name,) for name in RISKS), RISKS)
        for unit in (None, "image")
    ]
    small = Ask("guarantee", {"guarantee": ["disagreement<=0.02"]}, table="guarantee", readme=True)
    rules = [Ask("rule", {"mean_exit_cost": 0.5}, rule, "rule") for rule in RULES]
    return [*plain, *guarantees, small, *rules]


class Subject:
    """A run with what is needed to see what a policy does on test."""

    def __init__(self, run: Run) -> None:
        self.run = run
        timing = Evaluation.read(run.path / "evaluation.json").timing
        if timing is None:
            raise SystemExit(
                f"{run.path} was evaluated without times: endoexit evaluate {run.path}"
            )
        self.timing = timing
        self.session = open_session(run, threads=timing.threads)
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
        seen = {unit: outcome(self.test, exits, cost.values) for unit, cost in self.costs.items()}
        promises = promises_shown(policy, self.test, self.run.classes, self.bootstrap)
        return {
            "accuracy": seen["macs"].accuracy,
            "minus_final": self.bootstrap.mean(right - self.test.correct[-1]).model_dump(),
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
        test = self.run.manifest().cohort("test").images
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
        "wanted": ask.wanted,
        "rules": ask.rules.model_dump(),
    }
    try:
        result = find_run_policy(subject.session, goal, CalibrationOptions(rules=ask.rules))
    except EndoexitError as error:
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


def measure(run: Run) -> dict[str, Any]:
    """Return the document of one run."""
    subject = Subject(run)
    test = subject.test
    macs = subject.costs["macs"].values
    best = oracle(test, macs)
    return {
        "command": "python benchmarks/real_policies.py",
        "run": f"{run.path.parent.name}/{run.path.name}",
        "model": run.config.model,
        "weights_sha256": run.weights_sha256,
        "manifest_sha256": run.manifest().sha256,
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
        write_json(RESULT, measure(open_run(arguments.run)))
    write_pages(read_json(RESULT))
    return 0


if __name__ == "__main__":
    sys.exit(main())
