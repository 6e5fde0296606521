"""`endoexit video` in Python: a clip answered frame by frame."""

from dataclasses import dataclass
from pathlib import Path

from endoexit.files import optional_path, replacing_folder, require_new_folder
from endoexit.policy.temporal.settings import TemporalSettings, read_settings
from endoexit.precision import FloatFormat
from endoexit.progress import Track, silent
from endoexit.runtime.session import open_session
from endoexit.runtime.threads import check_threads
from endoexit.watching.run import EVENTS, FRAMES, SUMMARY, OnChange, Watched, watch_clip


@dataclass(frozen=True)
class VideoFiles:
    """A clip that was watched, and the files about it.

    Attributes:
        watched: What the clip showed.
        frames: Table of the frames, Parquet.
        events: Segments and blind spans, a JSON document a line.
        summary: Summary, JSON.
        page: Page with the timeline and stills of the peaks, HTML.
    """

    watched: Watched
    frames: Path
    events: Path
    summary: Path
    page: Path


def video(
    source: str | Path,
    clip: str | Path,
    *,
    out: str | Path,
    threshold: float | None = None,
    precision: FloatFormat | None = None,
    threads: int | None = None,
    live: bool = False,
    temporal: str | Path | None = None,
    evidence: bool | None = None,
    blind: bool | None = None,
    reuse: bool | None = None,
    exit_memory: bool | None = None,
    on_change: OnChange = lambda _time, _label: None,
    track: Track = silent,
) -> VideoFiles:
    """Answer the frames of a clip, each where it exits, and say what is shown over time.

    Args:
        source: Folder of a run or a bundle.
        clip: Video, or a DICOM object that holds one.
        out: Folder for the files; new or empty.
        threshold: Images exit at the first exit whose largest probability reaches it. By default
            the policy in the folder decides. Without one, the last exit answers.
        precision: "f32" or "bf16". By default a run computes in f32, a bundle in its precision.
        threads: Number of threads of the network. By default what is fastest here for a
            bundle, and all cores that this process may use for a run.
        live: Whether frames come by the clock, as from a camera. Those that cannot be answered in
            time are dropped and counted.
        temporal: File of temporal rules, JSON. By default evidence over frames and blind frames.
        evidence: Whether the shown label changes only on evidence over frames. By default as the
            file says, else on.
        blind: Whether blind frames are told apart. By default as the file says, else on.
        reuse: Whether nearly identical frames get the answer of the last computed one. By default
            as the file says, else off.
        exit_memory: Whether images may exit where the one before did, with a lower threshold. By
            default as the file says, else off.
        on_change: Function that is called with the time and the label when another is shown.
        track: Display of progress. By default none.

    Returns:
        The files, and what they say. A clip that breaks off is watched up to there: see
        `watched.fault`.

    Raises:
        RunError: The source is neither a run nor a bundle, or a file was changed.
        ImageError: The clip cannot be read at all, or a package is missing.
        PolicyError: The policy was fitted for other weights or another precision.
        UsageError: An option is out of range, or does not go with the policy; `out` has content.
        WriteError: The folder cannot be written.
    """
    from endoexit.reporting.video import PAGE, write_page  # noqa: PLC0415  (draws; slow to import)

    folder = Path(out)
    require_new_folder(folder)
    file = optional_path(temporal)
    settings = TemporalSettings() if file is None else read_settings(file)
    given = {"evidence": evidence, "blind": blind, "reuse": reuse, "exit_memory": exit_memory}
    settings = settings.switched({name: on for name, on in given.items() if on is not None})
    session = open_session(
        Path(source),
        threshold=threshold,
        precision=precision,
        threads=None if threads is None else check_threads(threads),
    )
    with replacing_folder(folder) as work:
        watched = watch_clip(
            session, Path(clip), settings, work, live=live, on_change=on_change, track=track
        )
        write_page(session, watched, work)
    return VideoFiles(watched, folder / FRAMES, folder / EVENTS, folder / SUMMARY, folder / PAGE)
