"""int8 by post-training quantisation with NNCF, stage by stage."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from endoexit.data.manifest import Manifest
from endoexit.exporting.int8_drop import STEP, WITHIN, Drop, Reference
from endoexit.exporting.int8_states import States
from endoexit.exporting.stage_files import ExportedStages, Stage
from endoexit.images.cache import cache_images
from endoexit.images.preprocessing import Preprocessing
from endoexit.models.quantised import Ranges, advanced, quiet_nncf, settings
from endoexit.progress import Track

IMAGES = 256
RANKING_IMAGES = 100
# Of what a stage computes, as a share of its spread: a tenth of it is what rounding usually costs.
_LARGE_ERROR = 0.1
# Tried in order, until a stage keeps its bound with layers in floating point.
_RANGES: tuple[Ranges, ...] = ("MINMAX", "MEAN_MINMAX")


@dataclass(frozen=True)
class Int8:
    """How stages are quantised.

    Attributes:
        images: Normalised images (N, 3, S, S) of the train role, which give the ranges.
        reference: What must be kept, at the price of layers in floating point; None for all
            layers in int8 but those that give the logits, whatever is lost.
    """

    images: NDArray[np.float32]
    reference: Reference | None = None


def calibration_images(
    manifest: Manifest,
    preprocessing: Preprocessing,
    cache: Path | None,
    count: int = IMAGES,
    seed: int = 0,
) -> NDArray[np.float32]:
    """Return normalised images (N, 3, S, S) of the train role, N at most `count`.

    Args:
        manifest: Manifest with images of the role train.
        preprocessing: Preprocessing of the network.
        cache: Folder of decoded images; by default the user's.
        count: Largest number of images.
        seed: Random seed of the choice.

    Raises:
        DataError: No image has the role, or images cannot be read.
    """
    images = manifest.cohort("train").images
    chosen = np.random.default_rng(seed).permutation(len(images))[:count]
    cached = cache_images([images[row] for row in sorted(chosen)], preprocessing, cache)
    return preprocessing.normalise(np.asarray(cached.images))


def quantise_stages(files: ExportedStages, int8: Int8, track: Track) -> tuple[str, ...]:
    """Quantise stages in their files; return the layers left in floating point.

    Args:
        files: Stages in f32.
        int8: How they are quantised.
        track: Display of progress.

    Returns:
        Names such as "1.trunk.0.conv", with the number of the stage in front.
    """
    last = len(files.inputs)
    exact = [files.run(number, exact=True) for number in range(1, last + 1)]
    quantised: list[Stage] = []
    left: list[str] = []
    with track("quantising stages", last) as bar:
        for number, names in enumerate(files.inputs, start=1):
            states = States(int8.images, exact[: number - 1], names)
            drop = None
            if int8.reference is not None:
                drop = Drop(number, int8.reference, quantised, exact[number:], files.at_work)
            quantise_stage(files, number, states, exact[number - 1], drop)
            quantised.append(files.run(number, exact=False))
            left += [f"{number}.{name}" for name in files.float_layers(number)]
            bar.advance()
    return tuple(left)


def quantise_stage(
    files: ExportedStages, number: int, states: States, exact: Stage, drop: Drop | None = None
) -> None:
    """Quantise a stage in its files.

    Biases are corrected in sequence where rounding costs too much otherwise. Most networks do not
    need it, and it takes several times as long. Where layers go back to floating point, each is
    corrected by itself: in sequence, the others would hold what a layer shifted that is back.

    Args:
        files: Stages; that of `number` is in f32.
        number: Number of the stage, from 1.
        states: States that it is fed.
        exact: The stage in f32, at work.
        drop: Measure of what is lost; layers are put back to floating point until it is within
            the bound, or what loses least is kept. None for none.
    """
    # Read before its files are written over; NNCF may change what it is given.
    exact_ones = iter([files.read(number) for _ in range(2 + len(_RANGES))])
    classifier = files.classifier(number)
    best = quantise(next(exact_ones), states, classifier, in_sequence=False)
    files.replace(number, best)
    if files.corrects_in_sequence:
        error = relative_error(files.run(number, exact=True), exact, states)
        if error > _LARGE_ERROR:
            best = quantise(next(exact_ones), states, classifier, in_sequence=True)
            files.replace(number, best)
    if drop is None:
        return
    highest = drop.figure(files.run(number, exact=False))
    for ranges in _RANGES:
        if highest >= WITHIN:
            break
        tried = quantise_within(next(exact_ones), states, classifier, drop, ranges)
        files.replace(number, tried)
        figure = drop.figure(files.run(number, exact=False))
        if figure > highest:
            best, highest = tried, figure
    files.replace(number, best)


def relative_error(rounded: Stage, exact: Stage, states: States) -> float:
    """Return the largest error of a tensor that a stage hands on, or of its logits.

    The error is the root of the mean square of differences, as a share of the tensor's standard
    deviation, over all states.
    """
    squares, sums, errors = [], [], []
    for feed in states:
        state = list(feed.values())
        pairs = [(np.asarray(a, np.float64), np.asarray(b, np.float64))
                 for a, b in zip(exact(state), rounded(state), strict=True)]  # fmt: skip
        squares.append([np.mean(a**2) for a, _ in pairs])
        sums.append([np.mean(a) for a, _ in pairs])
        errors.append([np.mean((a - b) ** 2) for a, b in pairs])
    variance = np.mean(squares, axis=0) - np.mean(sums, axis=0) ** 2
    return float(np.sqrt(np.mean(errors, axis=0) / np.maximum(variance, 1e-12)).max())


def quantise(model: Any, states: States, classifier: str | None, *, in_sequence: bool) -> Any:
    """Return an OpenVINO or ONNX model of one stage with int8 products.

    See `settings` and `advanced` of `endoexit.models.quantised`. Biases are corrected for what
    the rounding shifts.

    Args:
        model: An `openvino.Model`, or an `onnx.ModelProto`.
        states: States that it is fed.
        classifier: Name of the layer that gives the logits; see `settings`.
        in_sequence: Whether each bias is corrected behind the quantised layers before it, not
            layer by layer: it takes longer, and what layers shift together is corrected too.
    """
    import nncf  # noqa: PLC0415  (an extra, slow to import)

    with quiet_nncf():
        return nncf.quantize(
            model,
            nncf.Dataset(states),
            fast_bias_correction=not in_sequence,
            advanced_parameters=advanced(),
            **settings(len(states), classifier),
        )


def quantise_within(
    model: Any, states: States, classifier: str | None, drop: Drop, ranges: Ranges
) -> Any:
    """Return a model as `quantise` does, with layers in floating point to keep a bound.

    NNCF measures what it tries, but not what it then gives: look whether that is within.

    Args:
        model: An `openvino.Model`, or an `onnx.ModelProto`.
        states: States that it is fed.
        classifier: Name of the layer that gives the logits; see `settings`.
        drop: Measure of what is lost.
        ranges: Ranges of activations.
    """
    import nncf  # noqa: PLC0415  (an extra, slow to import)

    parameters = advanced(ranges)
    # SmoothQuant shares a scale between a layer's input and its weights. NNCF puts back the
    # weights of a layer that it leaves in floating point, and forgets the scale.
    parameters.smooth_quant_alphas = nncf.AdvancedSmoothQuantParameters(matmul=-1, convolution=-1)
    with quiet_nncf():
        return nncf.quantize_with_accuracy_control(
            model,
            nncf.Dataset(states),
            nncf.Dataset(range(drop.images)),
            drop.measure,
            max_drop=STEP,
            drop_type=nncf.DropType.ABSOLUTE,
            advanced_quantization_parameters=parameters,
            advanced_accuracy_restorer_parameters=nncf.AdvancedAccuracyRestorerParameters(
                ranking_subset_size=RANKING_IMAGES, num_ranking_workers=1
            ),
            **settings(len(states), classifier),
        )
