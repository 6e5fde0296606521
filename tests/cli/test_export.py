"""`endoexit export`, and the commands that take a bundle."""

import csv
import io
import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from endoexit.artifacts.bundle import open_bundle
from endoexit.artifacts.source import MANIFEST
from endoexit.cli.main import app
from endoexit.errors import RunError, UsageError
from evaluation_runs import copy_run

pytestmark = [pytest.mark.precision, pytest.mark.xdist_group("bundles")]
runner = CliRunner()


def endoexit(*arguments):
    return runner.invoke(app, list(map(str, arguments)))


@pytest.fixture(scope="module")
def exported(bundles, tmp_path_factory):
    """What the command says of a run that it exports, and where to."""
    folder = tmp_path_factory.mktemp("exported")
    run = copy_run(bundles.run.path, folder / "run")
    out = folder / "my bundle"
    return endoexit("export", run.path, "--out", out, "--accept-drop"), out


def test_the_table_and_the_next_command_are_printed(exported):
    result, out = exported
    assert result.exit_code == 0
    assert "ee_hifuse_nano, openvino f32; accuracy on calibrate" in result.stdout
    assert "Policy for openvino-f32: mean cost <= 0.6 of the whole network." in result.stdout
    assert f"Use it: endoexit predict '{out}' IMAGES" in result.stdout
    size = sum(file.stat().st_size for file in out.rglob("*") if file.is_file())
    assert f"Written: {out} ({size / 2**20:.1f} MiB)" in result.stdout


def test_json_is_one_document(bundles, tmp_path):
    run = copy_run(bundles.run.path, tmp_path / "run")
    result = endoexit("export", run.path, "--backend", "torch", "--out", tmp_path / "b", "--json")
    document = json.loads(result.stdout)
    assert document["bundle"] == open_bundle(tmp_path / "b").config.model_dump(mode="json")
    assert document["policies"]["torch-f32"]["request"]["goal"] == {
        "kind": "cost_limit", "limit": 0.6, "unit": "relative"
    }  # fmt: skip
    assert document["without"] == ""


def test_predict_takes_a_bundle(exported, bundles):
    _, out = exported
    paths = bundles.run.manifest().cohort("test").images
    result = endoexit("predict", out, *paths, "--threads", "1")
    assert result.exit_code == 0
    rows = list(csv.DictReader(io.StringIO(result.stdout)))
    assert [row["path"] for row in rows] == list(map(str, paths))
    beside = endoexit("predict", bundles.run.path, *paths, "--threads", "1")
    for row, expected in zip(rows, csv.DictReader(io.StringIO(beside.stdout)), strict=True):
        assert (row["label"], row["exit"]) == (expected["label"], expected["exit"])
        assert float(row["probability"]) == pytest.approx(float(expected["probability"]), abs=1e-3)


def test_evaluate_takes_a_bundle_and_a_manifest(exported, bundles):
    _, out = exported
    result = endoexit(
        "evaluate", out, "--manifest", bundles.run.path / MANIFEST, "--no-timing", "--json"
    )
    assert result.exit_code == 0
    written = out.parent / "my bundle-evaluation" / "evaluation.json"
    assert f"Written: {written}\n" in result.stderr
    assert json.loads(written.read_text()) == json.loads(result.stdout)
    logits = next(line for line in result.stderr.splitlines() if line.startswith("Logits: "))
    assert Path(logits.removeprefix("Logits: ")).is_file()
    document = json.loads(result.stdout)
    assert document["run"]["precision"] == "openvino-f32"
    assert document["run"]["weights_sha256"] == open_bundle(out).weights_sha256


def test_a_report_of_a_bundle_lies_beside_it(exported, bundles, tmp_path):
    original, folder = exported[1], tmp_path / "bundle"
    shutil.copytree(original, folder)
    before = sorted(folder.rglob("*"))
    evaluated = endoexit(
        "evaluate", folder, "--manifest", bundles.run.path / MANIFEST, "--no-timing"
    )
    assert evaluated.exit_code == 0, evaluated.exception
    result = endoexit("report", folder, "--json")
    assert result.exit_code == 0, result.exception
    page = tmp_path / "bundle-evaluation" / "report" / "report.html"
    assert json.loads(result.stdout)["report"] == str(page)
    assert sorted(folder.rglob("*")) == before
    assert open_bundle(folder).config == open_bundle(original).config
    inside = endoexit("report", folder, "--out", folder / "report")
    assert isinstance(inside.exception, UsageError)
    assert "into which nothing is written" in str(inside.exception)
    elsewhere = tmp_path / "elsewhere"
    (tmp_path / "bundle-evaluation").rename(elsewhere)
    lost = endoexit("report", folder)
    assert isinstance(lost.exception, RunError)
    again = endoexit("report", folder, "--evaluation", elsewhere / "evaluation.json", "--json")
    assert not any("logits" in text for text in json.loads(again.stdout)["missing"])


def test_calibrate_names_the_run_instead(exported):
    _, out = exported
    result = endoexit("calibrate", out, "--mean-exit-cost", "0.5")
    assert isinstance(result.exception, RunError)
    assert "name the run that it was exported from" in str(result.exception)


def test_export_says_what_an_example_is():
    assert "Example: endoexit export runs/nano --precision bf16" in " ".join(
        endoexit("export", "--help").stdout.replace("│", " ").replace("`", "").split()
    )
