"""`endoexit.cascade`: trained runs as the stages of one classifier."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from endoexit.artifacts.cascade import make_cascade
from endoexit.artifacts.run import Run
from endoexit.progress import Track, silent

if TYPE_CHECKING:
    from endoexit.models.cascade import Combine


def cascade(
    runs: Sequence[str | Path],
    *,
    out: str | Path,
    combine: "Combine" = "last",
    command: str = "",
    track: Track = silent,
) -> Run:
    """Put trained runs together: an image that a small one is sure of never meets a large one.

    Args:
        runs: Run folders of `endoexit.train`, small to large.
        out: Run folder to make; new or empty.
        combine: Answer of an exit: "last" is its own, "mean" is the mean of the probabilities of
            all exits so far.
        command: Command line that asks for it, for the run's record.
        track: Display of progress. By default none.

    Returns:
        The cascade, a run that all steps but training work on.

    Raises:
        UsageError: Fewer than two runs, other classes, a large one before a small one, or a
            folder with content.
        RunError: One is no run, or its training has not ended.
        DataError: One learnt from images that the last one keeps for calibrate, certify or test.
        WriteError: The folder cannot be written.
    """
    return make_cascade(
        [Path(run) for run in runs], Path(out), combine, command=command, track=track
    )
