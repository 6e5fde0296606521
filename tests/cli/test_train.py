"""`endoexit train`: what it says at its end."""

from pathlib import Path

import pytest

from endoexit.artifacts.run import Run, RunConfig
from endoexit.cli.train import _next_command
from endoexit.data.manifest import write_manifest
from endoexit.data.rows import Row
from tiny import CLASSES, PREPROCESSING, SETTINGS, save_photos


@pytest.mark.parametrize(
    ("model", "role", "command"),
    [
        ("ee_hifuse_nano", "calibrate", "calibrate {} --max-accuracy-drop 0.01"),
        ("ee_hifuse_nano", "test", "evaluate {}"),
        ("hifuse_nano", "calibrate", "evaluate {}"),  # one exit: nothing to choose
    ],
)
def test_the_next_command_fits_the_run(model: str, role: str, command: str, tmp_path: Path) -> None:
    save_photos(tmp_path, len(CLASSES))
    rows = [Row(f"{number}.png", label, label, role) for number, label in enumerate(CLASSES)]
    write_manifest(tmp_path / "manifest.csv", rows, tmp_path)
    config = RunConfig(
        model=model, overrides=SETTINGS, classes=CLASSES, preprocessing=PREPROCESSING
    )
    assert _next_command(Run(tmp_path, config)) == f"endoexit {command.format(tmp_path)}"
