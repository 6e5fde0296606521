"""Single images: answers as the engine gives them, and pictures beside."""

import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from endoexit.artifacts.run import Run
from endoexit.cli.main import app
from endoexit.errors import RunError, UsageError
from endoexit.images.reference import ImageRef
from endoexit.phantom.origin import SETTINGS_FILE
from endoexit.phantom.render import render_phantom
from endoexit.policy import deadline_policy, threshold_policy
from endoexit.policy.referral import Referral, Unlike, Unsure, energy
from endoexit.reporting.explain import MOST
from endoexit.reporting.explain import explain as explain_refs
from endoexit.runtime.backends.torch import TorchBackend
from endoexit.runtime.engine import Engine
from endoexit.runtime.exits import all_exits
from endoexit.runtime.session import open_session
from tiny import CLASSES, save_photos, tiny_run


def explain(source, paths, out):
    return explain_refs(replace(source, results=out), [ImageRef(path) for path in paths])


@pytest.fixture
def run(tmp_path):
    return tiny_run(tmp_path / "run")


def test_the_answers_are_those_of_the_engine(run, tmp_path):
    photos = save_photos(tmp_path / "photos", 6)
    paths = [photos / f"{number}.png" for number in range(6)]
    explained = explain(open_session(run.path, threshold=0.6), paths, tmp_path / "out")
    preprocessing = run.config.preprocessing
    engine = Engine(
        TorchBackend(run.load_model(), threads=1), threshold_policy(4, 0.6), preprocessing
    )
    answers = engine.predict(np.stack([preprocessing.load(path) for path in paths]))
    for card, answer in zip(explained.cards, answers, strict=True):
        (used,) = (entry for entry in card.answers if entry.used)
        assert used.label == CLASSES[answer.label]
        assert card.answers.index(used) + 1 == answer.exit
        assert card.probabilities[answer.exit - 1] == pytest.approx(answer.probabilities, abs=1e-4)
        assert [entry.ran for entry in card.answers] == [k <= answer.exit for k in (1, 2, 3, 4)]
        assert [view.name for view in card.views] == [
            "image", "exit 1", "exit 2", "exit 3", "final",
        ]  # fmt: skip
    assert len({answer.exit for answer in answers}) > 1
    assert len(explained.pictures) == 30
    for file in explained.pictures:
        with Image.open(file) as picture:
            assert picture.format == "JPEG"
    html = explained.page.read_text(encoding="utf-8")
    assert html.count("<article") == 6


def test_an_image_may_have_as_long_a_name_as_a_file_can(run, tmp_path):
    long = save_photos(tmp_path / "photos", 1) / "0.png"
    long = long.rename(long.with_name("x" * 251 + ".png"))
    explained = explain(open_session(run.path), [long], tmp_path / "out")
    assert [file.name for file in explained.pictures] == [
        "001-image.jpg", "001-exit-1.jpg", "001-exit-2.jpg", "001-exit-3.jpg", "001-final.jpg",
    ]  # fmt: skip
    assert long.name in explained.page.read_text(encoding="utf-8")


def test_what_cannot_be_read_is_named_and_the_others_go_on(run, tmp_path):
    photos = save_photos(tmp_path, 1)
    (tmp_path / "broken<i>.png").write_bytes(b"no image")
    paths = [tmp_path / "broken<i>.png", photos / "0.png", tmp_path / "gone.png"]
    explained = explain(open_session(run.path), paths, tmp_path / "out")
    assert [card.name for card in explained.cards] == [str(photos / "0.png")]
    assert [name for name, _ in explained.failed] == [str(paths[0]), str(paths[2])]
    html = explained.page.read_text(encoding="utf-8")
    assert "broken&lt;i&gt;.png" in html
    assert "<i>" not in html


def test_synthetic_images_are_marked_and_others_are_not(run, tmp_path):
    rendered, photos = save_photos(tmp_path / "a" / "normal", 1), save_photos(tmp_path / "b", 1)
    (tmp_path / "a" / SETTINGS_FILE).write_text("{}")
    paths = [rendered / "0.png", photos / "0.png"]
    html = explain(open_session(run.path), paths, tmp_path / "out").page.read_text("utf-8")
    first, second = html.split("<article")[1:]
    assert "<strong>Synthetic image.</strong>" in first
    assert "Synthetic" not in second


def test_a_copy_of_a_rendered_image_is_marked_in_any_folder(run, tmp_path):
    rendered = next(render_phantom(tmp_path / "phantom", 1, size=32).rglob("*.jpg"))
    copy = Path(shutil.copy(rendered, tmp_path / "a copy.jpg"))
    explained = explain(open_session(run.path), [copy], tmp_path / "out")
    assert "<strong>Synthetic image.</strong>" in explained.page.read_text("utf-8")
    assert explained.cards[0].synthetic


def unlike_at(run, paths, number):
    """Return a referral under which exit `number` finds about half of the images unlike."""
    session = open_session(run.path)
    seen = np.stack([session.preprocessing.load(path) for path in paths])
    logits = all_exits(session.backend)(session.preprocessing.normalise(seen))
    thresholds = [99.0] * 4
    thresholds[number - 1] = float(np.median(energy(logits[number - 1])))
    return Referral(unlike=Unlike(thresholds=tuple(thresholds), share=0.5))


def test_referred_images_are_those_of_the_engine_and_have_no_answer(run, tmp_path):
    photos = save_photos(tmp_path / "photos", 6)
    paths = [photos / f"{number}.png" for number in range(6)]
    referral = unlike_at(run, paths, 2).replaced(unsure=Unsure(threshold=1.0))
    threshold_policy(4, 1.0).replaced(referral=referral).write(run.path / "policy.json")
    session = open_session(run.path)
    explained = explain(session, paths, tmp_path / "out")
    seen = np.stack([session.preprocessing.load(path) for path in paths])
    answers = session.engine.predict(seen)
    assert [card.referred for card in explained.cards] == [answer.referred for answer in answers]
    assert {answer.referred for answer in answers} == {"unlike", "unsure"}
    articles = explained.page.read_text("utf-8").split("<article")[1:]
    for card, answer, article in zip(explained.cards, answers, articles, strict=True):
        label = CLASSES[answer.label]
        assert card.leans_to == label
        assert card.title.startswith(f"referred to a human ({answer.referred}) by ")
        assert card.title.endswith(f", leans to {label}")
        assert f"Referred to a human ({answer.referred}):" in article
        assert f"The network leans to {label}; that is no answer." in article
        assert article.count("refers to a human</td>") == 1
        assert "answers here" not in article


def test_under_a_deadline_only_what_exit_1_refers_is_certain(run, tmp_path):
    photos = save_photos(tmp_path / "photos", 6)
    paths = [photos / f"{number}.png" for number in range(6)]
    referral = unlike_at(run, paths, 1)
    policy = deadline_policy(4, 25).replaced(referral=referral)
    policy.write(run.path / "policy.json")
    explained = explain(open_session(run.path), paths, tmp_path / "out")
    for card in explained.cards:
        used = {answer.used for answer in card.answers}
        assert used == ({False} if card.referred else {None})
    assert {card.referred for card in explained.cards} == {"unlike", None}


def test_the_network_is_loaded_once(run, tmp_path, monkeypatch):
    loaded, load = [], Run.load_model
    monkeypatch.setattr(Run, "load_model", lambda run: loaded.append(run) or load(run))
    photos = save_photos(tmp_path / "photos", 1)
    explain(open_session(run.path), [photos / "0.png"], tmp_path / "out")
    assert len(loaded) == 1


def test_a_page_does_not_grow_without_end(run, tmp_path):
    with pytest.raises(UsageError, match="201 images are more than the 200 of one page"):
        explain(open_session(run.path), [tmp_path / "a.png"] * (MOST + 1), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_without_a_policy_the_last_exit_answers(run, tmp_path):
    photos = save_photos(tmp_path, 1)
    source = open_session(run.path)
    (card,) = explain(source, [photos / "0.png"], tmp_path / "out").cards
    assert source.decider.words == "the last exit, as there is no policy"
    assert card.title.endswith("answered by the final exit")


def test_a_deadline_leaves_it_to_the_clock_which_exit_answers(run, tmp_path):
    photos = save_photos(tmp_path / "photos", 6)
    paths = [photos / f"{number}.png" for number in range(6)]
    deadline_policy(4, 25).write(run.path / "policy.json")
    explained = explain(open_session(run.path), paths, tmp_path / "out")
    for card in explained.cards:
        assert {(answer.used, answer.ran) for answer in card.answers} == {(None, None)}
        assert "answered by" not in card.title
        assert card.title.endswith("the clock") == (
            len({entry.label for entry in card.answers}) > 1
        )
    page = explained.page.read_text(encoding="utf-8")
    assert "the last exit that finishes within 25 ms" in page
    assert "up to the clock</td>" in page
    assert not {"answers here", "not computed", "continues"} & set(
        re.findall(r">([^<]+)</td>", page)
    )


def test_no_page_is_written_into_a_bundle(bundles, tmp_path):
    bundle = bundles.make("torch", "f32").path
    photo = save_photos(tmp_path / "photos", 1) / "0.png"
    words = ["explain", str(bundle), str(photo), "--out", str(bundle / "page")]
    done = CliRunner().invoke(app, words)
    assert isinstance(done.exception, UsageError)
    assert "is in the bundle" in str(done.exception)
    assert "name another folder" in str(done.exception)
    assert not (bundle / "page").exists()


def test_a_run_without_weights_is_refused(run):
    run.weights_path.unlink()
    with pytest.raises(RunError, match="endoexit train --resume"):
        assert open_session(run.path).engine
