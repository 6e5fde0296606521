"""Learned gates with drawn weights, and a cohort on which they beat thresholds by construction."""

import numpy as np
from hypothesis import strategies as st

from endoexit.policy.logits import LogitSet
from endoexit.policy.rules.eenet import EenetRule
from endoexit.policy.rules.jei_dnn import JeiDnnRule
from endoexit.policy.rules.linear_gate import LinearGateRule

GATES = (LinearGateRule, JeiDnnRule, EenetRule)
KINDS = tuple(kind.model_fields["kind"].default for kind in GATES)


def gate(kind, num_exits, num_classes, thresholds=None, seed=0):
    """Return a gate of a kind with random weights."""
    generator = np.random.default_rng(seed)
    widths = [kind.width(number, num_classes) for number in range(1, num_exits)]
    return kind(
        num_classes=num_classes,
        weights=tuple(tuple(generator.normal(size=width).tolist()) for width in widths),
        thresholds=(0.3,) * (num_exits - 1) if thresholds is None else thresholds,
    )


def drawn_gates(num_exits, num_classes):
    """Return the strategy of gates of all kinds for a network."""
    threshold = st.none() | st.floats(-2, 2)
    return st.builds(
        gate,
        st.sampled_from(GATES),
        st.just(num_exits),
        st.just(num_classes),
        st.tuples(*[threshold] * (num_exits - 1)),
        st.integers(0, 50),
    )


def lying(images=600, seed=0, exits=3):
    """Return logits whose exit 1 is surest where it is wrong; the last exit is always right.

    Exit 1 calls half of the images of class 1 class 0, more surely than it says anything else.
    Where it says another class, it is right. So no threshold keeps its good answers without its
    lies.
    """
    generator = np.random.default_rng(seed)
    labels = generator.integers(3, size=images)
    said = np.where((labels == 1) & (generator.random(images) < 0.5), 0, labels)
    logits = generator.normal(scale=0.1, size=(exits, images, 3))
    rows = np.arange(images)
    logits[0, rows, said] += np.where(said == 0, 4.0, 1.0) + generator.uniform(0, 2, images)
    for row in range(1, exits):
        logits[row, rows, labels] += generator.uniform(3, 6, images)
    return LogitSet("calibrate", logits.astype(np.float32), labels)
