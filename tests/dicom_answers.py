"""Rows of predictions on files, and what wrote them, for tests of DICOM output."""

from pathlib import Path

import numpy as np

from endoexit.errors import ImageError
from endoexit.images.reference import ImageRef
from endoexit.policy.referral import Reason
from endoexit.runtime.outputs.dicom.answers import ModelFacts
from endoexit.runtime.prediction import Prediction
from endoexit.runtime.predictor import PredictedRow

CLASSES = ("esophagitis", "normal-cecum", "Pólyp")
WEIGHTS = "0123456789abcdef" * 4
PROMISE = "accuracy loss of at most 1 % on new images, with probability 0.95"
MODEL = ModelFacts(
    "ee_hifuse_nano", "0.1.0", WEIGHTS, "torch-f32", 4, CLASSES,
    "policy.json: guarantee", "fedcba9876543210" * 4, (PROMISE,),
)  # fmt: skip


def row(
    index: int,
    path: Path,
    frame: int = 0,
    *,
    label: int = 2,
    exit_: int = 2,
    referred: Reason | None = None,
    cut_short: bool = False,
) -> PredictedRow[ImageRef]:
    """Return a row with an answer of probability 0.875."""
    probabilities = np.full(len(CLASSES), 0.0625)
    probabilities[label] = 0.875
    said = Prediction(
        label, probabilities, exit_, (1.0,) * exit_, cut_short=cut_short, referred=referred
    )
    return PredictedRow(index, ImageRef(path, frame), said)


def broken(index: int, path: Path, frame: int = 0) -> PredictedRow[ImageRef]:
    """Return a row of an image that could not be read."""
    return PredictedRow(index, ImageRef(path, frame), error=ImageError("is damaged: remove it."))
