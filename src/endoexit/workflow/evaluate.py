"""`endoexit.evaluate`: what each exit and the policy of a run are worth."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from endoexit.data.manifest import Cohort
from endoexit.data.unseen import UNSEEN
from endoexit.errors import UsageError
from endoexit.evaluation.document import Evaluation
from endoexit.evaluation.fitting import require_unseen
from endoexit.evaluation.robustness import Robustness
from endoexit.evaluation.robustness_study import measure_robustness, require_no_deadline
from endoexit.evaluation.study import Options, evaluate_run, evaluation_path
from endoexit.files import optional_path
from endoexit.precision import Device, FloatFormat
from endoexit.progress import Track, silent
from endoexit.runtime.session import open_session


@dataclass(frozen=True)
class Evaluated:
    """An evaluation that was written.

    Attributes:
        evaluation: All figures.
        path: File of the evaluation.
        cohort: Images that were evaluated.
        robustness: Figures of changed images; None where they were not asked for.
    """

    evaluation: Evaluation
    path: Path
    cohort: Cohort
    robustness: Robustness | None = None


def evaluate(
    run: str | Path,
    *,
    role: str = "test",
    threshold: float | None = None,
    against: str | Path | None = None,
    corruptions: bool = False,
    attacks: bool = False,
    foreign: Sequence[str | Path] = (),
    manifest: str | Path | None = None,
    timing: bool = True,
    threads: int | None = None,
    out: str | Path | None = None,
    precision: FloatFormat | None = None,
    device: Device = "cpu",
    cache: str | Path | None = None,
    track: Track = silent,
) -> Evaluated:
    """Score every exit and the policy, count their cost, and measure their time.

    Args:
        run: Folder of a run or a bundle.
        role: Role of the images.
        threshold: Images exit at the first exit whose largest probability reaches it. By default
            the policy in the folder decides.
        against: Run of the same network without early exits, for comparison.
        corruptions: Whether the images are also evaluated with blur, glare and other changes, see
            `endoexit.evaluation.corruptions`. Written to `robustness.json`.
        attacks: Whether the images are also attacked, see `endoexit.models.attacks`. Written to
            the same file.
        foreign: Folders of images that the network cannot know, to see which are referred.
        manifest: Manifest to take the images from. By default the run's.
        timing: Whether CPU time per image is measured.
        threads: Number of threads while times are measured. By default all cores that this process
            may use.
        out: Folder for figures and logits. By default the run; of a bundle, the folder
            `<bundle>-evaluation` next to it.
        precision: "f32" or "bf16". By default a run computes in f32, a bundle in its precision.
        device: Device that computes the scored answers: "cpu", or "cuda" where there is a GPU.
        cache: Folder of decoded images. By default the user's cache.
        track: Display of progress. By default none.

    Returns:
        The evaluation and its file.

    Raises:
        RunError: A run has no weights or no manifest.
        DataError: No image has the role, images cannot be read, or images of another manifest took
            part in training.
        UsageError: An option that does not fit, or a twin of other classes or another manifest.
        PolicyError: A threshold out of range, or a policy that was fitted for something else.
    """
    if threads is not None and not timing:
        raise UsageError("--threads is about measured times: leave it out, or --no-timing.")
    opening = partial(
        open_session,
        precision=precision,
        device=device,
        threads=threads,
        cache=optional_path(cache),
        out=optional_path(out),
        track=track,
    )
    listed = optional_path(manifest)
    session = opening(Path(run), threshold=threshold, manifest=listed)
    if listed is not None and role in UNSEEN:
        require_unseen(session.source, session.manifest.cohort(role))
    if corruptions or attacks:
        require_no_deadline(session)
    evaluation = evaluate_run(
        session,
        Options(role=role, timing=timing, foreign=tuple(map(Path, foreign))),
        twin=None if against is None else opening(Path(against), manifest=session.manifest),
    )
    return Evaluated(
        evaluation,
        evaluation_path(session, role),
        session.manifest.cohort(role),
        measure_robustness(session, role, corruptions=corruptions, attacks=attacks)
        if corruptions or attacks
        else None,
    )
