"""`endoexit.export`: a run as a folder that predicts on another machine."""

from pathlib import Path

from endoexit.artifacts.run import open_run
from endoexit.exporting.export import LARGEST_DROP, Exported, ExportOptions, export_run
from endoexit.files import optional_path
from endoexit.precision import BackendName, NumberFormat
from endoexit.progress import Track, silent
from endoexit.runtime.session import open_session


def export(
    run: str | Path,
    *,
    out: str | Path,
    backend: BackendName = "openvino",
    precision: NumberFormat = "f32",
    accept_drop: bool = False,
    max_drop: float = LARGEST_DROP,
    range_images: int | None = None,
    manifest: str | Path | None = None,
    threads: int | None = None,
    cache: str | Path | None = None,
    command: str = "",
    track: Track = silent,
) -> Exported:
    """Export a run as a bundle: the network cut at its exits, its policy, hashes of all files.

    Logits change with the backend and the precision, so the accuracy of every exit is measured
    again on calibrate, and the run's policy is found again for the same goal. A guarantee is proven
    again on certify.

    Args:
        run: Run folder of `endoexit.train`.
        out: Folder of the bundle; new or empty.
        backend: Library that will run the stages: "openvino", "onnx" or "torch".
        precision: Number format of the stages: "f32", "bf16" or "int8". int8 takes its ranges from
            images of the train role, and leaves layers in floating point until `max_drop` is kept.
        accept_drop: Whether an exit may lose more accuracy than `max_drop`.
        max_drop: Largest drop of the accuracy of an exit on calibrate.
        range_images: Largest number of images that int8 takes its ranges from. By default 256.
        manifest: Manifest to take the images from. By default the run's.
        threads: Number of threads while times are measured; only for a policy about milliseconds.
        cache: Folder of decoded images. By default the user's cache.
        command: Command line that asks for it, for the bundle's record.
        track: Display of progress. By default none.

    Returns:
        The bundle, and its policies.

    Raises:
        UsageError: A precision that the backend or this processor does not have, something that
            is not installed, or a folder with content.
        ModelError: An exit loses more accuracy than `max_drop`.
        RunError, DataError: The run has no weights, or images that are needed are missing.
        PolicyError: No policy meets the goal at this precision.
        WriteError: The folder cannot be written.
    """
    session = open_session(
        open_run(Path(run)),
        manifest=optional_path(manifest),
        threads=threads,
        cache=optional_path(cache),
        track=track,
    )
    options = ExportOptions(backend, precision, accept_drop, max_drop, range_images, command)
    return export_run(session, Path(out), options)
