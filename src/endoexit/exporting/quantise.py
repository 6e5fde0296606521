"""int8 by post-training quantisation with NNCF, stage by stage."""

import contextlib
import io
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from endoexit.data.manifest import Manifest
from endoexit.images.cache import cache_images
from endoexit.images.preprocessing import Preprocessing

IMAGES = 256

Feeds = dict[str, NDArray[np.float32]]
Stage = Callable[[list[NDArray[np.float32]]], list[NDArray[np.float32]]]


def calibration_images(
    manifest: Manifest, preprocessing: Preprocessing, cache: Path | None, seed: int = 0
) -> NDArray[np.float32]:
    """Return normalised images (N, 3, S, S) of the train role, N at most `IMAGES`.

    Args:
        manifest: Manifest with images of the role train.
        preprocessing: Preprocessing of the network.
        cache: Folder of decoded images; by default the user's.
        seed: Random seed of the choice.

    Raises:
        DataError: No image has the role, or images cannot be read.
    """
    images = manifest.cohort("train").images
    chosen = np.random.default_rng(seed).permutation(len(images))[:IMAGES]
    cached = cache_images([images[row] for row in sorted(chosen)], preprocessing, cache)
    return preprocessing.normalise(np.asarray(cached.images))


class States:
    """What one stage is fed: the images, sent through the unquantised stages before it.

    It is computed anew at each pass, one image at a time: the states of all images do not fit
    into memory.

    Args:
        images: (N, 3, S, S).
        before: The stages before, in order, each from arrays to arrays.
        names: Names of the inputs of the stage.
    """

    def __init__(self, images: NDArray[np.float32], before: list[Stage], names: list[str]) -> None:
        self._images, self._before, self._names = images, before, names

    def __len__(self) -> int:
        return len(self._images)

    def __iter__(self) -> Iterator[Feeds]:
        for image in self._images:
            state = [np.ascontiguousarray(image[None].transpose(0, 2, 3, 1))]
            for stage in self._before:
                state = stage(state)
            yield dict(zip(self._names, state, strict=True))


def quantise(model: Any, states: States) -> Any:
    """Return an OpenVINO or ONNX model of one stage with int8 products.

    Weights are quantised per channel and activations per tensor, with the ranges that the states
    show; what suffers most (softmax, normalisations) stays in floating point.

    Args:
        model: An `openvino.Model`, or an `onnx.ModelProto`.
        states: States that it is fed.
    """
    import nncf  # noqa: PLC0415  (an extra, slow to import)

    with _quiet():
        return nncf.quantize(
            model,
            nncf.Dataset(states),
            preset=nncf.QuantizationPreset.MIXED,
            model_type=nncf.ModelType.TRANSFORMER,
            subset_size=len(states),
        )


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep NNCF from writing on standard output, where answers go, and from logging."""
    logger = logging.getLogger("nncf")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logger.setLevel(level)
