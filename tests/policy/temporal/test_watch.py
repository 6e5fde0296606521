"""The state over one clip: reuse, cuts, blind frames, and that nothing happens with rules off."""

import numpy as np
import pytest

from endoexit.policy import threshold_policy
from endoexit.policy.temporal.settings import (
    ALL_OFF,
    RULES,
    Blind,
    Evidence,
    Reuse,
    TemporalSettings,
)
from endoexit.policy.temporal.watch import Watch
from phantom_clips import still

FPS = 25
POLICY = threshold_policy(4, 0.9)


def answer(label: int) -> np.ndarray:
    return np.array([0.9 if each == label else 0.05 for each in range(3)])


def seen(settings: TemporalSettings, frames: list[np.ndarray], labels: list[int] | None = None):
    """Return what is said of each frame, and what is shown for it."""
    watch = Watch(settings, POLICY)
    looks, shown = [], []
    for at, frame in enumerate(frames):
        look = watch.look(frame, at / FPS)
        looks.append(look)
        if look.blind is None:
            label = labels[at] if labels else 0
            watch.answered(look, label, answer(label), 1)
        shown.append(watch.shown)
    return looks, shown


def shifted(pixels: np.ndarray, levels: int) -> np.ndarray:
    return np.clip(pixels.astype(int) + levels, 0, 255).astype(np.uint8)


def test_with_all_rules_off_every_frame_is_computed_and_its_label_shown():
    frames = [still("polyps")] * 5 + [np.zeros((160, 160, 3), np.uint8)] * 5
    labels = [0, 1, 2, 1, 0, 2, 1, 0, 2, 1]
    looks, shown = seen(ALL_OFF, frames, labels)
    assert shown == labels
    assert not any(look.reuse or look.blind for look in looks)
    assert not Watch(ALL_OFF, POLICY).lets_exit(1, np.zeros((1, 3)), np.empty((1, 0)))


@pytest.mark.parametrize("most", [1, 4, 25])
def test_a_frozen_clip_is_computed_once_in_a_while(most):
    settings = ALL_OFF.replaced(reuse=Reuse(frames=most))
    looks, _ = seen(settings, [still("polyps")] * 60)
    computed = [at for at, look in enumerate(looks) if not look.reuse]
    assert computed == list(range(0, 60, most))


def test_a_slow_drift_is_computed_again_once_it_adds_up():
    settings = ALL_OFF.replaced(reuse=Reuse(distance=2.5, frames=1000))
    base = np.full((64, 64, 3), 100, np.uint8)
    looks, _ = seen(settings, [shifted(base, step) for step in range(12)])
    assert [at for at, look in enumerate(looks) if not look.reuse] == [0, 3, 6, 9]
    assert all(look.change == pytest.approx(1, rel=1e-4) for look in looks[1:])


def test_a_cut_lets_the_new_label_show_after_k_frames():
    frames = [still("polyps")] * 10 + [still("normal-cecum")] * 10
    looks, shown = seen(TemporalSettings(cut=5), frames, [0] * 10 + [1] * 10)
    assert [at for at, look in enumerate(looks) if look.cut] == [10]
    frames_of_rule = Evidence().frames
    assert shown == [0] * (10 + frames_of_rule - 1) + [1] * (10 - frames_of_rule + 1)


def test_blind_frames_are_no_evidence_and_what_is_shown_outlasts_them_for_a_while():
    black = np.zeros((160, 160, 3), np.uint8)
    frames = [still("polyps")] * 3 + [black] * FPS * 2 + [still("polyps")]
    settings = TemporalSettings(blind=Blind(hold_s=1.0))
    looks, shown = seen(settings, frames)
    assert [look.blind for look in looks] == [None] * 3 + ["dark"] * 50 + [None]
    held = shown[3:-1].count(0)
    assert held == FPS
    assert shown == [0] * (3 + held) + [None] * (50 - held) + [0]


def test_a_referred_frame_is_no_evidence():
    frame = still("polyps")
    for settings, shown in ((TemporalSettings(), 0), (ALL_OFF, None)):
        watch = Watch(settings, POLICY)
        watch.answered(watch.look(frame, 0.0), 0, answer(0), 1)
        watch.look(frame, 0.5)
        watch.referred()
        assert watch.shown == shown
    watch = Watch(TemporalSettings(), POLICY)
    watch.answered(watch.look(frame, 0.0), 0, answer(0), 1)
    watch.look(frame, 1.5)
    watch.referred()
    assert watch.shown is None


def test_memory_waits_while_another_label_is_ahead():
    settings = ALL_OFF.switched({"evidence": True, "exit_memory": True})
    watch = Watch(settings, POLICY)
    logits = np.log([[0.85, 0.1, 0.05]])
    frame, nothing = still("polyps"), np.empty((1, 0), np.int64)
    for at in range(3):
        watch.answered(watch.look(frame, at / FPS), 0, answer(0), 1)
    assert watch.lets_exit(1, logits, nothing)
    for at in range(3, 5):
        watch.answered(watch.look(frame, at / FPS), 1, answer(1), 1)
    assert not watch.lets_exit(1, np.log([[0.1, 0.85, 0.05]]), nothing)


def test_a_clip_in_two_parts_is_decided_as_in_one():
    settings = ALL_OFF.switched(dict.fromkeys(RULES, True))
    generator = np.random.default_rng(0)
    frames = [shifted(still("polyps"), int(step)) for step in generator.integers(0, 3, 40)]
    assert seen(settings, frames)[1][:20] == seen(settings, frames[:20])[1]


def test_a_label_does_not_outlast_referred_frames_without_the_blind_rule_either():
    watch = Watch(TemporalSettings(blind=None), POLICY)
    watch.answered(watch.look(still("polyps"), 0.0), 1, answer(1), 1)
    shown = []
    for at in range(1, 40):
        watch.look(still("polyps"), at / FPS)
        watch.referred()
        shown.append(watch.shown)
    assert shown == [1] * 25 + [None] * 14  # a second


@pytest.mark.parametrize("hidden", ["referred", "blind"])
def test_a_cut_to_a_frame_without_an_answer_counts_at_the_next_answer(hidden):
    settings = TemporalSettings(evidence=Evidence(keep=0.9), exit_memory=None, reuse=None)
    watch = Watch(settings, POLICY)
    here, there = still("polyps"), shifted(still("polyps"), 60)
    for at in range(20):
        watch.answered(watch.look(here, at / FPS), 0, answer(0), 1)
    look = watch.look(np.zeros_like(here) if hidden == "blind" else there, 20 / FPS)
    assert look.cut
    if hidden == "referred":
        watch.referred()
    shown = []
    for at in range(21, 26):
        look = watch.look(there, at / FPS)
        shown.append(watch.answered(look, 1, answer(1), 1))
    assert shown == [0, 0, 1, 1, 1]
