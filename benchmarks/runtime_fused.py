"""Stages as one where the policy leaves exits unused, for `cpu_runtime.py`: time and answers."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from endoexit.bench.ratios import ratio
from endoexit.evaluation.turns import Work, take_turns
from endoexit.policy import ExitPolicy
from endoexit.policy.rules.threshold import ThresholdRule
from endoexit.progress import Track
from endoexit.runtime.engine import Engine, Images
from endoexit.runtime.prediction import Prediction
from runtime_files import large_jpegs
from runtime_networks import milliseconds, open_variants, rounded
from runtime_road import NEVER, ROADS, SIDE
from tables import markdown_table

IMAGES = 16  # that answers are compared on, alone and as one batch
# By the exits that no image may use: the thresholds.
POLICIES: dict[str, tuple[float | None, ...]] = {
    "exit 1": (None, NEVER, NEVER),
    "exit 2": (NEVER, None, NEVER),
    "exit 3": (NEVER, NEVER, None),
    "exits 1 and 2": (None, None, NEVER),
    "all early exits": (None, None, None),
}


def measure_fused(
    name: str, folder: Path, *, variant: str, rounds: int, track: Track
) -> dict[str, Any]:
    """Return times of one image with unused exits, stages one by one and as one, in turns."""
    session = open_variants(name, folder, [variant], 1, track, size=SIDE, settings=ROADS[name])[
        variant
    ]
    backend, view = session.backend, session.preprocessing
    backend.expect(1)
    squares = np.stack([view.load(content) for content in large_jpegs(folder)])
    images = np.concatenate([squares, squares[:, ::-1], squares[:, :, ::-1]])[:IMAGES]
    engines: dict[str, Engine] = {}
    for unused, thresholds in POLICIES.items():
        rule = ThresholdRule(kind="max_probability", thresholds=thresholds)
        policy = ExitPolicy(rule=rule, num_exits=4, temperatures=(1.0,) * 4)
        engines |= {
            f"{unused}, one by one": Engine(backend, policy, view),
            f"{unused}, as one": Engine(backend, policy, view, fused=True),
        }
    answers = {called: _alone(engine, images) for called, engine in engines.items()}
    together = engines["exit 1, one by one"].predict(np.ascontiguousarray(images))
    times: dict[str, list[float]] = {}
    with track(f"timing {name}, {variant}", rounds * len(POLICIES)) as bar:
        for unused in POLICIES:
            works: dict[str, Work] = {
                called: _work(engines[called], images)
                for called in (f"{unused}, one by one", f"{unused}, as one")
            }
            times |= take_turns(works, rounds, bar, untimed=1, clock=time.process_time)
    return {
        "size": SIDE,
        "rounds": rounds,
        "images": len(images),
        "unused": {
            unused: {
                "one_by_one_ms": milliseconds(times[f"{unused}, one by one"]),
                "as_one_ms": milliseconds(times[f"{unused}, as one"]),
                "ratio": rounded(
                    ratio(times, f"{unused}, as one", f"{unused}, one by one").model_dump()
                ),
                "largest_difference": rounded(
                    _difference(answers[f"{unused}, as one"], answers[f"{unused}, one by one"])
                ),
            }
            for unused in POLICIES
        },
        "largest_difference_in_a_batch": rounded(
            _difference(together, answers["exit 1, one by one"])
        ),
    }


def _work(engine: Engine, images: Images) -> Work:
    return lambda turn: engine.predict(images[turn % len(images)][None])


def _alone(engine: Engine, images: Images) -> list[Prediction]:
    return [engine.predict(np.ascontiguousarray(image[None]))[0] for image in images]


def _difference(answers: list[Prediction], others: list[Prediction]) -> float:
    """Return the largest difference of a probability."""
    pairs = zip(answers, others, strict=True)
    return float(max(np.abs(one.probabilities - other.probabilities).max() for one, other in pairs))


def fused(parts: dict[str, Any]) -> Iterator[str]:
    """Yield what the page says of stages that run as one."""
    rows = [(f"`{name}`", variant, part)
            for name, variants in parts.items() for variant, part in variants.items()]  # fmt: skip
    first = rows[0][-1]
    yield "## Stages as one"
    yield (
        "Where a policy leaves an exit unused, `predict` runs the stages before and behind it as "
        "one graph of OpenVINO, without that exit. One image at a time from its decoded square "
        f"through all stages, at {first['size']}×{first['size']}, on "
        f"one core of {first['machine']['processor']}: processor time as one / one by one, "
        f"medians of {first['rounds']} rounds [quartiles]. What is compared took turns."
    )
    header = ("network", "computes in", *(f"{unused} unused" for unused in POLICIES))
    yield markdown_table(
        header,
        [
            (*about, *(_ratio(part["unused"][unused]) for unused in POLICIES))
            for *about, part in rows
        ],
    )
    yield (
        f"The largest difference of a probability over {first['images']} images, and what a "
        "batch of them changes while stages run one by one. In f32 and bf16 the answers are the "
        "same. In int8 a value at the edge of two stages is rounded once less. `predict` therefore "
        "runs stages of int8 one by one."
    )
    yield markdown_table(
        ("network", "computes in", "as one", "in a batch"),
        [
            (
                *about,
                f"{max(each['largest_difference'] for each in part['unused'].values()):.2g}",
                f"{part['largest_difference_in_a_batch']:.2g}",
            )
            for *about, part in rows
        ],
    )


def _ratio(part: dict[str, Any]) -> str:
    return "{median:.2f} [{low:.2f}, {high:.2f}]".format(**part["ratio"])
