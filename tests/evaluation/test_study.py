"""The whole evaluation of a real (tiny) run, checked against the engine and by hand."""

import numpy as np
import pytest

from endoexit.data.cache import cache_images
from endoexit.data.manifest import Row, write_manifest
from endoexit.errors import PolicyError, RunError, UsageError
from endoexit.evaluation.complexity import catalog_complexity
from endoexit.evaluation.logits import collect_logits
from endoexit.evaluation.records import Evaluation
from endoexit.evaluation.study import Options, evaluate_run
from endoexit.policy import ExitPolicy, confidence, threshold_policy
from endoexit.policy.records import Provenance
from endoexit.runtime.engine import Engine
from endoexit.runtime.torch_backend import TorchBackend
from evaluation_runs import untrained_twin

QUICK = {"timing": False, "resamples": 200}


def middling(run, role: str) -> float:
    """A threshold that lets about half of the images leave at the first exit."""
    logits = collect_logits(run, role).logits
    return float(np.median(confidence(logits[0], "max_probability")))


def test_the_adaptive_row_is_what_the_engine_does(run):
    threshold = middling(run, "train")
    found = evaluate_run(run, Options(role="train", threshold=threshold, **QUICK))
    cohort = run.manifest().cohort("train")
    images = cache_images(cohort.paths, run.config.preprocessing).images
    engine = Engine(
        TorchBackend(run.load_model(), threads=1),
        threshold_policy(4, threshold),
        run.config.preprocessing,
    )
    answers = engine.predict(np.asarray(images))
    exits = [answer.exit for answer in answers]
    assert list(found.adaptive.exits) == exits
    assert len(set(exits)) > 1
    row = found.row("adaptive")
    assert list(row.predicted) == [answer.label for answer in answers]
    sure = [answer.probabilities.max() for answer in answers]
    assert row.confidence == pytest.approx(sure, abs=1e-4)
    shares = [exits.count(number) / len(exits) for number in (1, 2, 3, 4)]
    assert found.adaptive.shares == pytest.approx(shares)
    assert [r.share for r in found.rows if r.kind == "exit"] == pytest.approx(shares)
    macs = catalog_complexity("ee_hifuse_nano", 3, 64, **run.config.overrides).macs
    mean = sum(share * cost for share, cost in zip(shares, macs, strict=True))
    assert row.macs == pytest.approx(mean)
    for index, name in enumerate(found.classes):
        of_class = [
            e for e, label in zip(exits, found.images.labels, strict=True) if label == index
        ]
        expected = [of_class.count(number) / len(of_class) for number in (1, 2, 3, 4)]
        assert found.adaptive.shares_by_class[name] == pytest.approx(expected)


def test_everything_can_be_redrawn_from_the_document(run):
    made = evaluate_run(run, Options(role="train", **QUICK), twin=None)
    file = run.path / "evaluation-train.json"
    found = Evaluation.read(file)
    assert found == made
    labels = np.array(found.images.labels)
    assert len(found.images.paths) == len(found.images.groups) == len(labels) == 39
    assert [row.name for row in found.rows] == ["exit 1", "exit 2", "exit 3", "final", "adaptive"]
    for row in found.rows:
        confusion = np.zeros((3, 3), int)
        np.add.at(confusion, (labels, np.array(row.predicted)), 1)
        assert np.array_equal(row.scores.confusion, confusion)
        assert row.scores.accuracy.value == pytest.approx(np.trace(confusion) / 39)
    first, final = found.row("exit 1"), found.row("final")
    difference = first.scores.accuracy.value - final.scores.accuracy.value
    assert first.beside_final.value == pytest.approx(difference)
    assert final.beside_final is None
    assert (run.path / found.run.logits).is_file()
    text = file.read_text()
    assert str(run.path) not in text  # no path of this machine
    assert str(run.manifest().root) not in text
    assert "NaN" not in text


def test_times_stand_in_the_rows(run):
    twin = untrained_twin(run, run.path.parent / "twin")
    found = evaluate_run(run, Options(rounds=2, threads=1, resamples=200), twin=twin)
    assert all(row.time.runs >= 2 for row in found.rows)
    assert found.rows[0].name == "twin"
    assert found.timing.threads == 1
    assert found.timing.rounds == 2


def test_a_twin_stands_beside_on_the_same_images(run):
    twin = untrained_twin(run, run.path.parent / "twin")
    found = evaluate_run(run, Options(role="train", **QUICK), twin=twin)
    row = found.rows[0]
    assert (row.name, row.kind, row.share, row.beside_twin) == ("twin", "twin", None, None)
    assert found.twin.model == "hifuse_nano"
    alone = evaluate_run(twin, Options(role="train", **QUICK))
    assert alone.row("final").predicted == row.predicted
    final = found.row("final")
    assert final.beside_twin.value == pytest.approx(
        final.scores.accuracy.value - row.scores.accuracy.value
    )
    assert row.beside_final.value == pytest.approx(-final.beside_twin.value)


def test_a_network_with_one_exit_has_one_row_and_no_adaptive_rule(run):
    twin = untrained_twin(run, run.path.parent / "twin")
    found = evaluate_run(twin, Options(**QUICK))
    assert [row.name for row in found.rows] == ["final"]
    assert found.adaptive is None
    with pytest.raises(UsageError, match="has one exit only: leave out the threshold"):
        evaluate_run(twin, Options(threshold=0.5, **QUICK))


def test_a_twin_of_another_manifest_is_refused(run):
    twin = untrained_twin(run, run.path.parent / "twin", manifest_sha256="0" * 64)
    with pytest.raises(
        UsageError, match=r"trained on another manifest .* may have seen the images"
    ):
        evaluate_run(run, Options(**QUICK), twin=twin)


def test_a_twin_of_other_classes_is_refused(run):
    twin = untrained_twin(run, run.path.parent / "twin", classes=("blue", "green", "violet"))
    with pytest.raises(UsageError, match="knows the classes blue, green, violet"):
        evaluate_run(run, Options(**QUICK), twin=twin)


def fitted(run, **changes) -> ExitPolicy:
    served = {
        "weights_sha256": run.weights_sha256,
        "preprocessing": run.config.preprocessing.fingerprint(),
        "precision": "torch-f32",
        "classes": run.classes,
    }
    return ExitPolicy(
        rule="margin",
        num_exits=4,
        temperatures=(0.5, 1.0, 1.0, 2.0),
        thresholds=(0.0, None, None),
        goal="everyone out at once",
        provenance=Provenance(**served | changes),
    )


def test_the_policy_of_the_run_decides_unless_a_threshold_is_given(run):
    fitted(run).write(run.path / "policy.json")
    found = evaluate_run(run, Options(**QUICK))
    assert found.adaptive.exits == (1, 1, 1)
    assert found.adaptive.origin == "policy.json: everyone out at once"
    assert found.adaptive.policy["rule"] == "margin"
    # Its temperature sharpens the probabilities, the exit's own row is as trained.
    assert min(found.row("adaptive").confidence) > min(found.row("exit 1").confidence)
    typed = evaluate_run(run, Options(threshold=1.0, **QUICK))
    assert typed.adaptive.exits == (4, 4, 4)
    assert typed.adaptive.origin == "largest probability of at least 1"


def test_a_policy_for_other_weights_is_refused(run):
    fitted(run, weights_sha256="0" * 64).write(run.path / "policy.json")
    with pytest.raises(PolicyError, match=r"fitted for something else: weights .*calibrate"):
        evaluate_run(run, Options(**QUICK))
    assert not (run.path / "evaluation.json").exists()


def test_other_roles_and_manifests_do_not_replace_the_evaluation(run, tmp_path):
    evaluate_run(run, Options(**QUICK))
    before = (run.path / "evaluation.json").read_bytes()
    found = evaluate_run(run, Options(role="val", **QUICK))
    assert found.caution.startswith("these images chose the epoch")
    own = run.manifest()
    rows = [Row(row.path, row.label, row.group, "test") for row in own.rows[:30]]
    rows += [row for row in own.rows if row.label == "red"]
    other = write_manifest(tmp_path / "other.csv", rows, own.root)
    outside = evaluate_run(run, Options(**QUICK), manifest=other)
    assert outside.caution is None
    assert (run.path / "evaluation.json").read_bytes() == before
    names = {path.name for path in run.path.glob("evaluation*")}
    expected = f"evaluation-{other.sha256[:8]}.json"
    assert names == {"evaluation.json", "evaluation-val.json", expected}


def test_a_threshold_out_of_range_is_refused(run):
    with pytest.raises(PolicyError, match="less than or equal to 1"):
        evaluate_run(run, Options(threshold=1.5, **QUICK))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "does not exist"),
        ("{", "is not valid JSON"),
        ('{"format": "endoexit-evaluation-1"}', "not an evaluation of this version .*evaluate"),
    ],
)
def test_a_document_that_is_none_is_refused(tmp_path, content, message):
    file = tmp_path / "evaluation.json"
    if content is not None:
        file.write_text(content)
    with pytest.raises(RunError, match=message):
        Evaluation.read(file)


def test_a_misspelt_row_is_answered_by_the_nearest(run):
    found = evaluate_run(run, Options(**QUICK))
    with pytest.raises(UsageError, match="unknown row 'adaptiv': did you mean 'adaptive'"):
        found.row("adaptiv")
