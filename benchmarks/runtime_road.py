"""The whole road of one image for `cpu_runtime.py`: from its file to its answer, step by step."""

import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from endoexit.bench.ratios import ratio, spread
from endoexit.evaluation.turns import Work, take_turns
from endoexit.images.decode import read_bytes, read_image
from endoexit.policy import threshold_policy
from endoexit.progress import Track
from endoexit.runtime.backends.openvino import OpenVinoBackend
from endoexit.runtime.engine import Engine
from endoexit.runtime.session import Session
from runtime_bookkeeping import around_the_stages, by_itself
from runtime_convolutions import measure_convolutions
from runtime_files import large_jpegs
from runtime_networks import held, milliseconds, open_variants, rounded
from runtime_pieces import one_piece

SIDE = 128
ROADS: dict[str, dict[str, Any]] = {
    "efficientnet_lite0": {"exits": "3,5,6"},
    "ee_hifuse_nano": {},
}
OVERHEAD, CUT, SMALLER = 0.10, 1.05, 0.5
NEVER = 1.0 - 1e-9  # no image with random weights is so sure: all of them run every stage


def measure_road(
    name: str, folder: Path, *, variant: str, threads: int, rounds: int, track: Track
) -> dict[str, Any]:
    """Return milliseconds of each step between a JPEG of 1280×1024 and its answer, batch of 1."""
    session = open_variants(
        name, folder, [variant], threads, track, size=SIDE, settings=ROADS[name]
    )[variant]
    paths = _files(folder)
    backend, view = session.backend, session.preprocessing
    backend.expect(1)
    engine = Engine(backend, threshold_policy(backend.num_stages, NEVER), view)
    squares = [view.load(path)[None] for path in paths]
    state = backend.start(view.normalise(squares[0]))
    steps = _Steps(session, paths)

    def in_sequence(_: int) -> None:
        after = state
        for number in range(1, backend.num_stages + 1):
            after, _logits = backend.run(number, after)

    works: dict[str, Work] = {
        "step by step": steps,
        "file to answer": lambda turn: engine.predict(view.load(paths[turn % len(paths)])[None]),
        "square to answer": lambda turn: engine.predict(squares[turn % len(squares)]),
        "all stages in sequence": in_sequence,
    }
    if isinstance(backend, OpenVinoBackend):
        files = session.source.stage_files()
        every = one_piece(backend, files, early_exits=True)
        final = one_piece(backend, files, early_exits=False)
        works |= {
            "one piece, all exits": lambda _: every(state),
            "one piece, final exit only": lambda _: final(state),
            "one piece, final exit only, from the file": lambda turn: final(
                backend.start(view.normalise(view.load(paths[turn % len(paths)])[None]))
            ),
        }
    with track(f"timing {name}, {variant}", rounds) as bar:
        times = take_turns(works, rounds, bar, untimed=1)
    deciding = np.subtract(times["square to answer"], times["all stages in sequence"])
    measured = {
        "size": SIDE,
        "rounds": rounds,
        "steps_ms": {step: milliseconds(spent[-rounds:]) for step, spent in steps.spent.items()},
        "milliseconds": {work: milliseconds(values) for work, values in times.items()},
        "around_the_stages_ms": rounded(spread(deciding).model_dump()),
    }
    overhead = around_the_stages(engine, np.concatenate(squares), track)
    alone = by_itself(engine, np.concatenate(squares), track)
    measured["bookkeeping_by_itself_ms"] = rounded(alone.model_dump())
    targets = [held("policy, gathering and bookkeeping, ms an image", overhead, OVERHEAD)]
    if "one piece, all exits" in times:
        cut = ratio(times, "all stages in sequence", "one piece, all exits")
        measured["cut_to_one_piece"] = rounded(cut.model_dump())
        targets.append(held("all stages in sequence / one piece with all exits", cut, CUT))
        if name == "efficientnet_lite0" and variant == "openvino-int8":
            f32 = open_variants(
                name, folder, ["openvino-f32"], threads, track, size=SIDE, settings=ROADS[name]
            )["openvino-f32"]
            targets.append(_to_f32(lambda: final(state), f32, state, rounds, track))
            both = {"int8": session, "f32": f32}
            measured["convolutions"] = measure_convolutions(both, SIDE, rounds, track)
    return measured | {"targets": targets}


def _to_f32(
    int8: Callable[[], Any], session: Session, state: Any, rounds: int, track: Track
) -> dict[str, Any]:
    """Return the time of the whole network in int8 over that in f32, in turns."""
    f32 = one_piece(session.backend, session.source.stage_files(), early_exits=False)
    works: dict[str, Work] = {"int8": lambda _: int8(), "f32": lambda _: f32(state)}
    with track("int8 against f32", rounds) as bar:
        times = take_turns(works, rounds, bar, untimed=1)
    return held("whole network, int8 / f32", ratio(times, "int8", "f32"), SMALLER)


def _files(folder: Path) -> list[Path]:
    """Return the JPEGs as files."""
    paths = []
    for number, content in enumerate(large_jpegs(folder)):
        paths.append(folder / f"large-{number}.jpg")
        paths[-1].write_bytes(content)
    return paths


class _Steps:
    """One image after another through the same functions as in prediction, with a clock between.

    Args:
        session: Bundle.
        paths: Files of images.
    """

    def __init__(self, session: Session, paths: list[Path]) -> None:
        self._backend, self._view, self._paths = session.backend, session.preprocessing, paths
        self.spent: defaultdict[str, list[float]] = defaultdict(list)

    def __call__(self, turn: int) -> None:
        """Send the image of a turn through all steps."""
        backend, view = self._backend, self._view
        content = self._timed(
            "read the file", lambda: read_bytes(self._paths[turn % len(self._paths)])
        )
        image = self._timed("decode", lambda: read_image(content, at_least=view.resized_side))
        square = self._timed("resize", lambda: view.apply(image))
        batch = self._timed("normalise", lambda: view.normalise(square[None]))
        state = self._timed("make the first state", lambda: backend.start(batch))
        for number in range(1, backend.num_stages + 1):
            state, _ = self._timed(
                f"stage {number}", lambda at=number, now=state: backend.run(at, now)
            )

    def _timed(self, step: str, work: Callable[[], Any]) -> Any:
        begin = time.perf_counter()
        answer = work()
        self.spent[step].append((time.perf_counter() - begin) * 1000)
        return answer
