import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score
from torchmetrics.functional.classification import multiclass_calibration_error

from endoexit.policy.confidence import confidence, softmax
from endoexit.policy.temperature import (
    TEMPERATURE_RANGE,
    describe_calibration,
    expected_calibration_error,
    fit_temperature,
    fit_temperatures,
    negative_log_likelihood,
    ranking_auroc,
)


def temperature_by_torch(logits, labels):
    """Return the temperature found by L-BFGS on log T with torch's own cross entropy."""
    scores, target = torch.tensor(logits, dtype=torch.float64), torch.tensor(labels)
    log_temperature = torch.zeros((), dtype=torch.float64, requires_grad=True)
    exact = {"tolerance_grad": 1e-12, "tolerance_change": 1e-14, "max_iter": 500}
    optimiser = torch.optim.LBFGS([log_temperature], line_search_fn="strong_wolfe", **exact)

    def closure():
        optimiser.zero_grad()
        loss = torch.nn.functional.cross_entropy(scores / log_temperature.exp(), target)
        loss.backward()
        return loss

    optimiser.step(closure)
    return float(log_temperature.detach().exp())


def test_temperature_is_that_of_another_implementation(golden):
    data = golden("cal")
    for logits, fitted in zip(data.logits, fit_temperatures(data), strict=True):
        assert fitted == pytest.approx(temperature_by_torch(logits, data.labels), rel=1e-5)


def test_temperature_recovers_a_known_scale(golden):
    logits, labels = golden("cal").logits[0], golden("cal").labels
    fitted = fit_temperature(logits, labels)
    assert fit_temperature(logits * 3.0, labels) == pytest.approx(3.0 * fitted, rel=1e-6)


def test_temperature_by_hand():
    # Margin a, right three times of four: p = 3/4 where a / T = ln 3.
    logits = np.array([[2.0, 0.0]] * 4)
    assert fit_temperature(logits, np.array([0, 0, 0, 1])) == pytest.approx(2 / np.log(3))


def test_temperature_without_a_minimum():
    logits = np.array([[2.0, 0.0], [0.0, 1.0]])
    assert fit_temperature(logits, np.array([0, 1])) == 1.0
    assert fit_temperature(logits, np.array([1, 0])) == TEMPERATURE_RANGE[1]
    almost = np.array([[1e-3, 0.0]] * 99 + [[0.0, 1e-9]])
    assert fit_temperature(almost, np.zeros(100, dtype=int)) == TEMPERATURE_RANGE[0]


def test_relabelling_classes_changes_nothing(golden):
    data = golden("cal")
    order = np.random.default_rng(1).permutation(data.num_classes)
    renamed = np.argsort(order)[data.labels]
    for logits in data.logits:
        assert fit_temperature(logits[:, order], renamed) == pytest.approx(
            fit_temperature(logits, data.labels), rel=1e-9
        )


def test_ece_is_that_of_torchmetrics(golden):
    data = golden("test")
    for logits in data.logits:
        probabilities = softmax(logits)
        theirs = multiclass_calibration_error(
            torch.tensor(probabilities), torch.tensor(data.labels),
            num_classes=data.num_classes, n_bins=15,
        )  # fmt: skip
        ours = expected_calibration_error(probabilities, data.labels)
        assert ours == pytest.approx(float(theirs), abs=1e-6)


def test_ece_by_hand():
    # Bin (.8, .867]: two images, one right: |1 - 1.7|; last bin: .95, right: |1 - .95|.
    probabilities = np.array([[0.85, 0.15], [0.15, 0.85], [0.95, 0.05]])
    expected = (abs(1 - 1.7) + abs(1 - 0.95)) / 3
    assert expected_calibration_error(probabilities, np.zeros(3, dtype=int)) == pytest.approx(
        expected
    )


def test_auroc_is_that_of_scikit_learn_with_ties(golden):
    data = golden("test")
    values = np.round(confidence(data.logits[0], "margin"), 1)
    assert ranking_auroc(values, data.correct[0]) == pytest.approx(
        roc_auc_score(data.correct[0], values)
    )
    assert ranking_auroc(values, np.ones(len(values), dtype=bool)) is None


def test_description_compares_before_and_after(golden):
    data = golden("cal")
    temperatures = fit_temperatures(data)
    described = describe_calibration(data, temperatures, "entropy")
    assert [exit.temperature for exit in described] == list(temperatures)
    for logits, right, exit in zip(data.logits, data.correct, described, strict=True):
        assert exit.nll == (
            negative_log_likelihood(logits, data.labels),
            negative_log_likelihood(logits, data.labels, exit.temperature),
        )
        assert exit.nll[1] < exit.nll[0]
        assert exit.auroc[0] == ranking_auroc(confidence(logits, "entropy"), right)
        assert exit.auroc[1] == ranking_auroc(
            confidence(logits, "entropy", exit.temperature), right
        )
