"""`endoexit cascade`, and every command on what it makes."""

import csv
import json

import pytest

from cascade_runs import LARGE, member_run
from endoexit.data.manifest import read_manifest, write_manifest
from endoexit.data.rows import ManifestRow
from tiny_project import endoexit


@pytest.fixture(scope="module")
def folder(tiny_manifest, tmp_path_factory):
    folder = tmp_path_factory.mktemp("cascade")
    member_run(folder / "small", tiny_manifest)
    member_run(folder / "large", tiny_manifest, LARGE, 1, ())
    return folder


def done(*words, **options):
    result = endoexit(*words, **options)
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.fixture(scope="module")
def made(folder):
    return endoexit("cascade", folder / "small", folder / "large", "--out", folder / "cascade",
                    "--combine", "mean", "--json")  # fmt: skip


@pytest.fixture(scope="module")
def cascade(made, folder):
    assert made.returncode == 0, made.stderr
    return folder / "cascade"


def test_it_says_which_exit_is_whose_and_what_each_costs(made, cascade):
    rows = [line.split() for line in made.stderr.splitlines() if line[1:2].isdigit()]
    assert [row[:3] for row in rows] == [["1", "small", "32"], ["2", "small", "32"],
                                         ["3", "large", "64"]]  # fmt: skip
    assert f"Next: endoexit calibrate {cascade}" in made.stderr
    document = json.loads(made.stdout)
    assert document["run"] == str(cascade)
    assert document["config"]["overrides"]["combine"] == "mean"
    assert [f"{macs / 1e9:.3g}" for macs in document["macs"]] == [row[3] for row in rows]


@pytest.mark.slow
def test_it_is_evaluated_predicts_and_is_reported(cascade, tiny_manifest, tmp_path):
    done("calibrate", cascade, "--mean-exit-cost", "0.6")
    done("evaluate", cascade, "--no-timing")
    evaluation = json.loads((cascade / "evaluation.json").read_text())
    names = [row["name"] for row in evaluation["rows"]]
    assert names == ["exit 1", "exit 2", "final", "adaptive"]
    images = sorted((tiny_manifest.parent / "images" / "red").iterdir())[:4]
    done("predict", cascade, *images, "--out", tmp_path / "answers.csv")
    rows = list(csv.DictReader((tmp_path / "answers.csv").read_text().splitlines()))
    assert [row["error"] for row in rows] == [""] * 4
    assert all(row["exit"] in "123" for row in rows)
    done("report", cascade, "--out", tmp_path / "report")
    page = (tmp_path / "report" / "report.html").read_text()
    assert "small, ee_hifuse_nano at 32×32 pixels, exits 1 to 2" in page
    assert "see the reports of its members" in page
    done("explain", cascade, images[0], "--out", tmp_path / "explained")
    assert len(list((tmp_path / "explained" / "images").iterdir())) == 4  # image, three exits


def test_it_is_not_trained(cascade, tiny_manifest, tmp_path):
    resumed = endoexit("train", "--resume", cascade)
    assert resumed.returncode == 1
    assert "is a cascade, which is put together and not trained" in resumed.stderr
    assert "members (small, large)" in resumed.stderr
    begun = endoexit("train", tiny_manifest, "--model", "cascade", "--out", tmp_path / "run")
    assert begun.returncode == 2
    assert "endoexit cascade RUN RUN --out DIR" in begun.stderr
    assert not (tmp_path / "run").exists()


def test_a_leaking_image_is_called_as_the_user_asks(folder, tiny_manifest, tmp_path):
    manifest = read_manifest(tiny_manifest)
    rows = [ManifestRow(row.path, row.label, row.group, "train") for row in manifest.rows]
    learnt = write_manifest(tmp_path / "all.csv", rows, manifest.root).path
    member_run(tmp_path / "member", learnt)
    line = ("cascade", tmp_path / "member", folder / "large", "--out", tmp_path / "out")
    shown, hidden = endoexit(*line), endoexit(*line, "--names", "index")
    place = next(n for n, row in enumerate(manifest.rows) if row.role == "calibrate")
    assert (shown.returncode, hidden.returncode) == (1, 1)
    assert f"such as {manifest.rows[place].path} of the role calibrate" in shown.stderr
    assert f"such as image {place + 1} of the role calibrate" in hidden.stderr
    assert "images/" not in hidden.stderr
    assert not (tmp_path / "out").exists()
