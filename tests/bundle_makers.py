"""Bundles of the tiny run, made when a test first asks for them."""

import contextlib
import shutil
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from endoexit.artifacts.bundle import Bundle
from endoexit.artifacts.run import Run
from endoexit.evaluation.fitting import calibrate_run
from endoexit.exporting import stage_files
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
    """Exports one run in any form, each form once; graphs that forms share are written once.

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
        options = ExportOptions(
            backend,
            precision,
            accept_drop=True,
            range_images=FEW if precision == "int8" else None,  # each costs a pass over all stages
            command="endoexit export …",
        )
        out = self._folder / f"{backend}-{precision}"
        with self.graphs_once():
            return export_run(open_session(self.run), out, options).bundle

    @contextlib.contextmanager
    def graphs_once(self) -> Iterator[None]:
        """Have exports of the run, or of copies of it, take graphs that were written before.

        Every precision begins with the same graphs in f32. To write them is most of an export.
        """
        with contextlib.ExitStack() as stack:
            for name in ("write_openvino", "write_onnx"):
                write = _once(getattr(stage_files, name), self._folder / name)
                stack.enter_context(mock.patch.object(stage_files, name, write))
            yield


def _once(write: Callable[..., None], kept: Path) -> Callable[..., None]:
    """Return a function that writes each graph into `kept` the first time, and copies it."""

    def written(graph: Any, example: Any, path: Path, names: Any) -> None:
        if not (kept / path.name).exists():
            kept.mkdir(exist_ok=True)
            write(graph, example, kept / path.name, names)
        for file in kept.glob(f"{path.stem}.*"):
            shutil.copy(file, path.parent)

    return written


def require_bf16(backend: BackendName) -> None:
    """Skip the test where a backend does not compute in bf16 on this processor."""
    if not has_bf16(backend):
        pytest.skip(f"{backend} does not compute in bf16 on this processor")
