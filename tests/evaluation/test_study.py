"""The whole evaluation of a real (tiny) run, checked against the engine and by hand."""

from collections import Counter

import numpy as np
import pytest

from endoexit.artifacts.run import Run
from endoexit.data.manifest import read_manifest, write_manifest
from endoexit.data.rows import ManifestRow
from endoexit.errors import PolicyError, UsageError
from endoexit.evaluation.document import Evaluation
from endoexit.evaluation.study import Options, evaluate_run
from endoexit.images import cache as cache_module
from endoexit.images.cache import cache_images
from endoexit.models import spec as spec_module
from endoexit.models.spec import NetworkSpec
from endoexit.policy import ExitPolicy, confidence, fixed_exit, threshold_policy
from endoexit.policy.document import Promise, Provenance
from endoexit.policy.risks import parse_risk
from endoexit.policy.rules.threshold import ThresholdRule
from endoexit.runtime import logits as logits_module
from endoexit.runtime import session as session_module
from endoexit.runtime.backends.torch import TorchBackend
from endoexit.runtime.deciding import NO_POLICY
from endoexit.runtime.engine import Engine
from endoexit.runtime.session import Session, open_session
from evaluation_runs import untrained_twin

QUICK = {"timing": False, "resamples": 200}


def middling(run, role: str) -> float:
    """A threshold that lets about half of the images leave at the first exit."""
    logits = open_session(run).logits(role).logits
    return float(np.median(confidence(logits[0], "max_probability")))


def test_the_adaptive_row_is_what_the_engine_does(run):
    threshold = middling(run, "train")
    evaluation = evaluate_run(
        open_session(run, threshold=threshold), Options(role="train", **QUICK)
    )
    cohort = run.manifest().cohort("train")
    images = cache_images(cohort.images, run.config.preprocessing).images
    engine = Engine(
        TorchBackend(run.load_model(), threads=1),
        threshold_policy(4, threshold),
        run.config.preprocessing,
    )
    answers = engine.predict(np.asarray(images))
    exits = [answer.exit for answer in answers]
    assert list(evaluation.adaptive.exits) == exits
    assert len(set(exits)) > 1
    row = evaluation.row("adaptive")
    assert list(row.predicted) == [answer.label for answer in answers]
    sure = [answer.probabilities.max() for answer in answers]
    assert row.confidence == pytest.approx(sure, abs=1e-4)
    shares = [exits.count(number) / len(exits) for number in (1, 2, 3, 4)]
    assert evaluation.adaptive.shares == pytest.approx(shares)
    assert [r.share for r in evaluation.rows if r.kind == "exit"] == pytest.approx(shares)
    macs = NetworkSpec("ee_hifuse_nano", 3, 64, run.config.overrides).complexity.macs
    mean = sum(share * cost for share, cost in zip(shares, macs, strict=True))
    assert row.macs == pytest.approx(mean)
    for index, name in enumerate(evaluation.classes):
        of_class = [
            e for e, label in zip(exits, evaluation.images.labels, strict=True) if label == index
        ]
        expected = [of_class.count(number) / len(of_class) for number in (1, 2, 3, 4)]
        assert evaluation.adaptive.shares_by_class[name] == pytest.approx(expected)


def test_everything_can_be_redrawn_from_the_document(run):
    made = evaluate_run(open_session(run, threshold=0.5), Options(role="train", **QUICK))
    file = run.path / "evaluation-train.json"
    evaluation = Evaluation.read(file)
    assert evaluation == made
    labels = np.array(evaluation.images.labels)
    assert len(evaluation.images.paths) == len(evaluation.images.groups) == len(labels) == 39
    assert [row.name for row in evaluation.rows] == [
        "exit 1",
        "exit 2",
        "exit 3",
        "final",
        "adaptive",
    ]
    for row in evaluation.rows:
        confusion = np.zeros((3, 3), int)
        np.add.at(confusion, (labels, np.array(row.predicted)), 1)
        assert np.array_equal(row.scores.confusion, confusion)
        assert row.scores.accuracy.value == pytest.approx(np.trace(confusion) / 39)
    first, final = evaluation.row("exit 1"), evaluation.row("final")
    difference = first.scores.accuracy.value - final.scores.accuracy.value
    assert first.beside_final.value == pytest.approx(difference)
    assert final.beside_final is None
    assert (run.path / evaluation.run.logits).is_file()
    text = file.read_text()
    assert str(run.path) not in text  # no path of this machine
    assert str(run.manifest().root) not in text
    assert "NaN" not in text


def test_without_a_policy_every_image_goes_to_the_last_exit(run):
    """`predict` and `evaluate` follow the same rule, and the document says which."""
    session = open_session(run, threads=1)
    evaluation = evaluate_run(session, Options(**QUICK))
    assert evaluation.adaptive is None
    assert [row.name for row in evaluation.rows] == ["exit 1", "exit 2", "exit 3", "final"]
    assert all(row.share is None for row in evaluation.rows)
    assert evaluation.decided_by == session.decider.words == NO_POLICY
    cohort = session.manifest.cohort("test")
    answers = session.engine.predict(np.asarray(session.images(cohort)))
    assert [answer.exit for answer in answers] == [4] * len(cohort)
    assert tuple(answer.label for answer in answers) == evaluation.row("final").predicted


def test_each_consequence_of_an_evaluation_happens_once(run, monkeypatch):
    """A network is loaded, counted, sent through a cohort and decoded for once; of a twin too."""
    twin = untrained_twin(run, run.path.parent / "twin")
    counts: Counter[str] = Counter()

    def count(module, name):
        original = getattr(module, name)

        def counting(*arguments, **options):
            counts[name] += 1
            return original(*arguments, **options)

        monkeypatch.setattr(module, name, counting)

    for module, name in (
        (session_module, "open_backend"),
        (spec_module, "measure_complexity"),
        (Session, "_answers"),
        (logits_module, "contents_sha256"),
        (cache_module, "cache_images"),
        (session_module, "decide"),
    ):
        count(module, name)
    options = Options(rounds=2, resamples=10)
    sessions = [open_session(Run(each.path, each.config), threads=1) for each in (run, twin)]
    evaluate_run(sessions[0], options, twin=sessions[1])
    assert counts == dict.fromkeys(
        ("open_backend", "measure_complexity", "_answers", "contents_sha256", "cache_images"), 2
    ) | {"decide": 1}
    # Kept logits are read, not computed: without times nothing is opened at all.
    counts.clear()
    again = open_session(Run(run.path, run.config), threads=1)
    evaluate_run(again, Options(**QUICK))
    assert counts == {"measure_complexity": 1, "contents_sha256": 1, "decide": 1}


def test_times_stand_in_the_rows(run):
    twin = untrained_twin(run, run.path.parent / "twin")
    evaluation = evaluate_run(
        open_session(run, threads=1, threshold=0.5),
        Options(rounds=2, resamples=200),
        twin=open_session(twin, threads=1),
    )
    assert all(row.time.runs >= 2 for row in evaluation.rows)
    times = [row.time.ms for row in evaluation.rows if row.kind == "exit"]
    for reference in (evaluation.adaptive.oracle, evaluation.adaptive.random):
        assert reference.ms == pytest.approx(np.dot(reference.shares, times))
    assert evaluation.rows[0].name == "twin"
    assert evaluation.timing.threads == 1
    assert evaluation.timing.rounds == 2


def test_a_twin_stands_beside_on_the_same_images(run):
    twin = untrained_twin(run, run.path.parent / "twin")
    evaluation = evaluate_run(
        open_session(run), Options(role="train", **QUICK), twin=open_session(twin)
    )
    row = evaluation.rows[0]
    assert (row.name, row.kind, row.share, row.beside_twin) == ("twin", "twin", None, None)
    assert evaluation.twin.model == "hifuse_nano"
    alone = evaluate_run(open_session(twin), Options(role="train", **QUICK))
    assert alone.row("final").predicted == row.predicted
    final = evaluation.row("final")
    assert final.beside_twin.value == pytest.approx(
        final.scores.accuracy.value - row.scores.accuracy.value
    )
    assert row.beside_final.value == pytest.approx(-final.beside_twin.value)


def test_a_network_with_one_exit_has_one_row_and_no_adaptive_rule(run):
    twin = untrained_twin(run, run.path.parent / "twin")
    evaluation = evaluate_run(open_session(twin), Options(**QUICK))
    assert [row.name for row in evaluation.rows] == ["final"]
    assert evaluation.adaptive is None
    with pytest.raises(UsageError, match="has one exit only: leave out the threshold"):
        evaluate_run(open_session(twin, threshold=0.5), Options(**QUICK))


def test_a_twin_of_another_manifest_is_refused(run):
    twin = untrained_twin(run, run.path.parent / "twin", manifest_sha256="0" * 64)
    with pytest.raises(
        UsageError, match=r"trained on another manifest .* may have seen the images"
    ):
        evaluate_run(open_session(run), Options(**QUICK), twin=open_session(twin))


def test_a_twin_of_other_classes_is_refused(run):
    twin = untrained_twin(run, run.path.parent / "twin", classes=("blue", "green", "violet"))
    with pytest.raises(UsageError, match="knows the classes blue, green, violet"):
        evaluate_run(open_session(run), Options(**QUICK), twin=open_session(twin))


def fitted(run, **changes) -> ExitPolicy:
    served = {
        "weights_sha256": run.weights_sha256,
        "preprocessing": run.config.preprocessing.fingerprint(),
        "precision": "torch-f32",
        "classes": run.classes,
    }
    return ExitPolicy(
        rule=ThresholdRule(kind="margin", thresholds=(0.0, None, None)),
        num_exits=4,
        temperatures=(0.5, 1.0, 1.0, 2.0),
        goal="everyone out at once",
        provenance=Provenance(**served | changes),
    )


def test_the_policy_of_the_run_decides_unless_a_threshold_is_given(run):
    fitted(run).write(run.path / "policy.json")
    evaluation = evaluate_run(open_session(run), Options(**QUICK))
    assert evaluation.adaptive.exits == (1, 1, 1)
    assert evaluation.adaptive.origin == "policy.json: everyone out at once"
    assert evaluation.adaptive.policy.rule.kind == "margin"
    # Its temperature sharpens the probabilities, the exit's own row is as trained.
    assert min(evaluation.row("adaptive").confidence) > min(evaluation.row("exit 1").confidence)
    typed = evaluate_run(open_session(run, threshold=1.0), Options(**QUICK))
    assert typed.adaptive.exits == (4, 4, 4)
    assert typed.adaptive.origin == "largest probability of 1 or more, as asked for"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"weights_sha256": "0" * 64}, "weights '000000000000'"),
        ({"preprocessing": "0" * 64}, "preprocessing '000000000000'"),
        ({"precision": "torch-bf16"}, "precision 'torch-bf16', served 'torch-f32'"),
        ({"classes": ("blue", "red", "green")}, "classes 'blue, red, green', served 'blue, green"),
    ],
)
def test_a_policy_for_something_else_is_refused(run, change, words):
    fitted(run, **change).write(run.path / "policy.json")
    with pytest.raises(PolicyError, match=f"fitted for something else: {words}.*calibrate"):
        evaluate_run(open_session(run), Options(**QUICK))
    assert not (run.path / "evaluation.json").exists()


def test_the_clock_decides_under_a_deadline(run):
    hurried = fixed_exit(4, 4).model_copy(update={"deadline_ms": 1e-6, "goal": "at once"})
    hurried.write(run.path / "policy.json")
    evaluation = evaluate_run(open_session(run, threads=1), Options(rounds=2, resamples=10))
    assert set(evaluation.adaptive.exits) == {1}  # exit 1 always answers
    assert evaluation.row("adaptive").predicted == evaluation.row("exit 1").predicted
    count = len(evaluation.images.paths)
    late = f"policy.json: at once, by the clock of this machine ({count} late)"
    assert evaluation.adaptive.origin == late
    hurried.model_copy(update={"deadline_ms": 1e6}).write(run.path / "policy.json")
    evaluation = evaluate_run(open_session(run, threads=1), Options(rounds=2, resamples=10))
    assert set(evaluation.adaptive.exits) == {4}
    assert evaluation.adaptive.origin.endswith("(0 late)")
    with pytest.raises(UsageError, match="the clock decides where images exit: leave"):
        evaluate_run(open_session(run), Options(**QUICK))


def test_oracle_and_chance_by_hand(run):
    evaluation = evaluate_run(
        open_session(run, threshold=middling(run, "train")), Options(role="train", **QUICK)
    )
    adaptive, row = evaluation.adaptive, evaluation.row("adaptive")
    labels = evaluation.images.labels
    answers = [evaluation.row(name).predicted for name in ("exit 1", "exit 2", "exit 3", "final")]
    right = [[int(a == b) for a, b in zip(each, labels, strict=True)] for each in answers]
    macs = [evaluation.row(name).macs for name in ("exit 1", "exit 2", "exit 3", "final")]
    first = [column.index(1) if any(column) else 0 for column in zip(*right, strict=True)]
    assert adaptive.oracle.accuracy.value == np.mean([any(c) for c in zip(*right, strict=True)])
    assert adaptive.oracle.shares == pytest.approx([first.count(k) / 39 for k in range(4)])
    assert adaptive.oracle.macs == pytest.approx(np.mean([macs[k] for k in first]))
    assert adaptive.oracle.gap.value <= 0
    by_exit = [
        evaluation.row(name).scores.accuracy.value
        for name in ("exit 1", "exit 2", "exit 3", "final")
    ]
    assert adaptive.random.accuracy.value == pytest.approx(np.dot(adaptive.shares, by_exit))
    assert adaptive.random.shares == adaptive.shares
    assert adaptive.random.macs == pytest.approx(row.macs)
    for reference in (adaptive.oracle, adaptive.random):
        assert reference.ms is None
        gap = row.scores.accuracy.value - reference.accuracy.value
        assert reference.gap.value == pytest.approx(gap)


def promise(risk: str, tolerance: float, unit: str) -> Promise:
    return Promise(
        risk=parse_risk(f"{risk}<={tolerance}"),
        delta=0.1,
        images=50,
        unit=unit,
        observed=0.0,
        p_value=0.01,
        method="betting",
    )


def test_promises_stand_beside_what_the_images_show(run, tmp_path):
    """Everyone leaves at exit 1, so a loss is where exit 1 and the final exit differ."""
    promises = (
        promise("disagreement", 1e-9, "image"),
        promise("disagreement", 1e-9, "group"),
        promise("accuracy_loss", 0.99, "image"),
        promise("missed[blue]", 0.99, "image"),
    )
    policy = fitted(run).replaced(promises=promises)
    policy.write(run.path / "policy.json")
    manifest = run.manifest()
    rows = [r for r in manifest.rows if r.role == "train" and r.label != "blue"]
    halves = [ManifestRow(r.path, r.label, f"pair {n // 3}", "test") for n, r in enumerate(rows)]
    doubled = write_manifest(tmp_path / "other.csv", halves, manifest.root)
    doubled = read_manifest(doubled.path, classes=run.classes)
    evaluation = evaluate_run(open_session(run, manifest=doubled), Options(**QUICK))
    shown = evaluation.adaptive.promises
    differs = np.not_equal(evaluation.row("exit 1").predicted, evaluation.row("final").predicted)
    assert differs.any()
    groups = np.array(evaluation.images.groups)
    by_group = [differs[groups == name].mean() for name in np.unique(groups)]
    assert [entry.units for entry in shown] == [26, 9, 26, 0]
    assert shown[0].observed.value == pytest.approx(differs.mean())
    assert shown[1].observed.value == pytest.approx(np.mean(by_group))
    lost = (
        evaluation.row("final").scores.accuracy.value
        - evaluation.row("exit 1").scores.accuracy.value
    )
    assert shown[2].observed.value == pytest.approx(lost)
    assert [entry.kept for entry in shown] == [False, False, True, None]
    assert [entry.promise for entry in shown] == list(promises)
    assert shown[3].observed.value is None
    assert shown[3].observed.reason == "no image of class 'blue'"
    interval = shown[1].observed.interval
    assert interval.low < shown[1].observed.value < interval.high
    drawn = np.random.default_rng(0).choice(by_group, (20000, 9)).mean(axis=1)
    assert interval.low == pytest.approx(np.quantile(drawn, 0.025), abs=0.06)
    assert interval.high == pytest.approx(np.quantile(drawn, 0.975), abs=0.06)


def test_a_promise_without_a_single_loss_has_the_exact_interval(run):
    policy = fitted(run).replaced(
        rule=ThresholdRule(kind="margin", thresholds=(None, None, None)),
        promises=(promise("disagreement", 0.5, "image"), promise("accuracy_loss", 0.5, "image")),
    )
    policy.write(run.path / "policy.json")
    exact, betting = evaluate_run(open_session(run), Options(**QUICK)).adaptive.promises
    assert (exact.observed.value, exact.observed.interval.low) == (0.0, 0.0)
    assert exact.observed.interval.high == pytest.approx(1 - 0.025 ** (1 / 3))  # of three groups
    assert betting.observed.interval is None  # a gain would count as well
    assert "every draw of groups gives the same value" in betting.observed.reason


def test_other_roles_and_manifests_do_not_replace_the_evaluation(run, tmp_path):
    evaluate_run(open_session(run), Options(**QUICK))
    before = (run.path / "evaluation.json").read_bytes()
    evaluation = evaluate_run(open_session(run), Options(role="val", **QUICK))
    assert evaluation.caution.startswith("these images chose the epoch")
    manifest = run.manifest()
    rows = [ManifestRow(row.path, row.label, row.group, "test") for row in manifest.rows[:30]]
    rows += [row for row in manifest.rows if row.label == "red"]
    all_test = write_manifest(tmp_path / "other.csv", rows, manifest.root)
    outside = evaluate_run(open_session(run, manifest=all_test), Options(**QUICK))
    assert outside.caution is None
    assert (run.path / "evaluation.json").read_bytes() == before
    names = {path.name for path in run.path.glob("evaluation*")}
    expected = f"evaluation-{all_test.sha256[:8]}.json"
    assert names == {"evaluation.json", "evaluation-val.json", expected}


def test_a_threshold_out_of_range_is_refused(run):
    with pytest.raises(PolicyError, match="less than or equal to 1"):
        evaluate_run(open_session(run, threshold=1.5), Options(**QUICK))
