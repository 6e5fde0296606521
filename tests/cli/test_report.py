"""`endoexit report` and `endoexit explain`, as a user runs them."""

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from endoexit.artifacts.run import MANIFEST, Run
from endoexit.cli.main import app
from endoexit.data.manifest import sidecar_path
from endoexit.errors import PolicyError, RunError
from endoexit.evaluation.study import Options, evaluate_run
from endoexit.files import read_json, write_json
from endoexit.policy import threshold_policy
from endoexit.runtime.backends.torch import supports_bf16
from endoexit.runtime.session import served_provenance
from evaluation_runs import copy_run
from tiny import save_photos
from tiny import tiny_run as untrained_run
from tiny_project import endoexit


@pytest.fixture(scope="module")
def evaluated_once(tiny_run: Path, tmp_path_factory) -> Run:
    run = copy_run(tiny_run, tmp_path_factory.mktemp("evaluated") / "run")
    evaluate_run(run, Options(timing=False, resamples=20, threshold=0.5))
    return run


@pytest.fixture
def run(evaluated_once: Run, tmp_path: Path) -> Run:
    copy = copy_run(evaluated_once.path, tmp_path / "run")
    shutil.copytree(evaluated_once.path / "logits", copy.path / "logits")
    shutil.copy(evaluated_once.path / "evaluation.json", copy.path)
    return copy


def invoke(*arguments: object):
    return CliRunner().invoke(app, [*map(str, arguments)])


def test_page_and_figures_are_written(run):
    done = endoexit("report", run.path, "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["report"] == str(run.path / "report" / "report.html")
    figures = {Path(file) for file in document["figures"]}
    assert figures == set((run.path / "report" / "figures").iterdir())
    assert {file.suffix for file in figures} == {".png", ".svg"}
    assert any("endoexit audit FOLDER" in text for text in document["missing"])
    html = Path(document["report"]).read_text(encoding="utf-8")
    assert "data:image/jpeg;base64," in html
    assert f"Written: {document['report']}" in done.stderr


def test_images_that_are_gone_leave_gaps_in_the_gallery(run, tmp_path):
    sidecar = sidecar_path(run.path / MANIFEST)
    images = tmp_path / "copy"
    shutil.copytree(run.manifest().root / "images", images / "images")
    for path in (images / "images" / "red").iterdir():
        path.unlink()
    write_json(sidecar, read_json(sidecar) | {"root": str(images)})
    done = invoke("report", run.path, "--out", tmp_path / "out")
    assert done.exit_code == 0, done.exception
    assert "images of the gallery are gone or cannot be read." in done.stdout
    html = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "The image is not there any more." in html


def test_a_run_that_was_not_evaluated_names_the_command(run):
    (run.path / "evaluation.json").unlink()
    done = endoexit("report", run.path)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith(f"error: there is no {run.path / 'evaluation.json'}")
    assert f"endoexit evaluate {run.path}" in done.stderr
    assert not (run.path / "report").exists()


def test_another_evaluation_can_be_shown(run, tmp_path):
    evaluate_run(run, Options(role="val", timing=False, resamples=20, threshold=0.5))
    other = run.path / "evaluation-val.json"
    done = invoke("report", run.path, "--evaluation", other, "--out", tmp_path / "out")
    assert done.exit_code == 0, done.exception
    html = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "These are val images: these images chose the epoch" in html


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
        assert answers == [("exit 1", False), ("exit 2", False), ("exit 3", False), ("final", True)]
    assert Path(document["page"]).is_file()
    assert all(Path(file).is_file() for file in document["pictures"])
    assert "warning: " in done.stderr


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
        assert "this processor does not compute in bf16" in str(done.exception)
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
