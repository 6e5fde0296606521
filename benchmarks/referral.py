"""Referral to a human: what is answered, what is promised of it, and what is recognised as foreign.

    python benchmarks/referral.py golden [RUN ...]
    OMP_NUM_THREADS=1 python benchmarks/referral.py simulation
    python benchmarks/referral.py run RUN --foreign FOLDER [--foreign FOLDER ...]

`golden` reads the logits of three fine-tuned networks on colonoscopy (tests/golden), and those of
trained runs. All their images that trained nothing are split 50 times into calibrate, certify and
test; each split asks for a promise and holds it against test. A few minutes. `simulation` draws
cohorts from simulated exits whose truth is known, 2000 times for each setting: does the promise
hold? About 20 minutes on one core; `--resume` leaves out the settings that have so many
repetitions. `run` calibrates copies of a trained run, certifies them, and evaluates them with
foreign images: the folders named, noise, black frames and phantom images. Each part is written into
benchmarks/results/referral.json, and its table into docs/referral.md; `--table-only` makes the
tables again from the JSON.
"""

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np

from endoexit import calibrate, evaluate, make_goal
from endoexit.artifacts.run import open_run
from endoexit.errors import PolicyError
from endoexit.files import read_json, write_json
from endoexit.machine import describe_machine, library_versions
from endoexit.policy.confidence import confidence
from endoexit.policy.coverage import area_under, risk_curve
from endoexit.policy.document import Costs
from endoexit.policy.logits import LogitSet
from endoexit.policy.options import RuleOptions
from endoexit.policy.referral import sureness
from endoexit.policy.search import find_policy
from endoexit.runtime.session import open_session
from foreign import make_foreign
from referral_pages import write_tables
from referral_simulation import REPETITIONS, is_row_of, repeat, settings
from tables import RESULTS, ROOT, without_places

RESULT = RESULTS / "referral.json"
GOLDEN = ROOT / "tests" / "golden"
NETWORKS = {
    "EfficientNet-Lite0 at 128": "colonoscopy_lite0",
    "EfficientNet-Lite0 at 96, distilled": "colonoscopy_lite0_96_distilled",
    "EfficientNet-Lite0 at 96": "colonoscopy_lite0_96",
}
ROLES = ("val", "calibrate", "test")  # whose images trained nothing
SPLITS = 50  # of each network
SHARES = (0.3, 0.45)  # of calibrate and certify; the rest is test
MOST = 0.4
TOLERANCES = (0.05, 0.03, 0.02, 0.01)
DELTA = 0.05
GOALS = {
    "error<=0.02": {"guarantee": ["error<=0.02"], "max_referral": MOST, "refer_unlike": 0.05},
    "error<=0.01": {"guarantee": ["error<=0.01"], "max_referral": MOST, "refer_unlike": 0.05},
    "refer unlike by energy": {"max_accuracy_drop": 0.01, "refer_unlike": 0.05},
    "refer unlike by features": {
        "max_accuracy_drop": 0.01,
        "refer_unlike": 0.05,
        "unlike_by": "mahalanobis",
    },
}
RULES = ("refer_unlike", "unlike_by")  # options of the rules, the others are of the goal


def pool(name: str) -> LogitSet:
    """Return all golden logits of a network as one cohort."""
    with np.load(GOLDEN / f"{name}_logits.npz", allow_pickle=False) as arrays:
        logits = np.concatenate([arrays[f"{role}_logits"] for role in ROLES], axis=1)
        return LogitSet("all", logits, np.concatenate([arrays[f"{role}_labels"] for role in ROLES]))


def pool_of(run: Path) -> tuple[str, LogitSet]:
    """Return a name of a trained run, and all its logits of images that trained nothing."""
    session = open_session(run)
    config, sets = open_run(run).config, [session.logits(role).as_set() for role in ROLES]
    name = f"{config.model} at {config.preprocessing.size}, seed {config.seed}"
    logits = np.concatenate([each.logits for each in sets], axis=1)
    return name, LogitSet("all", logits, np.concatenate([each.labels for each in sets]))


def part(data: LogitSet, name: str, images: np.ndarray) -> LogitSet:
    return LogitSet(name, data.logits[:, images], data.labels[images])


def curves(data: LogitSet) -> dict:
    """Return the area, and the coverage at 2 % and 1 % error, by two measures of the final exit."""
    wrong, by_name = ~data.correct[-1], {}
    measures = {
        "largest probability": confidence(data.logits[-1], "max_probability"),
        "agreed margin": sureness(data.logits[-1], data.predictions[:-1].T),
    }
    for name, sure in measures.items():
        curve = risk_curve(sure, wrong)
        reached = {
            str(limit): float(np.flatnonzero(curve <= limit).max(initial=-1) + 1) / len(curve)
            for limit in (0.02, 0.01)
        }
        by_name[name] = {"area": area_under(curve), "coverage": reached}
    return by_name


def asked(data: LogitSet, tolerance: float) -> dict:
    """Return what a promise gives over many splits of one cohort."""
    exits = np.arange(1, data.num_exits + 1)
    costs = Costs(
        values=tuple(exits / data.num_exits), unit="relative", source="number of the exit"
    )
    goal = make_goal(guarantee=[f"error<={tolerance}"], delta=DELTA, max_referral=MOST)
    classes = tuple(map(str, range(data.num_classes)))
    seen, refused = [], None
    for seed in range(SPLITS):
        order = np.random.default_rng(seed).permutation(data.num_images)
        first, second = (round(sum(SHARES[:k]) * data.num_images) for k in (1, 2))
        cohorts = [
            part(data, "calibrate", order[:first]),
            part(data, "certify", order[first:second]),
        ]
        try:
            policy = find_policy(
                goal, calibrate=cohorts[0], certify=cohorts[1], costs=costs, classes=classes
            ).policy
        except PolicyError as error:
            refused = refused or str(error)
            continue
        test = part(data, "test", order[second:])
        taken = policy.assign(test.logits)
        answered = policy.referred(test.logits, taken) == 0
        wrong = ~test.correct[taken - 1, np.arange(test.num_images)]
        seen.append((
            1 - policy.promises[0].referred, answered.mean(), wrong[answered].mean(),
            (taken < data.num_exits).mean(),
        ))  # fmt: skip
    names = ("answered_certify", "answered_test", "error_test", "early_test")
    means = np.mean(seen, axis=0).tolist() if seen else [None] * len(names)
    return {"promised": len(seen), "splits": SPLITS, "refused": refused} | dict(
        zip(names, means, strict=True)
    )


def measure_golden(runs: list[Path]) -> dict:
    by_name = {}
    pools = {name: pool(file) for name, file in NETWORKS.items()} | dict(map(pool_of, runs))
    for name, data in pools.items():
        by_name[name] = {
            "images": data.num_images,
            "final_error": 1 - data.final_accuracy,
            "curves": curves(data),
            "promises": {str(tolerance): asked(data, tolerance) for tolerance in TOLERANCES},
        }
    return by_name


def measure_simulation(repetitions: int, *, resume: bool) -> list[dict]:
    """Return how often each promise is broken; each row is kept as soon as it is made.

    A setting that is not done yet keeps its earlier row, which says how often it was repeated.
    """
    rows: list[dict] = read_json(RESULT).get("simulation", []) if RESULT.is_file() else []
    for setting in settings():
        earlier = [row for row in rows if is_row_of(row, setting)]
        if resume and earlier and earlier[0]["repetitions"] == repetitions:
            continue
        made = [row for row in rows if row not in earlier] + [repeat(setting, repetitions)]
        rows = [row for each in settings() for row in made if is_row_of(row, each)]
        keep("simulation", rows)
    return rows


def keep(name: str, measured: dict) -> None:
    """Write what a part measured into the results."""
    results = read_json(RESULT) if RESULT.is_file() else {}
    results[name] = measured
    results["command"] = "python benchmarks/referral.py golden|simulation|run"
    results["machine"], results["versions"] = describe_machine(), library_versions()
    write_json(RESULT, results)


def measure_run(run: Path, foreign: list[Path], manifest: Path | None) -> dict:
    """Return what a trained run promises, answers and refers."""
    with tempfile.TemporaryDirectory() as folder:
        return _measure_run(run, [*foreign, *make_foreign(Path(folder))], manifest)


def _measure_run(run: Path, foreign: list[Path], manifest: Path | None) -> dict:
    training = without_places(open_run(run).config.command.partition(" --out ")[0])
    result: dict = {"training": training, "goals": {}}
    for name, options in GOALS.items():
        with tempfile.TemporaryDirectory(dir=run.parent) as folder:  # a manifest's root may be
            copy = Path(folder)  # relative to the run
            shutil.copytree(run, copy, dirs_exist_ok=True)
            goal = {key: value for key, value in options.items() if key not in RULES}
            try:
                rules = RuleOptions(**{key: options.get(key) for key in RULES})
                calibrate(copy, make_goal(**goal), rules=rules, manifest=manifest)
            except PolicyError as error:
                result["goals"][name] = {"refused": str(error)}
                continue
            evaluation = evaluate(copy, timing=False, foreign=foreign, manifest=manifest).evaluation
            result["goals"][name] = {
                "promises": [
                    shown.model_dump(mode="json") for shown in evaluation.adaptive.promises
                ],
                "macs": evaluation.row("adaptive").macs,
                **evaluation.model_dump(mode="json", include={"referrals", "foreign"}),
            }
    return result


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("part", nargs="?", choices=("golden", "simulation", "run"))
    parser.add_argument("runs", nargs="*", type=Path, help="trained runs; one for the part run")
    parser.add_argument("--foreign", action="append", type=Path, default=[])
    parser.add_argument("--manifest", type=Path, help="roles to take in place of the run's")
    parser.add_argument("--repetitions", type=int, default=REPETITIONS)
    parser.add_argument("--resume", action="store_true", help="leave out settings that are done")
    parser.add_argument("--table-only", action="store_true", help="use the JSON that is there")
    options = parser.parse_args()
    if not options.table_only:
        if options.part is None or (options.part == "run" and len(options.runs) != 1):
            parser.error("name a part; the part run takes one trained run.")
        if options.part == "golden":
            measured = measure_golden(options.runs)
        elif options.part == "simulation":
            measured = measure_simulation(options.repetitions, resume=options.resume)
        else:
            measured = measure_run(options.runs[0], options.foreign, options.manifest)
        keep(options.part, measured)
    results = read_json(RESULT)
    write_tables(results)
    return int(any(row["broken"] > row["allowed"] for row in results.get("simulation", [])))


if __name__ == "__main__":
    sys.exit(main())
