"""Materials of reports made up here: any number of classes, images and exits, without training."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from endoexit.artifacts.run import Run, RunConfig
from endoexit.evaluation.document import (
    Adaptive,
    EvaluatedSource,
    Evaluation,
    EvaluationRow,
    Images,
    Reference,
    Time,
    Timing,
)
from endoexit.evaluation.estimates import ClassScores, Estimate, Interval, Scores
from endoexit.evaluation.intervals import exact_interval
from endoexit.images.preprocessing import Preprocessing
from endoexit.policy import ExitPolicy, softmax
from endoexit.policy.referral import Referral
from endoexit.policy.rules.threshold import ThresholdRule
from endoexit.reporting.material import Absent, Material, Step


def estimate(value: float) -> Estimate:
    interval = Interval(low=max(0, value - 0.05), high=min(1, value + 0.05), method="made up")
    return Estimate(value=value, interval=interval)


def scores(labels: np.ndarray, predicted: np.ndarray, classes: tuple[str, ...]) -> Scores:
    confusion = np.zeros((len(classes),) * 2, dtype=int)
    np.add.at(confusion, (labels, predicted), 1)
    accuracy = float((labels == predicted).mean())
    entries = []
    for index, name in enumerate(classes):
        of_class, hits = int(confusion[index].sum()), int(confusion[index, index])
        others = len(labels) - of_class
        alone = others - int(confusion[:, index].sum()) + hits
        entries.append(
            ClassScores(
                name=name,
                images=of_class,
                sensitivity=Estimate(value=hits / of_class, interval=exact_interval(hits, of_class))
                if of_class
                else Estimate(value=None, reason="undefined: no image is of this class"),
                specificity=Estimate(value=alone / others, interval=exact_interval(alone, others)),
            )
        )
    return Scores(
        accuracy=estimate(accuracy),
        macro_f1=estimate(accuracy),
        mcc=estimate(accuracy),
        ece=Estimate(value=0.1),
        auroc=Estimate(value=0.9),
        confidence_auroc=Estimate(value=0.8),
        classes=tuple(entries),
        confusion=tuple(tuple(row) for row in confusion.tolist()),
    )


def make_logits(classes: int, images: int, exits: int, seed: int = 0) -> tuple[Any, Any]:
    """Return logits (M, N, C), better from exit to exit, and labels (N,)."""
    generator = np.random.default_rng(seed)
    labels = np.arange(images) % classes
    logits = generator.normal(size=(exits, images, classes)).astype(np.float32)
    for number in range(exits):
        logits[number, np.arange(images), labels] += 1.5 + number
    return logits, labels


def make_source(path: str) -> Run:
    """Return a run that is nowhere on the disk."""
    preprocessing = Preprocessing(size=32)
    return Run(Path(path), RunConfig(model="made-up", classes=("a",), preprocessing=preprocessing))


def make_material(
    classes: tuple[str, ...] = ("normal", "polyp", "ulcer"),
    images: int = 60,
    exits: int = 4,
    *,
    thresholds: tuple[float | None, ...] | None = None,
    temperatures: tuple[float, ...] | None = None,
    logits: Any = None,
    timed: bool = True,
    **fields: Any,
) -> Material:
    """Return a material; `fields` replace those of `Material`."""
    made, labels = make_logits(len(classes), images, exits)
    logits = made if logits is None else logits
    policy = None
    if exits > 1:
        policy = ExitPolicy(
            rule=ThresholdRule(
                kind="max_probability", thresholds=thresholds or (0.7,) * (exits - 1)
            ),
            num_exits=exits,
            temperatures=temperatures or tuple(1.2 + 0.1 * k for k in range(exits)),
        )
    material = Material(
        source=make_source("runs/made-up"),
        evaluation=_evaluation(classes, logits, labels, policy, timed=timed),
        evaluation_file=Path("runs/made-up/evaluation.json"),
        policy=policy,
        policy_changed=False,
        logits=logits,
        history=Absent("No history."),
        split=Absent("No manifest."),
        audit=Absent("No audit."),
        images=Absent("No images."),
        attention=Absent("No network."),
        facts=(("network", "made up"),),
        steps=(
            Step("endoexit train made-up.csv", "weights", trains=True),
            Step("endoexit evaluate runs/made-up", "evaluation.json, logits"),
        ),
    )
    return replace(material, **fields)


def _evaluation(
    classes: tuple[str, ...], logits: Any, labels: Any, policy: ExitPolicy | None, *, timed: bool
) -> Evaluation:
    exits, images = logits.shape[:2]
    left_at = None if policy is None else policy.assign(logits)
    rows = [
        _row(
            "final" if k == exits else f"exit {k}", "exit", k, softmax(logits[k - 1]), labels,
            classes=classes, ms=10.0 * k if timed else None,
            share=None if left_at is None else float((left_at == k).mean()),
        )
        for k in range(1, exits + 1)
    ]  # fmt: skip
    adaptive = None
    if policy is not None and left_at is not None:
        taken = np.stack(
            [policy.probabilities(int(k), logits[k - 1, i : i + 1])[0]
             for i, k in enumerate(left_at)]
        ) if images < 1000 else softmax(logits[-1])  # fmt: skip
        mean = float(left_at.mean()) * 10
        rows.append(
            _row("adaptive", "adaptive", None, taken, labels, classes=classes,
                 ms=mean if timed else None, share=None)
        )  # fmt: skip
        adaptive = _adaptive(policy, left_at, labels, classes, timed=timed)
    subject = EvaluatedSource(
        model="ee_made_up", overrides={}, weights_sha256="0" * 64, preprocessing="1" * 64,
        precision="torch-f32", seed=0, logits="logits/test.npz",
    )  # fmt: skip
    timing = Timing(
        threads=1, precision="torch-f32", size=32, rounds=30, includes="everything",
        machine={"processor": "made up", "cores": 2},
    )  # fmt: skip
    return Evaluation(
        role="test", classes=classes, manifest_sha256="2" * 64, run=subject, twin=None,
        images=Images(
            paths=tuple(f"{classes[label]}/{i:06}.jpg" for i, label in enumerate(labels)),
            labels=tuple(labels.tolist()), groups=tuple(map(str, range(images))),
        ),
        rows=tuple(rows), adaptive=adaptive, timing=timing if timed else None, resamples=10,
        seed=0, left_out="Nothing is left out.", caution=None, versions={"endoexit": "0"},
    )  # fmt: skip


def _row(
    name: str, kind: Any, number: int | None, probabilities: Any, labels: Any, *,
    classes: tuple[str, ...], ms: float | None, share: float | None,
) -> EvaluationRow:  # fmt: skip
    predicted = probabilities.argmax(axis=1)
    return EvaluationRow(
        name=name, kind=kind, exit=number, scores=scores(labels, predicted, classes),
        beside_final=None if name == "final" else estimate(0.0), beside_twin=None,
        parameters=1000, macs=1e9 * (number or 2),
        time=None if ms is None else Time(ms=ms, low_ms=0.9 * ms, high_ms=1.2 * ms, runs=30),
        share=share, predicted=tuple(predicted.tolist()),
        confidence=tuple(probabilities.max(axis=1).round(6).tolist()),
    )  # fmt: skip


def _adaptive(
    policy: ExitPolicy, left_at: Any, labels: Any, classes: tuple[str, ...], *, timed: bool
) -> Adaptive:
    def shares(which: Any) -> tuple[float, ...]:
        return tuple(float((left_at[which] == k).mean()) for k in range(1, policy.num_exits + 1))

    reference = Reference(
        accuracy=estimate(0.9), gap=estimate(0.0), macs=1e9, ms=12.0 if timed else None,
        shares=shares(slice(None)),
    )  # fmt: skip
    return Adaptive(
        policy=policy, origin="made up", exits=tuple(left_at.tolist()),
        shares=shares(slice(None)),
        shares_by_class={
            name: shares(labels == index) for index, name in enumerate(classes)
            if (labels == index).any()
        },
        promises=(), oracle=reference, random=reference,
    )  # fmt: skip


def referring_material(referral: Referral, **fields: Any) -> Material:
    """Return a material whose policy refers images to a human; `fields` as in `make_material`."""
    material = make_material(**fields)
    adaptive = material.evaluation.adaptive
    assert adaptive is not None
    policy = adaptive.policy.replaced(referral=referral)
    exits = tuple(policy.assign(material.logits).tolist())
    adaptive = adaptive.replaced(policy=policy, exits=exits)
    return replace(
        material, policy=policy, evaluation=material.evaluation.replaced(adaptive=adaptive)
    )
