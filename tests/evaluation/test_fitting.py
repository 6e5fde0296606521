import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from bundle_makers import require_bf16
from endoexit.artifacts.run import open_run
from endoexit.data.manifest import read_manifest, write_manifest
from endoexit.data.rows import ManifestRow
from endoexit.errors import DataError, PolicyError, RunError, UsageError
from endoexit.evaluation.document import Evaluation
from endoexit.evaluation.fitting import (
    calibrate_run,
    exit_costs,
    find_run_policy,
    measured_costs,
    require_unseen,
)
from endoexit.evaluation.study import Options, evaluate_run
from endoexit.files import write_json
from endoexit.machine import describe_machine
from endoexit.models.spec import NetworkSpec
from endoexit.models.weights import save_weights
from endoexit.policy import ExitPolicy
from endoexit.policy.goal_options import make_goal
from endoexit.policy.search import find_policy
from endoexit.runtime.session import open_session


@pytest.fixture
def timed(run):
    """The run with an evaluation that measured times."""
    evaluate_run(open_session(run, threshold=0.5), Options(role="val", rounds=2, resamples=10))
    return run


def test_policy_is_that_of_the_logits_of_calibrate(run):
    calibration = calibrate_run(open_session(run), make_goal(mean_exit_cost=0.8))
    logits = open_session(run).logits("calibrate")
    manifest = run.manifest()
    expected = find_policy(
        make_goal(mean_exit_cost=0.8),
        calibrate=logits.as_set(),
        costs=exit_costs(open_session(run), "macs"),
        classes=run.classes,
    )
    policy = ExitPolicy.read(run.path / "policy.json")
    assert policy == calibration.result.policy
    assert policy.rule == expected.policy.rule
    assert policy.provenance.weights_sha256 == run.weights_sha256
    assert policy.provenance.preprocessing == run.config.preprocessing.fingerprint()
    assert policy.provenance.precision == "torch-f32"
    assert policy.provenance.classes == run.classes
    assert policy.provenance.manifest_sha256 == manifest.sha256
    assert calibration.result.expected.cost <= 0.8 * policy.costs.values[-1]


def test_a_policy_can_be_found_without_being_written(run):
    goal = make_goal(mean_exit_cost=0.8)
    result = find_run_policy(open_session(run), goal)
    assert not (run.path / "policy.json").exists()
    assert calibrate_run(open_session(run), goal).result.policy == result.policy


def test_evaluate_serves_the_policy_and_refuses_another_precision_of_it(run):
    calibrate_run(open_session(run), make_goal(mean_exit_cost=0.8))
    evaluation = evaluate_run(open_session(run), Options(timing=False, resamples=10))
    assert evaluation.adaptive.origin == "policy.json: mean cost <= 0.8 of the whole network"
    path = run.path / "policy.json"
    policy = ExitPolicy.read(path)
    provenance = policy.provenance.model_copy(update={"precision": "openvino-int8"})
    policy.model_copy(update={"provenance": provenance}).write(path)
    with pytest.raises(PolicyError, match="precision 'openvino-int8', served 'torch-f32'"):
        evaluate_run(open_session(run), Options(timing=False, resamples=10))


def test_guarantee_uses_certify(run):
    goal = make_goal(guarantee=["disagreement<=0.5"], delta=0.2)
    calibration = calibrate_run(open_session(run), goal)
    promise = calibration.result.policy.promises[0]
    certify = open_session(run).logits("certify")
    assert promise.images == len(certify.labels)
    exits = calibration.result.policy.assign(certify.logits)
    answers = certify.logits.argmax(axis=2)
    observed = np.mean(answers[exits - 1, np.arange(len(exits))] != answers[-1])
    assert promise.observed == observed
    with pytest.raises(PolicyError, match=r"certify has 6 images, too few .*at least 149"):
        calibrate_run(open_session(run), make_goal(guarantee=["disagreement<=0.02"]))
    with pytest.raises(UsageError, match="did you mean 'blue'"):
        calibrate_run(open_session(run), make_goal(guarantee=["missed[bleu]<=0.5"]))


def test_costs_are_true_multiply_adds(run):
    costs = exit_costs(open_session(run), "macs")
    config = run.config
    counted = NetworkSpec(
        config.model, 3, config.preprocessing.size, config.overrides
    ).complexity.macs
    assert costs.values == counted
    assert "true multiply-adds of ee_hifuse_nano at 64 × 64" in costs.source


def test_costs_are_measured_times(timed):
    measured = Evaluation.read(timed.path / "evaluation-val.json")
    # Two rounds are no measurement: put the times in order.
    rows, times = [], iter((1.0, 2.0, 3.0, 4.0))
    for row in measured.rows:
        time = row.time.model_copy(update={"ms": next(times)}) if row.kind == "exit" else row.time
        rows.append(row.model_copy(update={"time": time}))
    measured.model_copy(update={"rows": tuple(rows)}).write(timed.path / "evaluation-val.json")
    costs = exit_costs(open_session(timed), "ms")
    assert costs.values == (1.0, 2.0, 3.0, 4.0)
    assert costs.source.startswith("evaluation-val.json: torch-f32, ")
    assert describe_machine()["processor"] in costs.source
    calibration = calibrate_run(open_session(timed), make_goal(max_ms=2.5))
    assert calibration.result.policy.costs == costs
    assert calibration.result.expected.cost <= 2.5
    calibration = calibrate_run(open_session(timed), make_goal(budget="100 images, 0.25 seconds"))
    assert calibration.result.expected.cost <= 2.5


def test_times_that_a_busy_machine_made_fall_are_put_in_order():
    quiet = measured_costs([10.0, 20.0, 30.0], "x")
    assert (quiet.values, quiet.source) == ((10.0, 20.0, 30.0), "x")
    busy = measured_costs([18.0, 106.0, 22.0, 70.0], "x")
    assert busy.values == (18.0, 64.0, 64.0, 70.0), "the two that fall get their mean"
    assert busy.source == "x; a busy machine: 18, 106, 22, 70 ms as measured"


def test_times_of_another_precision_machine_or_network_are_refused(timed):
    path = timed.path / "evaluation-val.json"
    message = r"no times of its exits measured on this machine with torch-f32.*endoexit evaluate"
    original = Evaluation.read(path)
    elsewhere = original.timing.model_copy(update={"machine": {"processor": "another"}})
    finer = original.timing.model_copy(update={"precision": "torch-bf16"})
    for change in (
        {"timing": elsewhere},
        {"timing": finer},
        {"timing": None},
        {"run": original.run.model_copy(update={"weights_sha256": "f" * 64})},
    ):
        original.model_copy(update=change).write(path)
        with pytest.raises(PolicyError, match=message):
            exit_costs(open_session(timed), "ms")
    path.unlink()
    with pytest.raises(PolicyError, match=message):
        calibrate_run(open_session(timed), make_goal(max_ms=5))


@pytest.mark.precision
def test_times_in_f32_are_no_times_in_bf16(timed):
    require_bf16("torch")
    with pytest.raises(PolicyError, match="torch-bf16"):
        exit_costs(open_session(timed, precision="bf16"), "ms")


@pytest.mark.parametrize("used_for", ["train", "val"])
@pytest.mark.parametrize("role", ["calibrate", "certify"])
def test_images_that_made_the_network_are_refused(run, tmp_path, used_for, role):
    """Another manifest gives two images of training or model selection, renamed, a new role."""
    manifest = run.manifest()
    used = [row for row in manifest.rows if row.role == used_for][:2]
    folder = tmp_path / "other"
    folder.mkdir()
    rows = []
    for row in (*used, *(row for row in manifest.rows if row.role in ("calibrate", "certify"))):
        name = f"new-{row.path.replace('/', '-')}"
        shutil.copy(manifest.root / row.path, folder / name)
        rows.append(ManifestRow(name, row.label, row.group, role if row in used else row.role))
    made = write_manifest(tmp_path / "other.csv", rows, folder)
    copied = read_manifest(made.path, classes=run.classes)
    message = rf"2 images of the role '{role}' trained this network .*Use a manifest of other"
    goal = make_goal(guarantee=["disagreement<=0.6"], delta=0.3)
    with pytest.raises(DataError, match=message):
        calibrate_run(open_session(run, manifest=copied), goal)
    assert not (run.path / "policy.json").exists()
    cohort = copied.cohort(role)
    fresh = tuple(
        image for image in cohort.images if image.path.name not in {r.path for r in rows[:2]}
    )
    assert len(fresh) == len(cohort.images) - 2
    require_unseen(run, replace(cohort, images=fresh))


def other_weights(run):
    model = run.load_model()
    with torch.no_grad():
        next(model.parameters()).add_(1e-3)
    save_weights(model, run.path / "weights.safetensors")


def other_config(**change):
    def edit(run):
        write_json(run.path / "config.json", run.config.model_dump(mode="json") | change)

    return edit


@pytest.mark.parametrize(
    ("change", "precision", "words"),
    [
        (other_weights, "f32", "weights"),
        (other_config(preprocessing={"size": 64, "mean": [0.4, 0.5, 0.5]}), "f32", "preprocessing"),
        (other_config(classes=["green", "blue", "red"]), "f32", "classes 'blue, green, red'"),
        (lambda run: None, "bf16", "precision 'torch-f32', served 'torch-bf16'"),
    ],
    ids=["weights", "preprocessing", "classes", "precision"],
)
@pytest.mark.precision
def test_a_policy_is_not_served_once_the_run_is_another(run, change, precision, words):
    """Calibrated on the run, which then changes."""
    if precision == "bf16":
        require_bf16("torch")
    calibrate_run(open_session(run), make_goal(mean_exit_cost=0.8))
    assert open_session(run.path, threads=1).engine
    change(run)
    with pytest.raises(PolicyError, match=f"fitted for something else: {words}") as error:
        assert open_session(run.path, threads=1, precision=precision).engine
    assert "run `endoexit calibrate` on what is served" in str(error.value)


def test_a_run_without_a_manifest_takes_one_by_hand(run):
    manifest = run.manifest()
    (run.path / "manifest.csv").unlink()
    bare = open_run(run.path)
    with pytest.raises(RunError, match=r"no manifest\.csv"):
        calibrate_run(open_session(bare), make_goal(mean_exit_cost=0.8))
    elsewhere = replace(manifest, path=manifest.root / "manifest.csv")
    calibrate_run(open_session(bare, manifest=elsewhere), make_goal(mean_exit_cost=0.8))
    assert ExitPolicy.read(run.path / "policy.json").goal
