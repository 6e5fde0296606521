"""Runs, bundles, policies and audits that release 0.1.0 wrote still work.

`tests/golden/release-0.1` was made by that release: pictures of three colours, a network of
width 4, a run with its policy and evaluation, two bundles, and the rows that it predicted.
"""

import csv
import shutil
from pathlib import Path

import pytest

from endoexit.policy import ExitPolicy
from tiny_project import endoexit

RELEASE = Path(__file__).resolve().parents[1] / "golden" / "release-0.1"
SOURCES = ("run", "bundle-openvino", "bundle-torch")


@pytest.fixture
def release(tmp_path: Path) -> Path:
    """A copy, as a user would have kept it."""
    return shutil.copytree(RELEASE, tmp_path / "kept")


def run(folder: Path, *arguments: object) -> str:
    done = endoexit(*arguments, cwd=folder)
    assert done.returncode == 0, done.stderr
    return done.stdout


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


@pytest.mark.slow
@pytest.mark.parametrize("source", SOURCES)
def test_the_answers_are_the_same(release, source):
    run(release, "predict", source, "images", "--out", "new.csv")
    old, new = rows(release / f"rows-{source}.csv"), rows(release / "new.csv")
    assert len(old) == len(new) == 72
    for before, after in zip(old, new, strict=True):
        assert [after[k] for k in ("path", "label", "exit")] == [
            before[k] for k in ("path", "label", "exit")
        ]
        for name in ("p_blue", "p_green", "p_red"):
            assert float(after[name]) == pytest.approx(float(before[name]), abs=1e-4)


@pytest.mark.slow
def test_a_run_is_evaluated_calibrated_exported_and_reported(release):
    run(release, "report", "run", "--out", "before")
    run(release, "evaluate", "run", "--no-timing")
    run(release, "calibrate", "run", "--max-accuracy-drop", "0.05")
    run(release, "export", "run", "--backend", "torch", "--out", "again", "--accept-drop")


@pytest.mark.parametrize("name", ["guarantee-policy.json", "run/policy.json"])
def test_a_policy_is_read_and_written_again_without_loss(name, tmp_path):
    policy = ExitPolicy.read(RELEASE / name)
    policy.write(tmp_path / "policy.json")
    assert ExitPolicy.read(tmp_path / "policy.json") == policy


def test_the_promise_of_a_policy_is_kept():
    (promise,) = ExitPolicy.read(RELEASE / "guarantee-policy.json").promises
    assert (promise.delta, promise.images, promise.unit) == (0.2, 15, "image")


def test_an_audit_and_its_groups_are_read(release):
    text = run(release, "split", "images", "--groups", "audit-groups.csv", "--merge-groups",
               "--seed", 0, "--out", "again.csv")  # fmt: skip
    assert "again.csv" in text
