"""Reliability: bins as the calibration error has them, before and after the temperature."""

import numpy as np
import pytest

from endoexit.evaluation.figures import significant
from endoexit.policy import softmax
from endoexit.policy.temperature import expected_calibration_error, negative_log_likelihood
from endoexit.reporting.reliability import (
    bins_of,
    measure_reliability,
    no_temperatures,
    reliability_diagrams,
)
from report_material import make_logits, make_material


def test_bins_hold_what_the_calibration_error_is_made_of():
    logits, labels = make_logits(4, 500, 1)
    probabilities = softmax(logits[0])
    sure, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    bins = bins_of(sure, right)
    assert bins.counts.sum() == 500
    assert bins.ece == pytest.approx(expected_calibration_error(probabilities, labels))
    top = (sure > 14 / 15) & (sure <= 1)
    assert bins.counts[-1] == top.sum()
    assert bins.right[-1] == pytest.approx(right[top].mean())
    assert bins.sure[-1] == pytest.approx(sure[top].mean())


def test_reliability_before_and_after_the_policys_temperature():
    material = make_material(images=300)
    labels = np.array(material.evaluation.images.labels)
    for number, reliability in enumerate(measure_reliability(material), start=1):
        temperature = material.policy.temperatures[number - 1]
        logits = material.logits[number - 1]
        assert reliability.temperature == temperature
        before, after = (
            expected_calibration_error(softmax(logits, t), labels) for t in (1.0, temperature)
        )
        # The evaluation keeps six digits of each probability.
        assert reliability.before.ece == pytest.approx(before, abs=2e-3)
        assert reliability.after.ece == pytest.approx(after)
        assert reliability.nll[1] == pytest.approx(
            negative_log_likelihood(logits, labels, temperature)
        )


def test_a_caption_has_the_errors_with_three_significant_digits():
    material = make_material(images=300)
    exits = measure_reliability(material)
    for picture, exit_ in zip(reliability_diagrams(material, exits), exits, strict=True):
        assert picture.caption == (
            f"ECE {significant(exit_.before.ece)} before, {significant(exit_.after.ece)} after "
            f"T = {significant(exit_.temperature)}"
        )


def test_without_fitted_temperatures_the_reason_is_told():
    assert no_temperatures(make_material()) is None
    assert "has no fitted temperatures" in no_temperatures(make_material(temperatures=(1.0,) * 4))
    assert "There is no exit policy" in no_temperatures(make_material(exits=1))
