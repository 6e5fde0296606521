"""A run folder is opened, or refused with what it lacks."""

import json
from pathlib import Path

import pytest
import torch

from endoexit.artifacts.run import Run, RunConfig, open_run, write_config
from endoexit.artifacts.source import BUNDLE, CONFIG
from endoexit.errors import ModelError, RunError
from endoexit.files import read_json, write_json

RELEASE = Path(__file__).resolve().parents[1] / "golden" / "release-0.1" / "run"


def test_weights_of_another_class_count_are_refused(tiny_run, tmp_path):
    document = open_run(tiny_run).config.model_dump(mode="json")
    document["classes"] = ["a", "b"]
    write_json(tmp_path / "config.json", document)
    (tmp_path / "weights.safetensors").write_bytes((tiny_run / "weights.safetensors").read_bytes())
    with pytest.raises(ModelError, match=r"classify.weight: \(3, 16\) in the file, \(2, 16\) in"):
        open_run(tmp_path).load_model()


def test_a_run_folder_that_is_none_or_lacks_something_says_so(tiny_run, tmp_path):
    with pytest.raises(RunError, match="there is no run folder"):
        open_run(tmp_path / "nowhere")
    with pytest.raises(RunError, match=r"is not a run folder: it has no config\.json"):
        open_run(tmp_path)
    document = open_run(tiny_run).config.model_dump(mode="json")
    write_json(tmp_path / "config.json", document)
    with pytest.raises(RunError, match=r"has no weights.safetensors.*endoexit train --resume"):
        open_run(tmp_path).load_model()
    write_json(tmp_path / "config.json", document | {"format_version": 99})
    with pytest.raises(RunError, match="made by a newer endoexit"):
        open_run(tmp_path)
    write_json(tmp_path / "config.json", document | {"sede": 1})
    with pytest.raises(RunError, match="is damaged at 'sede'"):
        open_run(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(RunError, match=r"config\.json is not valid JSON"):
        open_run(tmp_path)


def test_the_network_of_a_run_has_its_weights(tiny_run):
    run = open_run(tiny_run)
    model, fresh = run.load_model(), run.create_model()
    assert not model.training
    state = model.state_dict()
    assert not all(torch.equal(value, state[name]) for name, value in fresh.state_dict().items())
    assert run.config.network.num_exits == model.num_stages


def test_a_run_is_complete_with_its_card_or_without_a_recipe(tiny_run, tmp_path):
    run = open_run(tiny_run)
    assert (run.is_complete, run.has_weights) == (True, True)
    elsewhere = Run(tmp_path, run.config)
    assert (elsewhere.is_complete, elsewhere.has_weights) == (False, False)
    assert Run(tmp_path, run.config.replaced(recipe={})).is_complete  # weights of elsewhere


def test_a_manifest_that_was_changed_or_lost_is_refused(tiny_run, tmp_path):
    write_json(tmp_path / "config.json", read_json(tiny_run / "config.json", RunError))
    run = open_run(tmp_path)
    with pytest.raises(RunError, match=r"has no manifest.csv; give one with --manifest"):
        run.manifest()
    original = open_run(tiny_run).manifest()
    text = (tiny_run / "manifest.csv").read_text()
    (tmp_path / "manifest.csv").write_text(text.replace(",val\n", ",test\n", 1))
    write_json(tmp_path / "manifest.csv.json", {"root": str(original.root)})
    with pytest.raises(RunError, match=r"is not the manifest that this run was trained with"):
        run.manifest()


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
