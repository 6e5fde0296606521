"""`endoexit calibrate`, as a user runs it."""

import json
import shutil

import numpy as np
import pytest
from typer.testing import CliRunner

from endoexit.artifacts.run import open_run
from endoexit.cli.main import app
from endoexit.errors import DataError, PolicyError, RunError, UsageError
from endoexit.policy import ExitPolicy
from endoexit.policy.proven import FELL_BACK
from endoexit.policy.rules.fixed import FixedRule
from endoexit.runtime.session import open_session
from evaluation_runs import copy_run
from tiny_project import endoexit


@pytest.fixture
def run(tiny_run, tmp_path):
    return copy_run(tiny_run, tmp_path / "run").path


def invoke(*arguments):
    return CliRunner().invoke(app, ["calibrate", *map(str, arguments)])


def test_calibrate_then_predict(run, tiny_manifest):
    done = endoexit("calibrate", run, "--mean-exit-cost", 0.8, "--rule", "entropy", "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    policy = ExitPolicy.read(run / "policy.json")
    assert document["policy"] == json.loads(policy.to_json())
    assert document["written"] == str(run / "policy.json")
    assert document["expected"]["cost"] <= 0.8 * policy.costs.values[-1]
    assert len(document["calibration"]) == policy.num_exits
    assert "Goal: mean cost <= 0.8 of the whole network" in done.stderr
    image = next((tiny_manifest.parent / "images" / "blue").iterdir())
    predicted = endoexit("predict", run, image, "--json")
    assert predicted.returncode == 0, predicted.stderr
    assert "mean cost <= 0.8" in json.loads(predicted.stdout)["decided_by"]


def test_guarantee_is_printed_with_its_evidence(run):
    risks = ("--guarantee", "disagreement<=0.5", "--guarantee", "missed[blue]<=0.7")
    goal = (*risks, "--delta", 0.2)
    done = invoke(run, *goal)
    assert done.exit_code == 0, done.exception
    assert "Promise: disagreement <= 0.5 on new images, with probability 0.8" in done.stdout
    assert "Goal: disagreement<=0.5 and missed[blue]<=0.7 with probability 0.8" in done.stdout
    trials = json.loads(invoke(run, *goal, "--json").stdout)["trials"]
    assert trials[0]["tests"][0]["risk"] == "disagreement"
    assert [test["images"] for test in trials[0]["tests"]] == [6, 2]
    counted = "Counted as one: each image (no two certify images are of one group)."
    assert counted in done.stdout
    proven_again = invoke(run, *goal)
    assert "before" not in proven_again.stderr
    lost = " ".join(invoke(run, "--max-accuracy-drop", 0.0).stderr.split())
    goal_before = "disagreement<=0.5 and missed[blue]<=0.7 with probability 0.8"
    assert f"the policy before this one promised: {goal_before}. This one promises" in lost


def test_images_of_one_group_are_counted_together_unless_asked(run, tiny_manifest, tmp_path):
    """The certify images in three groups of two: three groups prove less than six images."""
    text = tiny_manifest.read_text()
    rows = [line.split(",") for line in text.splitlines() if line.endswith(",certify")]
    for path, label, _, role in rows:
        grouped = f"{path},{label},together-{label},{role}"
        text = text.replace(next(line for line in text.splitlines() if path in line), grouped)
    manifest = tiny_manifest.with_name("grouped.csv")
    manifest.write_text(text)
    goal = (run, "--guarantee", "disagreement<=0.6", "--delta", 0.3, "--manifest", manifest)
    counted = invoke(*goal)
    by_image = invoke(*goal, "--unit", "image")
    manifest.unlink()
    assert "on new groups, with probability 0.7" in " ".join(counted.stdout.split())
    reason = (
        "Counted as one: each group, with its mean loss, tested by one image that was drawn from "
        "it (the 6 certify images come from 3"
    )
    assert reason in " ".join(counted.stdout.split())
    assert "on new images, with probability 0.7" in " ".join(by_image.stdout.split())
    warning = "The 6 certify images come from 3 groups and were counted as independent"
    assert warning in " ".join(by_image.stdout.split())


def test_a_policy_without_a_promise_says_so(run):
    done = invoke(run, "--max-accuracy-drop", 0.0)
    assert "nothing is promised for new images" in " ".join(done.stdout.split())


def test_the_clock_as_policy(run):
    done = invoke(run, "--deadline-ms", 50)
    assert done.exit_code == 0, done.exception
    assert ExitPolicy.read(run / "policy.json").deadline_ms == 50
    assert done.stdout.count("out of time") == 3
    image = next(open_run(run).manifest().root.rglob("*.png"))
    slow = CliRunner().invoke(app, ["predict", str(run), str(image), "--json"])
    assert json.loads(slow.stdout)["deadline_ms"] == 50
    hurried = ["predict", str(run), str(image), "--json", "--deadline-ms", "0.001"]
    document = json.loads(CliRunner().invoke(app, hurried).stdout)
    assert (document["deadline_ms"], document["exits"]) == (0.001, {"1": 1})


def test_what_no_rule_can_keep_falls_back_to_the_final_exit_and_warns(run):
    """On certify the early exits are made to answer another class than the final one."""
    certify = open_session(open_run(run)).logits("certify")
    spoilt = certify.logits.copy()
    spoilt[:3] = np.roll(spoilt[3], 1, axis=1)
    with np.load(certify.file, allow_pickle=False) as archive:
        kept = dict(archive)
    np.savez(certify.file, **kept | {"logits": spoilt})
    done = invoke(run, "--guarantee", "disagreement<=0.5", "--delta", 0.1)
    assert done.exit_code == 0, done.exception
    assert done.stderr.startswith("warning: No policy with early exits could be proven")
    text = " ".join(done.stdout.split())
    assert (
        "Promise: disagreement <= 0.5 on new images, with probability 0.9 (by construction)" in text
    )
    policy = ExitPolicy.read(run / "policy.json")
    assert (policy.rule, policy.note) == (FixedRule(exit=4), FELL_BACK)


def test_what_cannot_be_promised_is_refused_and_leaves_the_old_policy(run):
    invoke(run, "--mean-exit-cost", 1)
    before = (run / "policy.json").read_bytes()
    done = endoexit("calibrate", run, "--guarantee", "disagreement<=0.02")
    assert done.returncode == 1
    assert done.stderr.startswith("error: certify has 6 images, too few to promise")
    assert "at least 149" in done.stderr
    assert (run / "policy.json").read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "ask for one goal"),
        (("--max-ms", 3, "--min-accuracy", 0.5), "got max-ms, min-accuracy"),
        (("--guarantee", "disagrement<=0.02"), "did you mean 'disagreement'"),
        (("--mean-exit-cost", 0.5, "--delta", 0.1), "belong to a guarantee"),
        (("--mean-exit-cost", 0.5, "--rule", "patience", "--candidates", 5), "has no thresholds"),
    ],
)
def test_wrong_usage(tmp_path, arguments, message):
    """Said before the run is opened: it need not even exist."""
    with pytest.raises(UsageError, match=message):
        raise invoke(tmp_path / "none", *arguments).exception


def test_an_unknown_rule_is_refused_with_the_nearest(tmp_path):
    done = endoexit("calibrate", tmp_path, "--mean-exit-cost", 0.5, "--rule", "linear-gate")
    assert done.returncode == 2
    assert "unknown rule 'linear-gate': did you mean 'linear_gate'?" in done.stderr


def test_a_gate_on_few_images_says_how_many_it_takes(run):
    done = endoexit("calibrate", run, "--mean-exit-cost", 0.8, "--rule", "eenet")
    assert done.returncode == 1
    assert "too few to fit a gate: it takes at least 50 images" in " ".join(done.stderr.split())


def test_a_folder_that_is_no_run(tmp_path):
    with pytest.raises(RunError, match="endoexit train"):
        raise invoke(tmp_path / "none", "--max-macs", 1e9).exception


def test_times_must_have_been_measured(run):
    with pytest.raises(PolicyError, match=r"no times of its exits .*endoexit evaluate"):
        raise invoke(run, "--max-ms", 10).exception


def test_a_group_of_two_roles_is_refused(run, tiny_manifest, tmp_path):
    text = tiny_manifest.read_text()
    group = next(line.split(",")[2] for line in text.splitlines() if line.endswith(",train"))
    certify = next(line for line in text.splitlines() if line.endswith(",certify"))
    changed = tmp_path / "manifest.csv"
    path, label, _, role = certify.split(",")
    changed.write_text(text.replace(certify, f"{path},{label},{group},{role}"))
    shutil.copy(f"{tiny_manifest}.json", f"{changed}.json")
    with pytest.raises(DataError, match=f"{group}.*give each group one role"):
        raise invoke(run, "--mean-exit-cost", 0.5, "--manifest", changed).exception


def test_a_guarantee_on_the_answered_images_is_printed_with_what_is_referred(run):
    goal = ("--guarantee", "error<=0.9", "--delta", 0.5, "--max-referral", 0.6)
    done = invoke(run, *goal, "--refer-unlike", 0.4)
    assert done.exit_code == 0, done.exception
    said = " ".join(done.stdout.split())
    assert "error<=0.9 among the answered, at most 0.6 referred, with probability 0.5" in said
    assert "Referred to a human as unlike: energy > " in said
    assert "Promise: error <= 0.9 on new images that are answered" in said
    policy = ExitPolicy.read(run / "policy.json")
    assert policy.request.rules.refer_unlike == policy.referral.unlike.share == 0.4
    calibrate = open_session(open_run(run)).logits("calibrate")
    exits = policy.assign(calibrate.logits)
    referred = int((policy.referred(calibrate.logits, exits) > 0).sum())
    document = json.loads(invoke(run, *goal, "--refer-unlike", 0.4, "--json").stdout)
    answered = document["answered"]
    assert answered["unsure"] + answered["unlike"] == referred


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--max-accuracy-drop", 0, "--max-referral", 0.2), "max-referral belongs to a guarantee"),
        (("--guarantee", "error<=0.5", "--max-referral", 1), "would refer every image"),
        (("--guarantee", "error<=0.5", "--max-referral", 20), "0.2 means 20 %"),
        (("--max-accuracy-drop", 0, "--refer-unlike", 1), "would refer every image"),
    ],
)
def test_a_referral_that_makes_no_sense_is_refused_before_anything_is_loaded(
    tmp_path, options, message
):
    done = invoke(tmp_path / "missing", *options)
    assert isinstance(done.exception, UsageError)
    assert message in str(done.exception)
