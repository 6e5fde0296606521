"""Bundles of the tiny run, made when a test first asks for them."""

from functools import cache
from pathlib import Path
from unittest import mock

import pytest

from endoexit.artifacts.bundle import Bundle
from endoexit.artifacts.run import Run
from endoexit.evaluation.fitting import calibrate_run
from endoexit.exporting import quantise
from endoexit.exporting.export import ExportOptions, export_run
from endoexit.policy.goal_options import make_goal
from endoexit.precision import BackendName, NumberFormat
from endoexit.runtime.backends.choice import has_bf16
from endoexit.runtime.session import open_session
from evaluation_runs import copy_run

GOAL = {"mean_exit_cost": 0.6}
FEW = 16  # images that int8 is fitted on
# ONNX Runtime is asked for no bf16, so it does the same in the second run of the precision tests.
COMBINATIONS = [
    *(
        pytest.param(backend, precision, marks=pytest.mark.precision)
        for backend, precision in (
            ("openvino", "f32"), ("openvino", "bf16"), ("openvino", "int8"),
            ("torch", "f32"), ("torch", "bf16"),
        )
    ),
    ("onnx", "f32"),
    ("onnx", "int8"),
]  # fmt: skip


class BundleMaker:
    """Exports one run in any form, each form once.

    A test that asks for bf16 is skipped where the processor does not compute in it.

    Args:
        original: Tiny run, which is copied.
        folder: Folder for the copy and the bundles.
    """

    def __init__(self, original: Path, folder: Path) -> None:
        self.run: Run = copy_run(original, folder / "run")
        calibrate_run(open_session(self.run), make_goal(**GOAL))
        self._folder = folder
        self.make = cache(self._make)

    def _make(self, backend: BackendName, precision: NumberFormat) -> Bundle:
        if precision == "bf16":
            require_bf16(backend)
        options = ExportOptions(backend, precision, accept_drop=True, command="endoexit export …")
        out = self._folder / f"{backend}-{precision}"
        with mock.patch.object(quantise, "IMAGES", FEW):  # each costs a pass over all stages
            return export_run(open_session(self.run), out, options).bundle


def require_bf16(backend: BackendName) -> None:
    """Skip the test where a backend does not compute in bf16 on this processor."""
    if not has_bf16(backend):
        pytest.skip(f"{backend} does not compute in bf16 on this processor")
