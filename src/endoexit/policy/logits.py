"""Logits of all exits on a labelled cohort: what every fit and every test starts from."""

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from endoexit.errors import PolicyError
from endoexit.naming import naming
from endoexit.policy.distance import Features


@dataclass(frozen=True, eq=False)
class LogitSet:
    """Logits of all exits on one cohort.

    Attributes:
        name: The cohort, for messages, such as "calibrate".
        logits: (M, N, C) finite.
        labels: (N,) class indices.
        groups: (N,) group of each image (patient, video, near-copies), if known.
        features: Features (N, D) at exit 1, if they can be had.

    Raises:
        PolicyError: Shapes that do not fit, no image, labels out of range, logits not finite.
    """

    name: str
    logits: NDArray[Any]
    labels: NDArray[np.int64]
    groups: NDArray[Any] | None = None
    features: Features | None = None

    def __post_init__(self) -> None:
        shape = self.logits.shape
        if len(shape) != 3 or 0 in shape or shape[2] < 2:
            raise PolicyError(
                f"{self.name}: logits have shape {shape}, but must be (exits, images, classes) "
                "with at least one image and two classes."
            )
        if self.labels.shape != (shape[1],) or (
            self.groups is not None and self.groups.shape != (shape[1],)
        ):
            raise PolicyError(
                f"{self.name}: {shape[1]} images need as many labels and groups, in their order."
            )
        if self.groups is not None and any(group is None for group in self.groups.tolist()):
            raise PolicyError(
                f"{self.name}: an image has None for a group: name a group for every image, or "
                "give no groups."
            )
        if not (np.issubdtype(self.labels.dtype, np.integer)
                and self.labels.min() >= 0 and self.labels.max() < shape[2]):  # fmt: skip
            raise PolicyError(
                f"{self.name}: labels must be class indices 0 to {shape[2] - 1}; "
                "were the logits made with other classes?"
            )
        if not np.isfinite(self.logits).all():
            raise PolicyError(
                f"{self.name}: logits hold NaN or infinity; check the network's weights and "
                "numeric precision."
            )

    @property
    def num_exits(self) -> int:
        """M."""
        return int(self.logits.shape[0])

    @property
    def num_images(self) -> int:
        """N."""
        return int(self.logits.shape[1])

    @property
    def num_classes(self) -> int:
        """C."""
        return int(self.logits.shape[2])

    @functools.cached_property
    def predictions(self) -> NDArray[np.int64]:
        """(M, N) class that each exit answers."""
        return np.asarray(self.logits.argmax(axis=2))

    @functools.cached_property
    def correct(self) -> NDArray[np.bool_]:
        """(M, N) whether each exit is right."""
        return np.asarray(self.predictions == self.labels)

    @property
    def final_accuracy(self) -> float:
        """Share of images that the final exit names right."""
        return float(self.correct[-1].mean())


def require_disjoint(calibrate: LogitSet, certify: LogitSet) -> None:
    """Refuse a calibrate and a certify cohort that share a group or an image.

    Without groups, an image counts as shared when all its logits are the same.

    Raises:
        PolicyError: Shared groups or images, or another number of exits or classes.
    """
    shapes = [(data.num_exits, data.num_classes) for data in (calibrate, certify)]
    if shapes[0] != shapes[1]:
        raise PolicyError(
            f"calibrate has (exits, classes) {shapes[0]}, certify {shapes[1]}: "
            "make both from the same network."
        )
    if calibrate.groups is not None and certify.groups is not None:
        shared = sorted({str(group) for group in np.intersect1d(calibrate.groups, certify.groups)})
        if shared:
            example = f" (such as {shared[0]})" if naming().shows_paths else ""
            raise PolicyError(
                f"{len(shared)} groups are in calibrate and in certify{example}: what is certified "
                "must be new. Split by group with `endoexit split`."
            )
        return
    known = set(_fingerprints(calibrate))
    again = sum(image in known for image in _fingerprints(certify))
    if again:
        raise PolicyError(
            f"{again} images of certify have the very logits of calibrate images: what is "
            "certified must be new. Drop duplicates and split with `endoexit split`."
        )


def _fingerprints(data: LogitSet) -> list[bytes]:
    """Return the bits of all logits of each image."""
    images = np.ascontiguousarray(data.logits.transpose(1, 0, 2), dtype=np.float64)
    return [image.tobytes() for image in images]
