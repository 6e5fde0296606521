"""Cascades of prototype networks against the networks alone, on real logits.

    python benchmarks/golden_cascade.py

reads tests/golden/colonoscopy_lite0*_logits.npz: EfficientNet-Lite0 with exits behind groups 3, 5
and 6, trained at 128 pixels, at 96, and at 96 with the larger one as its teacher. A cascade has the
exits of both in order. Policies are found on val + calibrate and held against test. Two minutes.
Writes benchmarks/results/golden_cascade.json and the table of docs/cascades.md; `--table-only`
makes the table again from the JSON.
"""

import argparse
import json
import sys
from dataclasses import dataclass

import numpy as np

from endoexit.files import read_json, write_json
from endoexit.machine import describe_machine, library_versions
from endoexit.models.spec import NetworkSpec
from endoexit.policy.confidence import softmax
from endoexit.policy.document import Costs
from endoexit.policy.goal_options import make_goal
from endoexit.policy.logits import LogitSet
from endoexit.policy.search import find_policy
from endoexit.policy.table import outcome
from tables import RESULTS, ROOT, markdown_table, replace_between

RESULT = RESULTS / "golden_cascade.json"
PAGE = ROOT / "docs" / "cascades.md"
GOLDEN = ROOT / "tests" / "golden"
ROLES = ("val", "calibrate", "test")
DROPS = (0.0, 0.01)
LARGE, SMALL, DISTILLED = "lite0", "lite0_96", "lite0_96_distilled"
SIDES = {LARGE: 128, SMALL: 96, DISTILLED: 96}
WORDS = {
    LARGE: "Lite0 at 128",
    SMALL: "Lite0 at 96",
    DISTILLED: "Lite0 at 96, distilled",
}


@dataclass(frozen=True)
class Subject:
    """A network, or a cascade of two."""

    name: str
    fitting: LogitSet
    test: LogitSet
    macs: tuple[float, ...]


def counted(name: str) -> tuple[float, ...]:
    """Return the multiply-adds of the exits of a prototype."""
    spec = NetworkSpec("efficientnet_lite0", 5, SIDES[name], {"exits": "3,5,6"})
    return tuple(map(float, spec.complexity.macs))


def mean_so_far(logits: np.ndarray) -> np.ndarray:
    """Return logarithms of the mean probabilities of exits 1 to k, as a cascade answers."""
    total = np.cumsum(softmax(logits), axis=0)
    return np.log(total / np.arange(1, len(logits) + 1)[:, None, None])


def subject(members: tuple[str, ...], combine: str = "last") -> Subject:
    described = json.loads((GOLDEN / "colonoscopy_groups.json").read_text(encoding="utf-8"))
    names = {"val": "val", "calibrate": "cal", "test": "test"}
    logits: dict[str, list[np.ndarray]] = {role: [] for role in ROLES}
    labels: dict[str, np.ndarray] = {}
    macs: list[float] = []
    for member in members:
        before = macs[-1] if macs else 0.0
        macs += [before + cost for cost in counted(member)]
        with np.load(GOLDEN / f"colonoscopy_{member}_logits.npz", allow_pickle=False) as arrays:
            for role in ROLES:
                logits[role].append(arrays[f"{role}_logits"])
                labels[role] = arrays[f"{role}_labels"]
    sets = {}
    for role in ROLES:
        joined = np.concatenate(logits[role])
        joined = mean_so_far(joined) if combine == "mean" else joined
        groups = np.array(described["groups"][names[role]])
        sets[role] = LogitSet(role, joined.astype(np.float32), labels[role], groups)
    val, calibrate = sets["val"], sets["calibrate"]
    fitting = LogitSet(
        "calibrate",
        np.concatenate([val.logits, calibrate.logits], axis=1),
        np.concatenate([val.labels, calibrate.labels]),
        np.concatenate([val.groups, calibrate.groups]),
    )
    name = ", then ".join(WORDS[member] for member in members)
    return Subject(name + (", mean" if combine == "mean" else ""), fitting, sets["test"],
                   tuple(macs))  # fmt: skip


def subjects() -> list[Subject]:
    alone = [subject((name,)) for name in (SMALL, DISTILLED, LARGE)]
    pairs = [((small, LARGE), combine) for small in (SMALL, DISTILLED)
             for combine in ("last", "mean")]  # fmt: skip
    return alone + [subject(members, combine) for members, combine in pairs]


def row(subject: Subject) -> dict:
    costs = Costs(values=subject.macs, unit="macs", source="multiply-adds of the prototypes")
    policies = {}
    for drop in DROPS:
        result = find_policy(
            make_goal(max_accuracy_drop=drop), calibrate=subject.fitting, costs=costs,
            classes=tuple("abcde"),
        )  # fmt: skip
        exits = result.policy.assign(subject.test.logits)
        seen = outcome(subject.test, exits, subject.macs)
        policies[str(drop)] = {
            "on_val_and_calibrate": {"accuracy": result.expected.accuracy,
                                     "macs": result.expected.cost},
            "on_test": {"accuracy": seen.accuracy, "macs": seen.cost},
            "exit_shares": [float((exits == k).mean()) for k in range(1, len(subject.macs) + 1)],
        }  # fmt: skip
    return {
        "name": subject.name,
        "macs": list(subject.macs),
        "accuracy_of_exits": [float(right.mean()) for right in subject.test.correct],
        "policies": policies,
    }


def measure() -> dict:
    made = subjects()
    return {
        "command": "python benchmarks/golden_cascade.py",
        "images": {"val+calibrate": made[0].fitting.num_images, "test": made[0].test.num_images},
        "machine": describe_machine(),
        "versions": library_versions(),
        "rows": [row(subject) for subject in made],
    }


def table(result: dict) -> str:
    header = ["network", "final exit, %", "GMACs"]
    for drop in DROPS:
        goal = f"at most {100 * drop:g} % lost" if drop else "nothing lost"
        header += [f"policy, {goal}: test, %", "GMACs, mean"]
    rows = []
    for entry in result["rows"]:
        cells = [entry["name"], f"{100 * entry['accuracy_of_exits'][-1]:.1f}",
                 f"{entry['macs'][-1] / 1e9:.3f}"]  # fmt: skip
        for drop in DROPS:
            seen = entry["policies"][str(drop)]["on_test"]
            cells += [f"{100 * seen['accuracy']:.1f}", f"{seen['macs'] / 1e9:.3f}"]
        rows.append(cells)
    return markdown_table(header, rows)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--table-only", action="store_true", help="use the JSON that is there")
    if not parser.parse_args().table_only:
        write_json(RESULT, measure())
    replace_between(PAGE, "golden-cascade", table(read_json(RESULT)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
