"""The measurements of the exit paper's Table 3, to be compared with one's measurements.

Nguyen, Phan, Pham: Early Exit Based on Deep Learning Model for Polyp Colonoscopy Image
Classification. JTE, 2025, doi:10.54644/jte.2025.1721. Kvasir v1, 8 classes, Xeon W-2133.
"""

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class PaperPoint:
    """One row of the table, relative to its first, HiFuse.

    Attributes:
        name: Name of the row.
        gain: Accuracy minus that of HiFuse.
        time: Time as a share of that of HiFuse.
        operations: "FLOPs" as a share of those of HiFuse.
    """

    name: str
    gain: float
    time: float
    operations: float


def _points() -> tuple[PaperPoint, ...]:
    accuracy, seconds, operations = 0.866, 0.1865, 18.142
    rows = (
        ("exit 1", 0.828, 0.0372, 4.241),
        ("exit 2", 0.881, 0.0629, 8.648),
        ("exit 3", 0.871, 0.1269, 13.747),
        ("final", 0.881, 0.1920, 18.144),
    )
    return tuple(
        PaperPoint(name, right - accuracy, time / seconds, work / operations)
        for name, right, time, work in rows
    )


def is_papers(model: str) -> bool:
    """Tell whether a network of the catalog is one of the paper's, or HiFuse without exits."""
    return re.fullmatch(r"(ee_)?hifuse_\w+", model) is not None


PAPER = _points()
