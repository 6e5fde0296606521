import pytest
from pydantic import ValidationError

from endoexit.errors import PolicyError, UsageError
from endoexit.policy.document import Costs, Promise, Provenance
from endoexit.policy.risks import Risk

PROMISE = {"delta": 0.05, "images": 400, "observed": 0.0, "p_value": 0.01, "method": "betting"}


def test_costs_may_not_fall():
    with pytest.raises(PolicyError, match=r"must not fall.*Measure again"):
        Costs(values=(2.0, 1.0), unit="ms", source="stopwatch")
    with pytest.raises(PolicyError, match="must not fall"):
        Costs(values=(), unit="ms", source="stopwatch")
    with pytest.raises(PolicyError, match="must not fall"):
        Costs(values=(1.0, 2.0), unit="ms", source="stopwatch").replaced(values=(2.0, 1.0))
    assert Costs(values=(1.0, 1.0), unit="ms", source="stopwatch").values == (1.0, 1.0)


@pytest.mark.parametrize(
    ("label", "risk"),
    [
        ("disagreement", Risk(name="disagreement", tolerance=0.02)),
        ("missed[viêm [2]]", Risk(name="missed", tolerance=0.02, of_class="viêm [2]")),
    ],
)
def test_promises_of_the_first_release_are_read(label, risk):
    assert Promise.model_validate(PROMISE | {"risk": label, "tolerance": 0.02}).risk == risk
    promise = Promise(risk=risk, **PROMISE)
    assert Promise.model_validate_json(promise.model_dump_json()) == promise


def test_damaged_promises_are_refused():
    with pytest.raises(UsageError, match=r"name: Input should be .*got nonsense"):
        Promise.model_validate(PROMISE | {"risk": "nonsense", "tolerance": 0.02})
    with pytest.raises(UsageError, match="tolerance: Input should be a valid number"):
        Promise.model_validate(PROMISE | {"risk": "disagreement"})
    with pytest.raises(ValidationError, match="tolerance"):
        Promise.model_validate(PROMISE | {"risk": {"name": "disagreement", "tolerance": 0.1},
                                          "tolerance": 0.02})  # fmt: skip


def test_provenance_says_what_differs():
    fitted = Provenance(weights_sha256="a" * 64, preprocessing="b" * 64, precision="torch-f32",
                        classes=("cat", "dog"))  # fmt: skip
    assert fitted.differences(fitted.replaced(manifest_sha256="other")) == []
    assert fitted.differences(fitted.replaced(precision="torch-bf16")) == [
        "precision 'torch-f32', served 'torch-bf16'"
    ]
