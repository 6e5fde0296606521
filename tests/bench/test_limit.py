"""The limit: a rate, what an exit needs at it, and what it reaches."""

import importlib.util

import numpy as np
import pytest

from bundle_makers import require_bf16
from endoexit.bench.limit import MatrixProduct, limits, matrix_product


def test_an_exit_is_compared_with_the_rate_of_its_own_round():
    product = MatrixProduct("a library", "f32", 100, lambda: None)  # a million multiply-adds
    compared = limits(
        product,
        product_ms=[1.0, 2.0, 1.0],
        macs=[2_000_000, 8_000_000],
        exit_ms=[[4.0, 8.0, 8.0], [10.0, 20.0, 16.0]],
    )
    assert compared.gmacs_per_second.median == pytest.approx(1.0)  # 10^6 in a millisecond
    assert compared.gmacs_per_second.low == pytest.approx(0.75)  # between 0.5 and 1
    assert [limit.ms for limit in compared.limits] == pytest.approx([2.0, 8.0])
    # Round by round: 2/4, 4/8, 2/8 and 8/10, 16/20, 8/16.
    assert [limit.reached.median for limit in compared.limits] == pytest.approx([0.5, 0.8])
    assert [limit.reached.low for limit in compared.limits] == pytest.approx([0.375, 0.65])
    assert [limit.exit for limit in compared.limits] == [1, 2]
    assert (compared.library, compared.precision, compared.side) == ("a library", "f32", 100)


@pytest.mark.precision
@pytest.mark.parametrize("precision", ["f32", "bf16", "int8"])
def test_the_product_is_that_of_the_matrices(precision):
    pytest.importorskip("openvino")
    if precision == "bf16":
        require_bf16("openvino")
    side = 64
    product = matrix_product(precision, 1, side)
    assert (product.library, product.precision, product.macs) == ("OpenVINO", precision, side**3)
    (answer,) = product.multiply().values()
    left, right = np.random.default_rng(0).standard_normal((2, side, side)).astype(np.float32)
    np.testing.assert_allclose(answer, left @ right, atol=0.1 if precision == "f32" else 2)


def test_without_openvino_pytorch_multiplies_floats_only(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    product = matrix_product("f32", 1, 32)
    assert product.library == "PyTorch"
    assert product.multiply().shape == (32, 32)
    assert matrix_product("int8", 1, 32) is None
