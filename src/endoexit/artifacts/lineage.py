"""What a network learnt from: its own images, and those of the runs that it was made from."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from endoexit.artifacts.run import Run, open_run
from endoexit.artifacts.source import CONFIG
from endoexit.data.manifest import Manifest
from endoexit.errors import DataError, RunError


def learnt_from(run: Run) -> dict[str, Manifest]:
    """Return every manifest that a run learnt from, by the folder of the run that it trained.

    These are its own, and those of its teacher, of the run whose weights it started from, and of
    theirs. Runs that are gone, or whose manifest is, are left out.
    """
    manifests: dict[str, Manifest] = {}
    waiting, met = [run], set()
    while waiting:
        each = waiting.pop()
        if each.path.resolve() in met:
            continue
        met.add(each.path.resolve())
        with contextlib.suppress(RunError, DataError):
            manifests[str(each.path)] = each.known_manifest()
        waiting += _made_from(each)
    return manifests


def run_of_weights(weights: str) -> Run | None:
    """Return the run that a file of weights lies in; None if it lies in no run."""
    folder = Path(weights).parent
    if not (Path(weights).is_file() and (folder / CONFIG).is_file()):
        return None
    try:
        return open_run(folder)
    except RunError:
        return None


def _made_from(run: Run) -> Iterator[Run]:
    """Yield the runs whose teaching or whose weights a run began with, as far as they are there."""
    strategy = run.config.recipe.get("strategy")
    teacher = strategy.get("teacher") if isinstance(strategy, dict) else None
    if isinstance(teacher, str):
        with contextlib.suppress(RunError):
            yield open_run(Path(teacher))
    start = run.config.starting_weights
    if start is not None and (begun := run_of_weights(start.source)) is not None:
        yield begun
