"""Cards: what each exit answers about one image, and why a picture is missing."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from endoexit.images.preprocessing import Preprocessing
from endoexit.images.reference import ImageRef
from endoexit.policy import softmax, threshold_policy
from endoexit.reporting.cards import Cards, GalleryImage, exit_probabilities
from endoexit.reporting.material import Absent, ExitAttention
from tiny import save_photos

PROBABILITIES = np.array([[0.7, 0.3], [0.4, 0.6]])


class Looking:
    """A network that looks at the same corner at every exit, and at nothing at the last."""

    def __call__(self, images):
        corner = np.zeros((len(images), 2, 2), np.float32)
        corner[:, 0, 1] = 2
        return [ExitAttention(corner, "cbam"), ExitAttention(0 * corner, "grad-cam")]


def subject(image, *, exit_=1, truth=1):
    return GalleryImage(
        name="x.png", title="t", image=image, truth=truth, exit=exit_,
        probabilities=PROBABILITIES, predicted=[0, 1],
    )  # fmt: skip


def cards(network=None):
    network = network or Absent("No network.")
    preprocessing = Preprocessing(size=32)
    return Cards(("a", "b"), ("exit 1", "final"), preprocessing, network, Absent("No masks."))


def test_each_exit_answers_and_the_policy_takes_one():
    (card,) = cards().make([subject(None)])
    first, last = card.answers
    assert (first.exit, first.label, first.probability, first.of_truth) == ("exit 1", "a", 0.7, 0.3)
    assert (first.right, first.used, first.ran) == (False, True, True)
    assert (last.right, last.used, last.ran) == (True, False, False)
    assert card.truth_known


def test_what_is_not_known_is_none():
    (card,) = cards().make([subject(None, exit_=None, truth=None)])
    for answer in card.answers:
        assert answer.right is answer.used is answer.ran is answer.of_truth is None
    assert not card.truth_known


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "The folder of the images is not known."),
        ("", "The image is not there any more."),
        ("text", "The image cannot be read any more."),
    ],
)
def test_a_missing_picture_has_its_reason(tmp_path, content, reason):
    file = tmp_path / "x.png"
    if content:
        file.write_text(content)
    (card,) = cards().make([subject(None if content is None else ImageRef(file))])
    assert (card.missing, card.views) == (reason, ())


def test_views_tell_where_each_exit_looks(tmp_path: Path):
    photos = save_photos(tmp_path / "photos", 1)
    (card,) = cards(Looking()).make([subject(ImageRef(photos / "0.png"))])
    assert [view.name for view in card.views] == ["image", "exit 1", "final"]
    photograph, first, last = card.views
    assert photograph.alt == "Photograph of b: x.png"
    assert first.title == "exit 1: spatial attention (CBAM)"
    assert "from the top; from 0.00 to 2.00." in first.alt
    assert last.alt == "final, Grad-CAM: nothing speaks for the answer."
    assert photograph.address.startswith("data:image/jpeg;base64,")


def test_one_missing_image_does_not_shift_the_others(tmp_path: Path):
    photos = save_photos(tmp_path / "photos", 2)
    paths = photos / "0.png", tmp_path / "gone.png", photos / "1.png"
    first, gone, last = cards(Looking()).make([subject(ImageRef(path)) for path in paths])
    assert not gone.views
    assert len(first.views) == len(last.views) == 3
    assert first.views[0].jpeg != last.views[0].jpeg


def test_probabilities_are_at_the_temperatures_of_the_policy():
    logits = np.random.default_rng(0).normal(size=(2, 3, 4)).astype(np.float32)
    policy = threshold_policy(2, 0.5).replaced(temperatures=(2.0, 4.0))
    probabilities = exit_probabilities(policy, logits)
    assert probabilities[1] == pytest.approx(softmax(logits[1], 4.0))
    assert exit_probabilities(None, logits)[1] == pytest.approx(softmax(logits[1]))


def test_a_referred_image_has_no_answer_and_a_label_that_the_network_leans_to():
    (card,) = cards().make([replace(subject(None, exit_=2), referred="unsure")])
    first, last = card.answers
    assert (first.used, first.referred, first.ran) == (False, False, True)
    assert (last.used, last.referred, last.ran) == (False, True, True)
    assert (card.referred, card.leans_to) == ("unsure", "b")
    assert card.why_referred == "the final exit is unsure"


def test_an_answered_image_leans_to_nothing():
    (card,) = cards().make([subject(None)])
    assert card.leans_to is card.referred is None
    assert card.why_referred == ""
    assert [answer.referred for answer in card.answers] == [False, False]
