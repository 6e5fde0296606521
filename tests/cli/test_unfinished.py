"""Commands on a run whose training has not ended say so; they work all the same."""

import json
import os
import shutil

import pytest
from typer.testing import CliRunner

from endoexit.artifacts.run import open_run, write_run
from endoexit.artifacts.source import CARD, WEIGHTS
from endoexit.cli.main import app
from endoexit.errors import EndoexitError

runner = CliRunner()


@pytest.fixture
def stopped(tiny_run, tmp_path):
    """The run as a kill in its last epoch leaves it."""
    shutil.copytree(tiny_run, tmp_path / "stopped")
    (tmp_path / "stopped" / CARD).unlink()
    return tmp_path / "stopped"


def warning(run) -> str:
    return (
        f"warning: the training of {run} was stopped or is still running: this is about the "
        f"weights kept so far. Continue with: endoexit train --resume {run}\n"
    )


def test_answers_come_with_one_warning(stopped, tiny_manifest):
    image = tiny_manifest.parent / "images" / "red" / "000.png"
    result = runner.invoke(app, ["predict", str(stopped), str(image), "--json", "--threshold", "0"])
    assert result.exit_code == 0
    assert len(json.loads(result.stdout)["rows"]) == 1
    assert result.stderr.count(warning(stopped)) == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["evaluate", "{run}"],
        ["evaluate", "{complete}", "--against", "{run}"],
        ["calibrate", "{run}", "--min-accuracy", ".5"],
        ["export", "{run}", "--backend", "torch", "--out", "bundle"],
        ["bench", "{run}"],
        ["report", "{run}"],
        ["explain", "{run}", "one.png", "--out", "page"],
    ],
    ids=lambda arguments: " ".join(arguments[:2]),
)
def test_every_command_on_weights_warns_before_its_work(arguments, stopped, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "getloadavg", lambda: (0.0, 0.0, 0.0), raising=False)
    (stopped / WEIGHTS).write_bytes(b"damaged: what follows fails at once")
    shutil.copytree(stopped, tmp_path / "complete")
    (tmp_path / "complete" / CARD).touch()
    line = [text.format(run=stopped, complete=tmp_path / "complete") for text in arguments]
    result = runner.invoke(app, line)
    assert isinstance(result.exception, EndoexitError)
    assert result.stderr == warning(stopped)


def test_a_training_that_ended_and_weights_from_elsewhere_are_complete(tiny_run, tmp_path):
    run = open_run(tiny_run)
    assert run.is_complete
    config = run.config.model_copy(update={"recipe": {}})
    imported = write_run(tmp_path / "other", config, run.create_model())
    assert imported.is_complete
