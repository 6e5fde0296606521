"""Changed and attacked images on a trained run: accuracy, cost, early mistakes, promises.

    python benchmarks/robustness.py RUN --manifest MANIFEST

calibrates a copy of the run with the guarantee below, on a manifest with the roles calibrate,
certify and test, and evaluates it with `--corruptions` and `--attacks`. A second copy gets a policy
that refers images by the distance of their features, and corrupted images. `--part` measures one of
the two. Half an hour on one core. Writes benchmarks/results/robustness.json and the tables of
docs/reading-an-evaluation.md; `--table-only` makes the tables again from the JSON.
"""

import argparse
import shutil
import tempfile
from pathlib import Path
from typing import Any

from endoexit import calibrate, evaluate, make_goal
from endoexit.artifacts.run import open_run
from endoexit.evaluation.robustness import Robustness, robustness_tables
from endoexit.files import read_json, write_json
from endoexit.machine import describe_machine, library_versions
from endoexit.policy.options import RuleOptions
from tables import RESULTS, ROOT, replace_between, without_places

RESULT = RESULTS / "robustness.json"
PAGE = ROOT / "docs" / "reading-an-evaluation.md"
GUARANTEE, DELTA = ["accuracy_loss<=0.05"], 0.05
DROP, SHARE = 0.01, 0.05
PARTS = ("guarantee", "referral")
REFERRED = ("Referred", "Exit early")  # titles of the tables that are shown of the second part


def measure(run: Path, manifest: Path | None, part: str) -> dict[str, Any]:
    """Return what changed images show of a copy of a run."""
    guaranteed = part == "guarantee"
    goal = (
        make_goal(guarantee=GUARANTEE, delta=DELTA)
        if guaranteed
        else make_goal(max_accuracy_drop=DROP)
    )
    refers = RuleOptions(refer_unlike=SHARE, unlike_by="mahalanobis")
    with tempfile.TemporaryDirectory(dir=run.parent) as folder:  # a manifest's root may be
        copy = Path(folder)  # relative to the run
        shutil.copytree(run, copy, dirs_exist_ok=True)
        rules = RuleOptions() if guaranteed else refers
        calibrate(copy, goal, rules=rules, manifest=manifest)
        evaluated = evaluate(
            copy, timing=False, corruptions=True, attacks=guaranteed, manifest=manifest
        ).robustness
    assert evaluated is not None
    # The policy of the second part holds means and covariance of the training images.
    shown = (
        {"robustness": evaluated.model_dump(mode="json")}
        if guaranteed
        else {
            "tables": [
                table.markdown()
                for table in robustness_tables(evaluated)
                if table.title.startswith(REFERRED)
            ]
        }
    )
    return {
        "command": "python benchmarks/robustness.py RUN",
        "training": without_places(open_run(run).config.command.partition(" --out ")[0]),
        "machine": describe_machine(),
        "versions": library_versions(),
        **shown,
    }


def page(result: dict[str, Any]) -> str:
    """Return the tables."""
    first = result[PARTS[0]]
    parts = [f"The run was made by `{first['training']}`, its policy by `--guarantee "
             f'"{GUARANTEE[0]}"`.']  # fmt: skip
    tables = robustness_tables(Robustness.model_validate(first["robustness"]))
    parts += [table.markdown() for table in tables]
    if PARTS[1] in result:
        parts.append(
            f"The same run with a policy by `--max-accuracy-drop {DROP} --refer-unlike {SHARE} "
            "--unlike-by mahalanobis`, which [refers](referral.md#images-that-look-unlike) images "
            "whose features are far from those of the training images:"
        )
        parts += result[PARTS[1]]["tables"]
    return "\n\n".join([*parts, "Made by `python benchmarks/robustness.py`."])


def main() -> None:
    """Measure, and write results and page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, nargs="?", help="trained run")
    parser.add_argument("--manifest", type=Path, help="roles to take in place of the run's")
    parser.add_argument("--part", choices=PARTS, action="append", help="only this one")
    parser.add_argument("--table-only", action="store_true", help="use the JSON that is there")
    options = parser.parse_args()
    if not options.table_only:
        if options.run is None:
            parser.error("name a trained run.")
        for part in options.part or PARTS:
            result = read_json(RESULT) if RESULT.is_file() else {}
            result[part] = measure(options.run, options.manifest, part)
            write_json(RESULT, result)
    replace_between(PAGE, "robustness", page(read_json(RESULT)))


if __name__ == "__main__":
    main()
