"""A run on changed images: unchanged ones as in its evaluation, each change on its own."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from endoexit.cli.main import app
from endoexit.errors import RunError, UsageError
from endoexit.evaluation import robustness_study
from endoexit.evaluation.corruptions import CORRUPTIONS, STRENGTHS, corrupt
from endoexit.evaluation.latency import keeping_threads
from endoexit.evaluation.robustness import (
    ATTACKS,
    FILE,
    Robustness,
    robustness_file,
    robustness_tables,
)
from endoexit.evaluation.robustness_study import measure_robustness
from endoexit.models.attacks import EPSILON, STEPS
from endoexit.policy import deadline_policy
from endoexit.policy.document import Promise
from endoexit.policy.referral import Referral, Unlike, energy
from endoexit.policy.risks import parse_risk
from endoexit.runtime.deciding import served_provenance
from endoexit.runtime.session import open_session
from evaluation_runs import copy_run

TRAIN = "robustness-train.json"


@pytest.fixture(scope="module")
def run(tiny_run, tmp_path_factory):
    return copy_run(tiny_run, tmp_path_factory.mktemp("robust") / "run")


@pytest.fixture(scope="module")
def session(run):
    return open_session(run, threshold=0.4, threads=1)


@pytest.fixture(scope="module")
def robustness(session):
    return measure_robustness(session, "train")


def test_the_rows_are_those_of_the_changed_images(session, robustness):
    assert len(robustness.rows) == 1 + len(CORRUPTIONS) * len(STRENGTHS)
    cohort, policy = session.manifest.cohort("train"), session.decider.policy
    images = session.images(cohort)
    macs = np.array(session.source.complexity.macs)
    for row in (robustness.rows[0], robustness.of("noise")[3]):
        changed = corrupt(images, row.change, row.strength) if row.strength else images
        logits = session.answers(changed)
        exits = policy.assign(logits)
        answers = logits.argmax(axis=2)
        right = answers[exits - 1, np.arange(len(images))] == cohort.labels
        assert row.accuracy.value == pytest.approx(right.mean())
        assert row.final.value == pytest.approx((answers[-1] == cohort.labels).mean())
        assert row.cost == pytest.approx(macs[exits - 1].mean() / macs[-1])
        assert row.early_wrong == pytest.approx(((exits < len(macs)) & ~right).mean())
        assert row.shares == pytest.approx([(exits == k).mean() for k in range(1, len(macs) + 1)])


def test_it_is_kept_and_read_again(run, robustness, tmp_path):
    assert Robustness.read(run.path / TRAIN) == robustness
    (tmp_path / FILE).write_text("{}")
    with pytest.raises(RunError, match="evaluate --corruptions"):
        Robustness.read(tmp_path / FILE)


def test_tables_have_a_row_for_each_change(robustness):
    accuracy, cost, wrong = robustness_tables(robustness)
    assert [row[0] for row in accuracy.rows] == list(CORRUPTIONS)
    assert cost.rows[0][1] == robustness.rows[0].cost
    assert wrong.rows[-1][-1] == robustness.of("noise")[-1].early_wrong


def test_promises_are_held_against_changed_images(run, session, robustness):
    promise = Promise(risk=parse_risk("disagreement<=0.9"), delta=0.1, images=50, unit="image",
                      observed=0.0, p_value=0.01, method="exact binomial")  # fmt: skip
    policy = session.decider.policy.replaced(
        promises=(promise,),
        provenance=served_provenance(session.source, session.precision),
    )
    policy.write(run.path / "policy.json")
    try:
        promised = measure_robustness(open_session(run, threads=1), "train")
    finally:
        (run.path / "policy.json").unlink()
    strong = promised.of("noise")[-1]
    assert strong.accuracy == robustness.of("noise")[-1].accuracy, "it is the same rule"
    cohort = session.manifest.cohort("train")
    logits = session.answers(corrupt(session.images(cohort), "noise", 5))
    answers, exits = logits.argmax(axis=2), policy.assign(logits)
    differs = answers[exits - 1, np.arange(len(cohort))] != answers[-1]
    assert strong.promises[0].observed.value == pytest.approx(differs.mean())
    assert strong.promises[0].kept == (differs.mean() <= 0.9)
    table = robustness_tables(promised)[-1]
    assert table.title.startswith("Promise “")
    assert table.rows[-1][-1].endswith((", kept", ", VIOLATED"))


def test_referred_images_count_apart(run, session):
    logits = session.logits("train")
    limit = float(np.median(energy(logits.logits[0])))
    policy = session.decider.policy.replaced(
        referral=Referral(unlike=Unlike(thresholds=(limit, 9.0, 9.0, 9.0), share=0.5)),
        provenance=served_provenance(session.source, session.precision),
    )
    policy.write(run.path / "policy.json")
    try:
        refers = measure_robustness(open_session(run, threads=1), "train")
    finally:
        (run.path / "policy.json").unlink()
    exits = policy.assign(logits.logits)
    answered = policy.referred(logits.logits, exits) == 0
    assert 0 < answered.sum() < len(answered)
    right = logits.as_set().correct[exits - 1, np.arange(len(exits))]
    assert refers.rows[0].referred == pytest.approx(1 - answered.mean())
    assert refers.rows[0].accuracy.value == pytest.approx(right[answered].mean())
    assert robustness_tables(refers)[1].title == "Referred to a human, % of the images"


def test_a_deadline_is_refused(run):
    deadline_policy(4, 5.0).write(run.path / "policy.json")
    try:
        with pytest.raises(UsageError, match="the clock decides where images exit"):
            measure_robustness(open_session(run, threads=1))
    finally:
        (run.path / "policy.json").unlink()


def test_the_command_prints_the_tables_and_one_document(run):
    arguments = ["evaluate", str(run.path), "--threshold", "0.4", "--no-timing", "--corruptions"]
    with keeping_threads():
        done = CliRunner().invoke(app, [*arguments, "--json"])
    assert done.exit_code == 0, done.output
    rows = json.loads(done.stdout)["robustness"]["rows"]
    assert len(rows) == 36
    assert "Accuracy on changed images" in done.stderr
    assert "A changed image should cost more" in " ".join(done.stderr.split())


def test_attacks_are_added_to_what_was_measured(run, session, robustness):
    robustness.write(run.path / TRAIN)
    both = measure_robustness(session, "train", corruptions=False, attacks=True)
    assert both.of("noise") == robustness.of("noise")
    early = [f"exit {number}" for number in range(1, len(both.rows[0].shares))]
    attacks = [row for row in both.rows if row.change in {*early, *ATTACKS}]
    assert [row.change for row in attacks] == [*early, *ATTACKS]
    (main,), (worst,) = both.of("main"), both.of("max-average")
    assert main.final.value < both.rows[0].final.value, "an attack on it makes the final exit worse"
    assert main.final.value < both.of("exit 1")[0].final.value, "more than one on another exit"
    assert worst.strength == 1
    attacked = robustness_tables(both)[-1]
    assert attacked.title == "Accuracy under attack"
    assert [row[0] for row in attacked.rows] == [
        "none", *(f"on {name}" for name in early), *ATTACKS.values()
    ]  # fmt: skip
    assert f"at most {255 * EPSILON:g}/255, in {STEPS} steps" in attacked.notes[0]
    assert len(robustness_tables(both)) == len(robustness_tables(robustness)) + 1
    alone = measure_robustness(session, "val", corruptions=False, attacks=True)
    assert len(robustness_tables(alone)) == 1, "what is of another role is not kept"


def test_attacks_change_pixels_whatever_the_normalisation_of_the_run(session):
    """The same network behind another normalisation is attacked by the same pixels."""
    mean, std = (0.1, 0.2, 0.3), (0.5, 0.6, 0.7)
    theirs = session.preprocessing
    scale, shift, own_scale, own_shift = (
        torch.tensor(values)[:, None, None] for values in (std, mean, theirs.std, theirs.mean)
    )

    def network(values):
        return session.network((values * scale + shift - own_shift) / own_scale)

    names = ("images", "manifest", "track", "backend")
    elsewhere = SimpleNamespace(
        preprocessing=SimpleNamespace(mean=mean, std=std),
        network=network,
        **{name: getattr(session, name) for name in names},
    )
    clean = session.logits("val")
    rows, expected = (
        list(robustness_study._attacked(each, clean, needs_features=False))
        for each in (elsewhere, session)
    )
    for (name, _, logits, _), (same, _, known, _) in zip(rows, expected, strict=True):
        assert name == same
        # A sign may differ where a gradient is almost 0.
        assert np.abs(logits - known).mean() < 0.01 * np.abs(known).mean()


@pytest.mark.precision
def test_a_bundle_without_gradients_cannot_be_attacked(bundles):
    bundle = bundles.make("openvino", "f32")
    session = open_session(bundle, manifest=bundles.run.manifest(), threads=1)
    with pytest.raises(RunError, match="not a network in PyTorch: name the run"):
        measure_robustness(session, corruptions=False, attacks=True)


def test_other_images_have_a_file_of_their_own_and_are_never_mixed(run, robustness):
    assert robustness_file(run.path / "evaluation.json").name == FILE
    assert robustness_file(run.path / "evaluation-val-12345678.json").name == (
        "robustness-val-12345678.json"
    )
    assert robustness_file(run.path / "mine.json").name == FILE
    assert robustness.is_like(robustness)
    assert not robustness.is_like(robustness.replaced(manifest_sha256="0" * 64))
