import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from endoexit.errors import PolicyError, UsageError
from endoexit.policy import CONFIDENCES, confidence, softmax
from endoexit.policy.confidence import CLOSE, confidence_of_one

THREE = np.log([[0.7, 0.2, 0.1], [1 / 3, 1 / 3, 1 / 3], [0.5, 0.5 - 1e-9, 1e-9]])
finite = hnp.arrays(
    np.float32,
    st.tuples(st.integers(1, 9), st.integers(2, 6)),
    elements=st.floats(-80, 80, width=32),
)


def test_confidences_of_a_case_computed_by_hand():
    entropy = -(0.7 * np.log(0.7) + 0.2 * np.log(0.2) + 0.1 * np.log(0.1))
    assert confidence(THREE, "max_probability") == pytest.approx([0.7, 1 / 3, 0.5])
    assert confidence(THREE, "margin") == pytest.approx([0.5, 0.0, 0.0], abs=1e-8)
    assert confidence(THREE, "entropy") == pytest.approx(
        [1 - entropy / np.log(3), 0.0, 1 - np.log(2) / np.log(3)], abs=1e-7
    )


def test_temperature_divides_the_logits():
    assert softmax([[2.0, 0.0]], 2.0) == pytest.approx(
        np.array([[np.e / (np.e + 1), 1 / (np.e + 1)]])
    )
    assert confidence([[2.0, 0.0]], "max_probability", 1e6) == pytest.approx([0.5], abs=1e-5)


@pytest.mark.parametrize("rule", CONFIDENCES)
@given(logits=finite)
def test_range_and_same_bits_alone_as_in_a_batch(rule, logits):
    together = confidence(logits, rule, 1.3)
    alone = np.concatenate([confidence(row[None], rule, 1.3) for row in logits])
    from_the_end = confidence(logits[::-1], rule, 1.3)[::-1]
    assert np.array_equal(together, alone)
    assert np.array_equal(together, from_the_end)
    assert (together >= 0).all()
    assert (together <= 1).all()


def test_extreme_logits_stay_exact():
    sure = np.array([[1e4, 0.0, -1e4]], dtype=np.float32)
    for rule in CONFIDENCES:
        assert confidence(sure, rule) == [1.0]


def test_refusals():
    with pytest.raises(UsageError, match="did you mean 'entropy'"):
        confidence(THREE, "entrpy")
    with pytest.raises(PolicyError, match="two or more classes"):
        confidence([[1.0]], "margin")
    with pytest.raises(PolicyError, match="NaN or infinity"):
        confidence([[np.nan, 1.0]], "entropy")


@pytest.mark.parametrize("rule", CONFIDENCES)
@given(logits=finite, temperature=st.floats(0.01, 100.0))
def test_one_image_without_arrays_is_close_to_its_row(rule, logits, temperature):
    exact = confidence(logits, rule, temperature)
    for row, value in zip(logits.tolist(), exact.tolist(), strict=True):
        alone = confidence_of_one(row, rule, temperature)
        assert alone is not None
        assert abs(alone - value) <= CLOSE / 1000
        assert 0.0 <= alone <= 1.0


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("rule", CONFIDENCES)
def test_one_image_with_logits_that_are_not_finite_is_left_to_the_arrays(rule, value):
    assert confidence_of_one([0.0, value, 1.0], rule, 1.0) is None
    assert confidence_of_one([value, 0.0, 1.0], rule, 1.0) is None


def test_one_image_with_many_classes_is_left_to_the_arrays():
    assert confidence_of_one([0.0] * 64, "margin", 1.0) == 0.0
    assert confidence_of_one([0.0] * 65, "margin", 1.0) is None
