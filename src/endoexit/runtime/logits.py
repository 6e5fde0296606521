"""Logits of all exits on one role: computed once, kept, and found again by their key."""

import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from endoexit.data.manifest import Cohort
from endoexit.files import replacing, sha256_bytes, write_json
from endoexit.images.cache import contents_sha256
from endoexit.policy.distance import Features
from endoexit.policy.logits import LogitSet
from endoexit.precision import Precision

FORMAT_VERSION = 1


@dataclass(frozen=True)
class RoleLogits:
    """Logits of all exits on the images of one role.

    Attributes:
        role: Role of the images.
        logits: Logits of M exits on N images for C classes, (M, N, C), float32, finite.
        labels: Class indices, (N,), int64.
        groups: Names of the groups, (N,).
        paths: Names of the images, relative to the root of the data; N of them.
        classes: Class names in the order of the logits; C of them.
        precision: Precision of the logits.
        contents_sha256: Hash of the content of the images.
        file: File of the logits.
        features: Features (N, D) of the images at exit 1, computed when they are asked for; None
            where nothing computes them.
    """

    role: str
    logits: NDArray[np.float32]
    labels: NDArray[np.int64]
    groups: NDArray[Any]
    paths: tuple[str, ...]
    classes: tuple[str, ...]
    precision: Precision
    contents_sha256: str
    file: Path
    features: Features | None = field(default=None, repr=False)

    def as_set(self) -> LogitSet:
        """Return them in the form on which policies are fitted."""
        return LogitSet(self.role, self.logits, self.labels, self.groups, self.features)


def kept_logits(
    folder: Path,
    cohort: Cohort,
    precision: Precision,
    facts: dict[str, str],
    compute: Callable[[Cohort], NDArray[np.float32]],
) -> RoleLogits:
    """Return the logits of a cohort: those that are kept under its key, else computed and kept.

    Args:
        folder: Folder of the logits.
        cohort: Images of one role.
        precision: Precision in which they are computed.
        facts: Name and value of everything else that they depend on.
        compute: Function that computes them, (M, N, C).

    Raises:
        DataError: Images cannot be read.
    """
    contents = contents_sha256(cohort.images)
    facts = facts | {
        "format": str(FORMAT_VERSION),
        "role": cohort.role,
        "precision": str(precision),
        "classes": ", ".join(cohort.classes),
        "images_sha256": contents,
    }
    key = sha256_bytes(repr(sorted(facts.items())).encode())[:16]
    file = folder / f"{cohort.role}-{key}.npz"
    logits = _stored(file)
    if logits is None:
        logits = compute(cohort)
        _store(file, logits, cohort, facts)
    return RoleLogits(
        role=cohort.role,
        logits=logits,
        labels=cohort.labels,
        groups=cohort.groups,
        paths=cohort.names,
        classes=cohort.classes,
        precision=precision,
        contents_sha256=contents,
        file=file,
    )


def _stored(file: Path) -> NDArray[np.float32] | None:
    """Return logits that are kept; None when there are none, or the file is damaged."""
    try:
        # Opened here: np.load leaves a damaged archive open.
        with file.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
            logits: NDArray[np.float32] = archive["logits"]
            return logits
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error):
        return None


def _store(
    file: Path,
    logits: NDArray[np.float32],
    cohort: Cohort,
    facts: dict[str, str],
) -> None:
    write_json(file.with_suffix(".json"), facts | {"classes": list(cohort.classes)})
    with replacing(file) as temporary, temporary.open("wb") as stream:
        np.savez_compressed(
            stream,
            logits=logits,
            labels=cohort.labels,
            groups=cohort.groups,
            paths=np.array(cohort.names),
        )
