"""Make the manifests of the study on real images.

The test and training images are those of the prototypes' splits (benchmarks/splits,
groups of near-copies kept together), so that figures can be compared image by image. The
prototypes knew no certify role: their val and calibrate images are shared out anew, by
group, seed 0. Where nothing is certified, the images of certify are calibrate images as well.
"""

import argparse
import os
from pathlib import Path

import numpy as np

from endoexit.data.manifest import Manifest, read_manifest, write_manifest
from endoexit.data.roles import assign_roles
from endoexit.data.rows import ManifestRow

HERE = Path(__file__).resolve().parent
SHARES = {"val": 0.25, "calibrate": 0.3, "certify": 0.45}


def data_folder() -> Path:
    """Return the folder with the real images: ENDOEXIT_DATA, else one next to the checkout."""
    return Path(os.environ.get("ENDOEXIT_DATA", HERE.parents[1] / "shared" / "data"))


def make_manifest(name: str, path: Path, *, certify: bool = True) -> Manifest:
    """Write the manifest of `name` ("colonoscopy" or "otoscopy") to `path`.

    Args:
        name: Name of the data set.
        path: File to write.
        certify: Whether there is a role certify; without it, its images are calibrate images.
    """
    prototype = read_manifest(HERE / "splits" / f"{name}_prototype_split.csv", data_folder() / name)
    free = [row for row in prototype.rows if row.role in {"val", "calibrate"}]
    classes = prototype.classes
    labels = np.array([classes.index(row.label) for row in free])
    groups = np.unique([row.group for row in free], return_inverse=True)[1]
    roles = assign_roles(labels, groups, SHARES, 0, classes)
    if not certify:
        roles = ["calibrate" if role == "certify" else role for role in roles]
    new = {row.path: role for row, role in zip(free, roles, strict=True)}
    rows = [ManifestRow(r.path, r.label, r.group, new.get(r.path, r.role)) for r in prototype.rows]
    return write_manifest(path, rows, prototype.root, {"made_by": "benchmarks/real_split.py"})


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=["colonoscopy", "otoscopy"])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--no-certify", action="store_true")
    arguments = parser.parse_args()
    manifest = make_manifest(arguments.name, arguments.out, certify=not arguments.no_certify)
    for role, counts in manifest.counts().items():
        print(f"{role:10} {sum(counts.values()):5}  {counts}")
