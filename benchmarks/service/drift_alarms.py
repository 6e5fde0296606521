"""How often a service says without a reason that a promise may not hold, and what it finds.

    OMP_NUM_THREADS=1 python benchmarks/service/drift_alarms.py [--repeats 20000]

Draws the answers of calibrate images and of a service's last answers from one simulated source,
again and again, and asks `endoexit.serve.drift` whether they differ. Then the same with another
source, and with services that are looked at after every hundred answers. All is drawn from fixed
seeds, so the figures do not depend on the machine.

Writes benchmarks/results/service_drift.json and a table of docs/serving.md; `--table-only` makes
the table again. Exits with 1 if there are more false alarms than the threshold allows.
"""

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from endoexit.files import read_json, write_json
from endoexit.machine import library_versions
from endoexit.policy.answers import Answers, count_answers
from endoexit.serve.drift import Shift

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from tables import RESULTS, ROOT, markdown_table, replace_between

RESULT = RESULTS / "service_drift.json"
PAGE = ROOT / "docs" / "serving.md"
CALIBRATE = (100, 500, 2000)
WINDOW = 1000  # the default of `drift_images`
THRESHOLDS = (0.01, 1e-4)  # the second is the default of `drift_p_value`
CLASSES = ("a", "b", "c", "d", "e")
LOOKS_EVERY, LOOKS = 100, 200


@dataclass(frozen=True)
class Source:
    """A source of images: how they are answered.

    Attributes:
        exits: Shares (M,) of the exits.
        labels: Shares (C,) of the labels.
        sure: First parameter of the beta distribution of the confidence; its second one is 1.5.
    """

    exits: tuple[float, ...] = (0.55, 0.25, 0.15, 0.05)
    labels: tuple[float, ...] = (0.5, 0.25, 0.15, 0.08, 0.02)
    sure: float = 8.0

    def draw(self, random: np.random.Generator, images: int) -> list[np.ndarray]:
        """Return exits (from 1), labels and confidences of images."""
        return [
            random.choice(len(self.exits), images, p=self.exits) + 1,
            random.choice(len(self.labels), images, p=self.labels),
            random.beta(self.sure, 1.5, images),
        ]


SAME = Source()
OTHERS = {
    "5 of 100 images exit last, not first": Source(exits=(0.5, 0.25, 0.15, 0.1)),
    "5 of 100 images have another label": Source(labels=(0.45, 0.25, 0.15, 0.13, 0.02)),
    "mean confidence 0.82, not 0.84": Source(sure=7.0),
}


def calibrated(random: np.random.Generator, images: int) -> Answers:
    """Return the answers on calibrate images of the source."""
    return count_answers(*SAME.draw(random, images), num_exits=4, num_classes=len(CLASSES))


def add(shift: Shift, answers: list[np.ndarray]) -> None:
    """Count answers."""
    for answer in zip(*(values.tolist() for values in answers), strict=True):
        shift.add(*answer)


def alarms(source: Source, images: int, repeats: int) -> dict[str, int]:
    """Return the number of repeats with an alarm, for each threshold."""
    counts = dict.fromkeys(map(str, THRESHOLDS), 0)
    for seed in range(repeats):
        random = np.random.default_rng([images, seed])
        shift = Shift(calibrated(random, images), CLASSES, 4, WINDOW, 1.0)
        add(shift, source.draw(random, WINDOW))
        comparisons = shift.comparisons()
        smallest = min(
            comparison.p_value for comparison in comparisons if comparison.p_value is not None
        )
        for threshold in THRESHOLDS:
            counts[str(threshold)] += smallest < threshold * shift.bound(comparisons)
    return counts


def services_with_an_alarm(images: int, services: int) -> int:
    """Return how many services have an alarm at some look, at the default threshold."""
    count = 0
    for seed in range(services):
        random = np.random.default_rng([images, seed, 1])
        shift = Shift(calibrated(random, images), CLASSES, 4, WINDOW, THRESHOLDS[1])
        for _ in range(LOOKS):
            add(shift, SAME.draw(random, LOOKS_EVERY))
            if shift.is_shifted:
                count += 1
                break
    return count


def simulate(repeats: int) -> dict[str, Any]:
    """Return all counts."""
    services = max(1, repeats // 40)
    rows = []
    for images in CALIBRATE:
        row = {
            "calibrate_images": images,
            "false_alarms": alarms(SAME, images, repeats),
            "services_with_an_alarm": services_with_an_alarm(images, services),
            "found": {
                name: alarms(distributions, images, services)[str(THRESHOLDS[1])]
                for name, distributions in OTHERS.items()
            },
        }
        print(row, file=sys.stderr)
        rows.append(row)
    return {"repeats": repeats, "services": services, "rows": rows}


def too_many(result: dict[str, Any]) -> list[str]:
    """Return where there are more false alarms than the threshold allows, beyond chance."""
    return [
        f"{row['calibrate_images']} calibrate images, threshold {threshold}: {count}"
        for row in result["rows"]
        for threshold, count in row["false_alarms"].items()
        if count > stats.binom(result["repeats"], float(threshold)).ppf(0.999)
    ]


def table(result: dict[str, Any]) -> str:
    """Return the table of a result."""
    repeats, services = result["repeats"], result["services"]
    header = ["calibrate images", *(f"false alarms at {threshold:g}" for threshold in THRESHOLDS),
              f"services with one in {LOOKS * LOOKS_EVERY:,} answers", *OTHERS]  # fmt: skip
    rows = [
        [
            f"{row['calibrate_images']:,}",
            *(
                f"{100 * row['false_alarms'][str(threshold)] / repeats:.3g} %"
                for threshold in THRESHOLDS
            ),
            f"{100 * row['services_with_an_alarm'] / services:.2g} %",
            *(f"{100 * count / services:.0f} %" for count in row["found"].values()),
        ]
        for row in result["rows"]
    ]
    source = (
        f"Simulated: the last {WINDOW:,} answers, {repeats:,} times for false alarms and "
        f"{services:,} times for the other columns. These are at the threshold "
        f"{THRESHOLDS[1]:g}; a service is looked at after every {LOOKS_EVERY} answers. The last "
        f"{len(OTHERS)} columns say how often a shift is found. Made by `{result['command']}`."
    )
    return f"{markdown_table(header, rows)}\n\n{source}"


def main() -> None:
    """Simulate, write result and table, and say where there are too many false alarms."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=20_000)
    parser.add_argument("--table-only", action="store_true", help="simulate nothing")
    options = parser.parse_args()
    if not options.table_only:
        result = simulate(options.repeats)
        result["command"] = "python " + " ".join(sys.argv)
        result["versions"] = library_versions()
        write_json(RESULT, result)
    result = read_json(RESULT)
    replace_between(PAGE, "drift", table(result))
    wrong = too_many(result)
    print("\n".join(f"too many false alarms: {alarm}" for alarm in wrong) or "no more than allowed")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
