"""The document of a run: what release 0.1.0 wrote, and what is written now."""

import json
from pathlib import Path

import pytest

from endoexit.artifacts.run import RunConfig, open_run, write_config
from endoexit.artifacts.source import BUNDLE, CONFIG
from endoexit.errors import RunError
from endoexit.files import read_json, write_json

RELEASE = Path(__file__).resolve().parents[1] / "golden" / "release-0.1" / "run"


def test_the_precision_of_training_has_its_own_name_now(tmp_path):
    old = json.loads((RELEASE / CONFIG).read_text())
    assert old["format_version"] == 1
    config = open_run(RELEASE).config
    assert config.training_precision == old["precision"]
    write_config(tmp_path, config)
    new = read_json(tmp_path / CONFIG)
    assert (new["format_version"], new["training_precision"]) == (2, old["precision"])
    assert "precision" not in new
    assert open_run(tmp_path).config == config


def test_a_newer_format_is_refused(tmp_path):
    document = json.loads((RELEASE / CONFIG).read_text())
    write_json(tmp_path / CONFIG, document | {"format_version": 3})
    with pytest.raises(RunError, match=r"newer endoexit.*format 3, this one reads up to 2"):
        open_run(tmp_path)


def test_a_run_needs_classes():
    with pytest.raises(ValueError, match="classes"):
        RunConfig(model="ee_hifuse_nano", classes=(), preprocessing={"size": 32})


def test_a_bundle_is_not_opened_as_a_run(tmp_path):
    (tmp_path / BUNDLE).write_text("{}")
    with pytest.raises(RunError, match=r"is a bundle.*name the run that it was exported from"):
        open_run(tmp_path)
