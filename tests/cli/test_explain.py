"""`endoexit explain`, as a user runs it."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from endoexit.cli.main import app
from endoexit.errors import PolicyError, RunError
from endoexit.policy import threshold_policy
from endoexit.policy.referral import Referral, Unlike
from endoexit.runtime.backends.torch import supports_bf16
from endoexit.runtime.deciding import served_provenance
from tiny import save_photos
from tiny import tiny_run as untrained_run
from tiny_project import endoexit


def invoke(*arguments: object):
    return CliRunner().invoke(app, [*map(str, arguments)])


def test_single_images_are_explained(tmp_path):
    run = untrained_run(tmp_path / "run")
    photos = save_photos(tmp_path / "photos", 2)
    done = endoexit(
        "explain", run.path, photos, tmp_path / "no.png", "--out", tmp_path / "out", "--json"
    )
    assert done.returncode == 1  # one of three could not be read
    document = json.loads(done.stdout)
    assert [Path(image["path"]).name for image in document["images"]] == ["0.png", "1.png"]
    assert [entry["path"] for entry in document["failed"]] == [str(tmp_path / "no.png")]
    for image in document["images"]:
        answers = [(entry["exit"], entry["answers"]) for entry in image["exits"]]
        assert (image["status"], image["reason"], image["leans_to"]) == ("answered", None, None)
        assert answers == [("exit 1", False), ("exit 2", False), ("exit 3", False), ("final", True)]
    assert Path(document["page"]).is_file()
    assert all(Path(file).is_file() for file in document["pictures"])
    assert "warning: " in done.stderr


def test_a_referred_image_has_its_reason_and_no_answer(tmp_path):
    run = untrained_run(tmp_path / "run")
    photo = save_photos(tmp_path / "photos", 1) / "0.png"
    unlike = Unlike(thresholds=(99.0, -99.0, 99.0, 99.0), share=0.1)
    policy = threshold_policy(4, 1.0).replaced(referral=Referral(unlike=unlike))
    policy.write(run.path / "policy.json")
    done = invoke("explain", run.path, photo, "--out", tmp_path / "out", "--json")
    assert done.exit_code == 0, done.exception
    (image,) = json.loads(done.stdout)["images"]
    assert (image["status"], image["reason"]) == ("referred", "unlike")
    assert image["leans_to"] == image["exits"][1]["label"]
    assert [entry["answers"] for entry in image["exits"]] == [False] * 4
    assert not image["synthetic"]


@pytest.mark.precision
def test_what_was_calibrated_at_a_precision_is_explained_at_it(tmp_path):
    run = untrained_run(tmp_path / "run")
    photo = save_photos(tmp_path / "photos", 1) / "0.png"
    fitted = {"provenance": served_provenance(run, "torch-bf16")}
    threshold_policy(4, 0.5).replaced(**fitted).write(run.path / "policy.json")
    arguments = ("explain", run.path, photo, "--out", tmp_path / "out")
    refused = invoke(*arguments)
    assert isinstance(refused.exception, PolicyError)
    assert "precision 'torch-bf16', served 'torch-f32'" in str(refused.exception)
    done = invoke(*arguments, "--precision", "bf16")
    if not supports_bf16():
        assert "bf16, which this processor does not" in str(done.exception)
        return
    assert done.exit_code == 0, done.exception
    assert "and 5 pictures next to it." in done.stdout


@pytest.mark.slow
@pytest.mark.xdist_group("bundles")
def test_a_bundle_without_attention_has_one_picture_of_an_image(bundles, tmp_path):
    photo = bundles.run.manifest().cohort("test").images[0].path
    bundle = bundles.make("openvino", "f32").path
    done = invoke("explain", bundle, photo, "--out", tmp_path / "out", "--precision", "f32")
    assert done.exit_code == 0, done.exception
    assert "and 1 picture next to it." in done.stdout


def test_explaining_needs_a_run(tmp_path):
    result = invoke("explain", tmp_path / "nowhere", "a.png", "--out", tmp_path / "out")
    assert isinstance(result.exception, RunError)
    assert "`endoexit train` makes one" in str(result.exception)
