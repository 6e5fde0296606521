"""Whether there is memory for a second model, before it is opened next to the first."""

from pathlib import Path

from endoexit.artifacts.bundle import open_source
from endoexit.artifacts.source import STAGES, WEIGHTS
from endoexit.errors import EndoexitError
from endoexit.machine import free_memory

# How often the weights are in memory while a model is opened: as the file, as what is built from
# it, and in the kernels that a library compiles, which OpenVINO does for two sizes of batches.
_COPIES = 4
# Largest sum of the maps of one image, in images of three float32 channels.
_MAPS = 32
_MIB = 2**20


class NoMemoryError(EndoexitError):
    """A model that does not fit next to the one that answers."""


def memory_needed(path: Path, batch_size: int, streams: int = 1) -> int:
    """Return the bytes that opening and warming a model takes at most, by estimate.

    Args:
        path: Run or bundle.
        batch_size: Number of images of a full batch.
        streams: Number of batches that run at the same time.

    Raises:
        RunError: It is neither, or damaged.
    """
    source = open_source(path)
    files = [path / WEIGHTS] if source.kind == "run" else (path / STAGES).iterdir()
    weights = sum(file.stat().st_size for file in files)
    image = source.config.preprocessing.size**2 * 3 * 4
    return streams * (_COPIES * weights + _MAPS * image * batch_size)


def check_memory(path: Path, batch_size: int, streams: int = 1) -> None:
    """Refuse a model for which there is no memory next to the one that answers.

    Raises:
        NoMemoryError: It needs more than the system and the control groups leave.
        RunError: It is no model, or damaged.
    """
    needed, free = memory_needed(path, batch_size, streams), free_memory()
    if needed > free:
        raise NoMemoryError(
            f"{path} needs about {-(-needed // _MIB)} MiB next to the model that answers, and "
            f"{free // _MIB} MiB are free: give the service more memory, such as MemoryMax of its "
            "unit, or end it and start it with the new model."
        )
