"""A trained run for `cpu_runtime.py`: accuracy and time under a policy that keeps accuracy."""

import shutil
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from endoexit.artifacts.run import Run, open_run
from endoexit.artifacts.source import LOGITS, MANIFEST
from endoexit.bench.peers import open_peer
from endoexit.bench.ratios import mixed, ratio_of, spread
from endoexit.bench.subject import (
    FINAL,
    exit_works,
    policy_works,
)
from endoexit.bench.throughput import measure_throughput
from endoexit.data.manifest import sidecar_path
from endoexit.evaluation.fitting import calibrate_run
from endoexit.evaluation.latency import Contender, keeping_threads
from endoexit.evaluation.turns import Work, take_turns
from endoexit.files import read_json, write_json
from endoexit.images.cache import cache_images
from endoexit.policy.goal_options import make_goal
from endoexit.precision import Precision
from endoexit.progress import Track
from endoexit.runtime.backends.choice import has_bf16
from endoexit.runtime.engine import Images
from endoexit.runtime.prediction import Prediction
from endoexit.runtime.session import Session, open_session
from runtime_networks import OVERHEAD_MS, export_once, held, milliseconds, rounded

BATCHES = (1, 8, 32)
WARM_UP, ROUNDS = 3, 11  # of full batches
TIME, GAIN, LOSS = 0.25, 1.6, 0.01


def measure_trained(
    path: Path, folder: Path, *, drop: float, threads: int, rounds: int, track: Track
) -> dict[str, Any]:
    """Measure a trained run, exported at every precision of OpenVINO."""
    run = copy_run(path, folder / "run")
    calibrate_run(open_session(run, track=track), make_goal(max_accuracy_drop=drop))
    cohort = run.manifest().cohort("test")
    preprocessing = run.config.preprocessing
    images = np.asarray(cache_images(cohort.images, preprocessing).images)
    eager = open_session(run, track=track).logits("test")
    precisions = ("bf16", "int8") if has_bf16("openvino") else ("f32", "int8")
    with keeping_threads(), tempfile.TemporaryDirectory() as pieces:
        subjects = {
            name: open_session(
                export_once(run, folder / name, "openvino", name, track=track), threads=threads
            )
            for name in precisions
        }
        answers = {name: _answers(entry, images, track) for name, entry in subjects.items()}
        works: dict[str, Work] = {}
        for name, subject in subjects.items():
            exits = np.array([answer.exit for answer in answers[name]])
            works |= {f"{name} {at}": entry for at, entry in exit_works(subject, images).items()}
            works |= {f"{name} policy {at}": entry
                      for at, entry in policy_works(subject, images, exits).items()}  # fmt: skip
        eager_precision = Precision("torch", "f32", "f32")
        network, preprocessing = run.config.network, run.config.preprocessing
        peer = open_peer("eager", network, preprocessing, eager_precision, threads=threads,
                         folder=Path(pieces))  # fmt: skip
        works["eager"] = Contender(peer.engine, images).answer
        with track("timing the trained run", rounds) as bar:
            times = take_turns(works, rounds, bar, untimed=1)
        by_precision = {
            name: _precision(subject, answers[name], eager.labels, images, times, track=track)
            for name, subject in subjects.items()
        }
    final = float((eager.logits[-1].argmax(axis=1) == eager.labels).mean())
    return {
        "run": path.resolve().name,
        "network": run.config.model,
        "size": preprocessing.size,
        "goal": f"accuracy on calibrate at most {drop:g} below that of the final exit",
        "test_images": len(images),
        "rounds": rounds,
        "accuracy_final_pytorch_f32": rounded(final),
        "milliseconds": {name: milliseconds(values) for name, values in times.items()},
        "precisions": by_precision,
    }


def copy_run(path: Path, folder: Path) -> Run:
    """Return a copy of a run, so that its own policy and logits stay as they are."""
    if not folder.exists():
        unwanted = shutil.ignore_patterns(LOGITS, "checkpoints", "tensorboard", "policy.json")
        shutil.copytree(path, folder, ignore=unwanted)
        # The copy names its images by a path that holds elsewhere too.
        sidecar = sidecar_path(folder / MANIFEST)
        root = str(open_run(path).manifest().root.resolve())
        write_json(sidecar, read_json(sidecar) | {"root": root})
    return open_run(folder)


def _answers(subject: Session, images: Images, track: Track) -> list[Prediction]:
    answers: list[Prediction] = []
    with track(f"test images, {subject.precision}", len(images)) as bar:
        for row in range(len(images)):
            answers += subject.engine.predict(images[row : row + 1])
            bar.advance()
    return answers


def _precision(
    subject: Session,
    answers: list[Prediction],
    labels: np.ndarray,
    images: Images,
    times: dict[str, list[float]],
    *,
    track: Track,
) -> dict[str, Any]:
    """Return accuracy, mean time and throughput of one bundle, held against the targets."""
    name = subject.source.path.name
    counts = dict(sorted(Counter(answer.exit for answer in answers).items()))
    means = mixed({number: times[f"{name} policy {number}"] for number in counts}, counts)
    adaptive = float(np.mean([answer.label for answer in answers] == labels))
    final = _final_accuracy(subject, images, labels)
    to_eager = ratio_of("policy", means, "eager", times["eager"])
    streams = measure_throughput(
        subject.engine, images, BATCHES, rounds=5, track=track, length=len(images)
    )
    last = streams[-1]
    overhead = streams[0].overhead_ms
    targets = [
        held(f"{name}: mean time under the policy / eager PyTorch f32", to_eager, TIME),
        held(
            f"{name}: accuracy on test, final exit less policy",
            spread([final - adaptive]),
            LOSS,
        ),
        held(f"{name}: policy, gathering and bookkeeping, ms an image", overhead, OVERHEAD_MS),
    ]
    if last.gain is not None:
        gain = rounded(last.gain.model_dump(include={"median", "low", "high"}))
        what = f"{name}: images a second in batches of 32, policy / final exit"
        met = "yes" if last.gain.low >= GAIN else "no" if last.gain.high < GAIN else "unclear"
        targets.append({"what": what, "at_least": GAIN, **gain, "met": met})
    return {
        "precision": str(subject.precision),
        "policy": subject.engine.policy.goal,
        "leave_at": {str(number): count for number, count in counts.items()},
        "accuracy_policy": rounded(adaptive),
        "accuracy_final": rounded(final),
        "mean_ms": rounded(spread(means).model_dump()),
        "final_to_eager": rounded(
            ratio_of(FINAL, times[f"{name} {FINAL}"], "eager", times["eager"]).model_dump()
        ),
        "targets": targets,
        "largest_gain": rounded(_largest_gain(subject, images[: BATCHES[-1]], counts)),
        "throughput": [rounded(stream.model_dump(mode="json")) for stream in streams],
    }


def _largest_gain(subject: Session, images: Images, counts: dict[int, int]) -> float:
    """Return what early exits could gain in full batches if nothing but stages took time."""
    backend = subject.engine.backend
    backend.expect(len(images))
    start = backend.start(subject.engine.preprocessing.normalise(images))
    turns = []
    for _ in range(WARM_UP + ROUNDS):
        state, marks = start, [time.perf_counter()]
        for number in range(1, backend.num_stages + 1):
            state, _logits = backend.run(number, state)
            marks.append(time.perf_counter())
        turns.append(np.array(marks[1:]) - marks[0])
    to_exit = np.median(turns[WARM_UP:], axis=0)
    mean = sum(to_exit[number - 1] * count for number, count in counts.items())
    return float(to_exit[-1] * sum(counts.values()) / mean)


def _final_accuracy(subject: Session, images: Images, labels: np.ndarray) -> float:
    backend, preprocessing = subject.engine.backend, subject.engine.preprocessing
    labels_found = []
    for row in range(len(images)):
        state = backend.start(preprocessing.normalise(images[row : row + 1]))
        for number in range(1, backend.num_stages + 1):
            state, logits = backend.run(number, state)
        labels_found.append(int(logits[0].argmax()))
    return float((np.array(labels_found) == labels).mean())
