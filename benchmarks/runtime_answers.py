"""From files to answers with a trained run, for `cpu_runtime.py`, held against whole networks."""

import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from endoexit.bench.peers import open_peer
from endoexit.bench.ratios import ratio_of, spread
from endoexit.bench.throughput import FINAL, POLICY, Pass
from endoexit.evaluation.fitting import calibrate_run
from endoexit.evaluation.latency import keeping_threads
from endoexit.evaluation.turns import Work, take_turns
from endoexit.images.preprocessing import Preprocessing
from endoexit.images.reference import ImageRef
from endoexit.models import NetworkSpec
from endoexit.policy import fixed_exit
from endoexit.policy.goal_options import make_goal
from endoexit.precision import Precision
from endoexit.progress import Track
from endoexit.runtime.engine import Engine, Images
from endoexit.runtime.session import open_session
from runtime_networks import export_once, held, rounded
from runtime_trained import copy_run
from tables import without_places

FILES, OF_BASELINE, BATCH, PASSES = 48, 2, 32, 5
DROP = 0.01
TO_WHOLE, TO_BASELINE, GAIN = 0.5, 1 / 150, 1.7


def measure_answers(
    path: Path, folder: Path, *, threads: int, rounds: int, track: Track
) -> dict[str, Any]:
    """Return the time from a file to its answer, in int8 under the policy, held against others."""
    run = copy_run(path, folder / "run")
    calibrate_run(open_session(run, track=track), make_goal(max_accuracy_drop=DROP))
    bundle = export_once(run, folder / "int8", "openvino", "int8", track=track)
    session = open_session(bundle, manifest=run.manifest(), threads=threads)
    cohort, view = run.manifest().cohort("test"), session.preprocessing
    chosen = np.linspace(0, len(cohort.images) - 1, FILES).round().astype(int)
    files = [cohort.images[row] for row in chosen]
    with keeping_threads(), tempfile.TemporaryDirectory() as pieces:
        network = run.config.network
        whole = open_peer("openvino", network, view, Precision("openvino", "f32", "f32"),
                          threads=threads, folder=Path(pieces)).engine  # fmt: skip
        large = Preprocessing(size=224)
        paper = NetworkSpec("hifuse_small", network.classes, large.size)
        eager = open_peer("eager", paper, large, Precision("torch", "f32", "f32"),
                          threads=threads, folder=Path(pieces)).engine  # fmt: skip
        exits = Counter(answer.exit for answer in _answers(session.engine, files))
        works: dict[str, Work] = {
            "policy": lambda _: _answers(session.engine, files),
            "whole": lambda _: _answers(whole, files),
            **{name: _to(engine, files) for name, engine in by_exit(session.engine).items()},
            "decoding": lambda _: [view.load(file) for file in files],
            "baseline": lambda turn: _answers(eager, _some(files, turn)),
        }
        with track("timing files", rounds) as bar:
            passes = take_turns(works, rounds, bar, warm_up=1)
        times = {name: np.asarray(ms) / len(files) for name, ms in passes.items()}
        times["baseline"] *= len(files) / OF_BASELINE
        images = np.stack([view.load(file) for file in cohort.images])
        answers = session.engine.predict(images)
        streams = _streams(session.engine, images, track)
    to_whole = ratio_of("policy", times["policy"], "whole", times["whole"])
    to_baseline = ratio_of("policy", times["policy"], "baseline", times["baseline"])
    decoding = ratio_of("decoding", times["decoding"], "whole", times["whole"])
    targets = [
        held("file to answer under the policy, int8 / the same network whole, f32, from the same "
             "file", to_whole, TO_WHOLE),
        held("file to answer under the policy, int8 / eager PyTorch `hifuse_small` 224 from the "
             "same file", to_baseline, TO_BASELINE),
    ]  # fmt: skip
    gain = ratio_of(POLICY, streams[FINAL], FINAL, streams[POLICY])
    met = "yes" if gain.low >= GAIN else "no" if gain.high < GAIN else "unclear"
    what = f"images a second in batches of {BATCH}, int8, policy / whole without exits"
    kept = rounded(gain.model_dump(include={"median", "low", "high"}))
    targets.append({"what": what, "at_least": GAIN, **kept, "met": met})
    left = Counter(answer.exit for answer in answers)
    logits = session.logits("test")
    return {
        "training": without_places(run.config.command),
        "network": run.config.model,
        "size": view.size,
        "precision": str(session.precision),
        "goal": f"accuracy on calibrate at most {DROP:g} below that of the final exit",
        "files": FILES,
        "test_images": len(images),
        "rounds": rounds,
        "exit_at": {str(number): exits[number] for number in sorted(exits)},
        "accuracy": {
            "policy": float(np.mean([answer.label for answer in answers] == logits.labels)),
            "final exit": float((logits.logits[-1].argmax(axis=1) == logits.labels).mean()),
        },
        "streams": {
            "exit_at": {str(number): left[number] for number in sorted(left)},
            "microseconds_an_image": {
                name: rounded(1000 * float(np.median(ms)) / len(images))
                for name, ms in streams.items()
            },
            "limits": _gains(streams, left),
        },
        "milliseconds": {name: rounded(spread(ms).model_dump()) for name, ms in times.items()},
        "decoding_to_whole": rounded(decoding.model_dump()),
        "limits": _least(times, exits),
        "targets": targets,
    }


def _answers(engine: Engine, files: Sequence[ImageRef]) -> list[Any]:
    return [engine.predict(engine.preprocessing.load(file)[None])[0] for file in files]


def _to(engine: Engine, files: Sequence[ImageRef]) -> Work:
    return lambda _: _answers(engine, files)


def by_exit(engine: Engine) -> dict[str, Engine]:
    """Return an engine for each exit, at which all images exit."""
    last = engine.backend.num_stages
    return {
        f"exit {number}": Engine(engine.backend, fixed_exit(last, number), engine.preprocessing)
        for number in range(1, last + 1)
    }


def _some(files: Sequence[ImageRef], turn: int) -> list[ImageRef]:
    return [files[(OF_BASELINE * turn + step) % len(files)] for step in range(OF_BASELINE)]


def _streams(engine: Engine, images: Images, track: Track) -> dict[str, list[float]]:
    """Return milliseconds of passes in full batches: all images at one exit, and by the policy."""
    last = engine.backend.num_stages
    engines = by_exit(engine)
    del engines[f"exit {last}"]
    # Without exits: one piece, without their heads.
    engines[FINAL] = Engine(
        engine.backend, fixed_exit(last, last), engine.preprocessing, fused=True
    )
    engines[POLICY] = engine
    works = {name: Pass(each, images, BATCH, len(images)) for name, each in engines.items()}
    with track("timing streams", PASSES) as bar:
        return take_turns(works, PASSES, bar, warm_up=1)


def _gains(streams: dict[str, list[float]], left: Counter[int]) -> dict[str, float]:
    """Return the largest gain of a stream: if all images exited at exit 1, and with these exits.

    A policy can at best spend on an image what a pass to its exit spends on each.
    """
    *early, final = (float(np.median(ms)) for name, ms in streams.items() if name != POLICY)
    costs = [*early, final]
    return {
        "all at exit 1": rounded(final / costs[0]),
        "these exits": rounded(final / _spent(costs, left)),
    }


def _least(times: dict[str, Any], exits: Counter[int]) -> dict[str, float]:
    """Return the least ratio to the whole network from the file, for the same two cases."""
    costs = [float(np.median(ms)) for name, ms in times.items() if name.startswith("exit ")]
    whole = float(np.median(times["whole"]))
    return {
        "all at exit 1": rounded(costs[0] / whole),
        "these exits": rounded(_spent(costs, exits) / whole),
    }


def _spent(costs: Sequence[float], exits: Counter[int]) -> float:
    return sum(costs[number - 1] * count for number, count in exits.items()) / exits.total()
