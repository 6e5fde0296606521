"""What helps a network that another run teaches, above all its first exit.

    python benchmarks/distilling.py                       every setting, seed 0
    python benchmarks/distilling.py --settings default hints --seeds 1 2    more seeds of some
    python benchmarks/distilling.py --table-only          the page from the last results

EfficientNet-Lite0 on colonoscopy images of 96 pixels, taught by itself on 128 pixels as in
strategies.py, once for each setting of the strategy `distil`. Runs that strategies.py has made are
taken from its folder. What is finished is not done again; an interrupted training continues where
it stopped. A setting is chosen by the images of val and calibrate, which trained nothing; test is
not looked at. Writes benchmarks/results/distilling.json and a table of docs/strategies.md.
"""

import argparse
import statistics
from pathlib import Path
from typing import Any

from scipy.stats import sem

from endoexit.artifacts.run import open_run
from endoexit.files import read_json, write_json
from endoexit.machine import describe_machine, library_versions
from heads import accuracy_known
from real_split import make_manifest
from strategies import NETWORKS, PAGE, STRATEGIES, Study, what_to_train
from tables import RESULTS, ROOT, markdown_table, mean_and_range, replace_between, without_places

RESULT = RESULTS / "distilling.json"
NETWORK, DEFAULT, ALONE = "lite0-96", "default", "joint"
_LONG = ("--set", "epochs=60")
_TAUGHT = STRATEGIES["distil"].removesuffix("}")
# The strategy, and further options of the training.
SETTINGS: dict[str, tuple[str, tuple[str, ...]]] = {
    ALONE: (STRATEGIES[ALONE], ()),
    DEFAULT: (STRATEGIES["distil"], ()),
    "temperature 1": (f"{_TAUGHT}, temperature: 1}}", ()),
    "temperature 4": (f"{_TAUGHT}, temperature: 4}}", ()),
    "share 0.9": (f"{_TAUGHT}, alpha: 0.9}}", ()),
    "first exit twice": (f"{_TAUGHT}, weights: [2, 1, 1, 1]}}", ()),
    "weights linear": (f"{_TAUGHT}, weights: linear}}", ()),
    "exit by exit": (f"{_TAUGHT}, exit_by_exit: true}}", ()),
    "exits 3 and 4 alone": (f"{_TAUGHT}, exits: [3, 4]}}", ()),
    "hints": (f"{_TAUGHT}, hints: 1}}", ()),
    "60 epochs": (STRATEGIES["distil"], _LONG),
    "hints, 60 epochs": (f"{_TAUGHT}, hints: 1}}", _LONG),
    "joint, 60 epochs": (STRATEGIES[ALONE], _LONG),
}
SAME = {ALONE: "joint", DEFAULT: "distil"}  # their runs in strategies.py


def carry_out(name: str, seed: int, study: Study) -> dict[str, Any]:
    """Train one setting if it is not trained yet, and return what its exits know."""
    settings, options = SETTINGS[name]
    what, teacher = what_to_train(NETWORK, SAME.get(name, "distil"), seed, study)
    if name not in SAME:
        asked = settings % teacher if "%s" in settings else settings
        what = [*NETWORKS[NETWORK], *study.changes, *options, "--set", f"strategy={asked}"]
    words = SAME.get(name) or f"taught-{name.replace(',', '').replace(' ', '-')}"
    run = study.runs / f"{NETWORK}-{words}-seed{seed}"
    study.train(what, seed, run)
    return {
        "setting": name,
        "seed": seed,
        "accuracy_known": accuracy_known(run),
        "command": without_places(open_run(run).config.command.partition(" --out ")[0]),
    }


def table(rows: list[dict[str, Any]]) -> str:
    """Return the table, with the difference from the network without a teacher."""
    of = {name: [row for row in rows if row["setting"] == name] for name in SETTINGS}
    of = {name: mine for name, mine in of.items() if mine}
    exits = len(rows[0]["accuracy_known"])
    names = [*(f"exit {number}" for number in range(1, exits)), "final exit"]
    lines = [
        [name, *(_cell(mine, of.get(ALONE, []), k) for k in range(exits)),
         mean_and_range([100 * statistics.fmean(row["accuracy_known"]) for row in mine]),
         str(len(mine))]
        for name, mine in of.items()
    ]  # fmt: skip
    return markdown_table(["setting", *names, "mean", "seeds"], lines) + (
        "\n\nAccuracy on val and calibrate in percent: mean over the seeds, and from the smallest "
        f"to the largest. Behind it is the difference from `{ALONE}` with the same seeds, with its "
        "standard error. Made by `python benchmarks/distilling.py`."
    )


def _cell(mine: list[dict[str, Any]], alone: list[dict[str, Any]], exit_: int) -> str:
    text = mean_and_range([100 * row["accuracy_known"][exit_] for row in mine])
    base = {row["seed"]: row["accuracy_known"][exit_] for row in alone}
    gains = [100 * (row["accuracy_known"][exit_] - base[row["seed"]])
             for row in mine if row["seed"] in base]  # fmt: skip
    if mine[0]["setting"] == ALONE or not gains:
        return text
    error = f" ± {sem(gains):.1f}" if len(gains) > 1 else ""
    return f"{text}, {statistics.fmean(gains):+.1f}{error}"


def main() -> None:
    """Train, measure, and write results and page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--settings", nargs="+", choices=SETTINGS, default=list(SETTINGS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--runs", type=Path, default=ROOT / "runs" / "strategies")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--table-only", action="store_true")
    arguments = parser.parse_args()
    rows = read_json(RESULT)["rows"] if RESULT.is_file() else []
    if not arguments.table_only:
        manifest = arguments.runs / "colonoscopy.csv"
        make_manifest("colonoscopy", manifest, certify=False)
        study = Study(manifest, arguments.runs, threads=arguments.threads)
        for seed in arguments.seeds:
            for name in arguments.settings:
                new = carry_out(name, seed, study)
                same = ("setting", "seed")
                rows = [row for row in rows if any(row[key] != new[key] for key in same)] + [new]
                write_json(RESULT, {"rows": rows, "machine": describe_machine(),
                                    "versions": library_versions()})  # fmt: skip
    replace_between(PAGE, "distilling", table(rows))


if __name__ == "__main__":
    main()
