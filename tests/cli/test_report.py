"""`endoexit report`, as a user runs it."""

import json
import shutil
from pathlib import Path

import pytest

from endoexit.artifacts.run import Run
from endoexit.artifacts.source import MANIFEST
from endoexit.data.manifest import sidecar_path
from endoexit.evaluation.study import Options, evaluate_run
from endoexit.files import read_json, write_json
from endoexit.runtime.session import open_session
from evaluation_runs import copy_run
from tiny_project import endoexit


@pytest.fixture(scope="module")
def evaluated_once(tiny_run: Path, tmp_path_factory) -> Run:
    run = copy_run(tiny_run, tmp_path_factory.mktemp("evaluated") / "run")
    evaluate_run(open_session(run, threshold=0.5), Options(timing=False, resamples=20))
    return run


@pytest.fixture
def run(evaluated_once: Run, tmp_path: Path) -> Run:
    copy = copy_run(evaluated_once.path, tmp_path / "run")
    shutil.copytree(evaluated_once.path / "logits", copy.path / "logits")
    shutil.copy(evaluated_once.path / "evaluation.json", copy.path)
    return copy


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
    done = endoexit("report", run.path, "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
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
    evaluate_run(open_session(run, threshold=0.5), Options(role="val", timing=False, resamples=20))
    evaluation = run.path / "evaluation-val.json"
    done = endoexit("report", run.path, "--evaluation", evaluation, "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    html = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "These are val images: these images chose the epoch" in html
