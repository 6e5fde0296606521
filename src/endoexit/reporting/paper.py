"""The measurements of the exit paper's Table 3, to be compared with.

Nguyen, Phan, Pham: Early Exit Based on Deep Learning Model for Polyp Colonoscopy Image
Classification. JTE, 2025, doi:10.54644/jte.2025.1721. Kvasir v1, 8 classes, Xeon W-2133.
"""

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class PrintedRow:
    """One row of the table as it is printed, under the name that evaluations give it.

    Attributes:
        name: Name of the row; "twin" for HiFuse.
        accuracy: Share of right answers.
        seconds: Time of an image.
        parameters_m: "Params (M)".
        operations_g: "FLOPs (G)".
    """

    name: str
    accuracy: float
    seconds: float
    parameters_m: float
    operations_g: float


PRINTED = (
    PrintedRow("twin", 0.866, 0.1865, 121.614, 18.142),
    PrintedRow("exit 1", 0.828, 0.0372, 1.357, 4.241),
    PrintedRow("exit 2", 0.881, 0.0629, 6.938, 8.648),
    PrintedRow("exit 3", 0.871, 0.1269, 32.798, 13.747),
    PrintedRow("final", 0.881, 0.1920, 121.695, 18.144),
)


@dataclass(frozen=True)
class PaperPoint:
    """One row of the table compared with its first, HiFuse.

    Attributes:
        name: Name of the row.
        gain: Its accuracy minus HiFuse's.
        time: Its time as a share of HiFuse's.
        operations: Its "FLOPs" as a share of HiFuse's.
    """

    name: str
    gain: float
    time: float
    operations: float


def _points() -> tuple[PaperPoint, ...]:
    first, *rows = PRINTED
    return tuple(
        PaperPoint(
            row.name,
            row.accuracy - first.accuracy,
            row.seconds / first.seconds,
            row.operations_g / first.operations_g,
        )
        for row in rows
    )


def is_papers(model: str) -> bool:
    """Tell whether a network of the catalog is one of the paper's, or HiFuse without exits."""
    return re.fullmatch(r"(ee_)?hifuse_\w+", model) is not None


PAPER = _points()
