"""Referral in an evaluation, held against the engine and against counts by hand."""

import json

import numpy as np
import pytest
from PIL import Image

from endoexit.errors import DataError
from endoexit.evaluation.document import Evaluation
from endoexit.evaluation.study import Options, evaluate_run
from endoexit.policy import ExitPolicy, threshold_policy
from endoexit.policy.referral import Referral, Unlike, Unsure, energy, fit_unlike
from endoexit.runtime.engine import Engine
from endoexit.runtime.session import open_session

QUICK = {"timing": False, "resamples": 200}
NOTHING_UNLIKE = Unlike(thresholds=(1e9,) * 4, share=0.1)


@pytest.fixture
def foreign(tmp_path):
    """Black frames and noise, and a file that is no image."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    generator = np.random.default_rng(0)
    for number in range(3):
        noise = generator.integers(0, 256, (40, 50, 3), dtype=np.uint8)
        Image.fromarray(noise).save(folder / f"noise{number}.png")
        Image.new("RGB", (40, 50)).save(folder / f"black{number}.png")
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    return folder


def referring(run, **parts) -> ExitPolicy:
    policy = threshold_policy(4, 0.3).replaced(referral=Referral(**parts))
    policy.write(run.path / "policy.json")
    return policy


def test_the_rows_are_what_the_engine_does(run):
    session = open_session(run)
    logits = session.logits("train").logits
    policy = referring(run, unsure=Unsure(threshold=0.05), unlike=fit_unlike(logits, 0.3))
    evaluation = evaluate_run(open_session(run), Options(role="train", **QUICK))
    images = session.images(session.manifest.cohort("train"))
    answers = Engine(session.backend, policy, session.preprocessing).predict(images)
    row = evaluation.referrals.rows[0]
    reasons = [answer.referred for answer in answers]
    assert row.images == len(answers)
    assert (row.unsure, row.unlike) == (reasons.count("unsure"), reasons.count("unlike"))
    assert row.unlike > 0
    labels = evaluation.images.labels
    answered = [
        a.label != label for a, label in zip(answers, labels, strict=True) if not a.referred
    ]
    assert row.coverage.value == len(answered) / len(answers)
    assert row.risk.value == pytest.approx(np.mean(answered))
    classes = evaluation.referrals.rows[1:]
    assert sum(entry.images for entry in classes) == row.images
    assert sum(entry.unlike for entry in classes) == row.unlike
    curve = {entry.name: entry for entry in evaluation.referrals.curves}["policy"]
    assert curve.coverage[-1] == 1.0
    assert curve.risk[-1] == pytest.approx(1 - evaluation.row("adaptive").scores.accuracy.value)
    path = run.path / "evaluation-train.json"
    assert Evaluation.read(path) == evaluation


def test_a_policy_that_refers_every_image_has_no_risk(run):
    referring(run, unlike=Unlike(thresholds=(-1e9,) * 4, share=0.1))
    row = evaluate_run(open_session(run), Options(**QUICK)).referrals.rows[0]
    assert (row.coverage.value, row.unlike) == (0.0, row.images)
    assert (row.risk.value, row.risk.reason) == (None, "every image is referred")


def test_foreign_images_are_counted_where_the_engine_refers_them(run, foreign):
    session = open_session(run)
    good = session.logits("test").logits
    # An energy between those of the folder's images: some are unlike, some are not.
    loaded = np.stack([session.preprocessing.load(path) for path in sorted(foreign.glob("[!b]*")) +
                       sorted(foreign.glob("black*"))])  # fmt: skip
    backend = session.backend
    _, first = backend.run(1, backend.start(session.preprocessing.normalise(loaded)))
    middle = float(np.median(energy(first)))
    policy = referring(run, unlike=Unlike(thresholds=(middle, 1e9, 1e9, 1e9), share=0.1))
    answers = Engine(backend, policy, session.preprocessing).predict(loaded)
    seen = evaluate_run(open_session(run), Options(**QUICK, foreign=(foreign,))).foreign
    (foreign_row,) = seen
    assert (foreign_row.name, foreign_row.images, foreign_row.failed) == ("elsewhere", 6, 1)
    assert foreign_row.unlike == sum(answer.referred == "unlike" for answer in answers) == 3
    at = np.bincount([answer.exit for answer in answers], minlength=5)[1:] / 6
    assert foreign_row.exit_shares == pytest.approx(at)
    pairs = energy(first)[:, None] > energy(good[0])[None]
    assert foreign_row.auroc[0] == pytest.approx(pairs.mean(), abs=1e-6)


def test_without_referral_nothing_is_written_of_it(run):
    threshold_policy(4, 0.5).write(run.path / "policy.json")
    evaluation = evaluate_run(open_session(run), Options(**QUICK))
    assert evaluation.referrals is None
    document = json.loads((run.path / "evaluation.json").read_text())
    assert not {"referrals", "foreign"} & set(document)


def test_a_folder_without_images_is_an_error(run, tmp_path):
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "a.png").write_bytes(b"no image")
    for folder, message in ((tmp_path / "gone", "no folder of"), (broken, "can be read: name")):
        session, options = open_session(run), Options(**QUICK, foreign=(folder,))
        with pytest.raises(DataError, match=message):
            evaluate_run(session, options)
