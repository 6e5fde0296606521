"""The limit: how fast this machine multiplies matrices at a precision.

A network's multiply-adds cannot be done faster than a large matrix product is, so its time over
that of the product, each for as many multiply-adds, is the share of the machine that it reaches.
"""

import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from endoexit.bench.document import Limit, Product
from endoexit.bench.ratios import spread
from endoexit.precision import NumberFormat

SIDE = 1536  # within a few per cent of the rate of any larger one, in milliseconds


@dataclass(frozen=True)
class MatrixProduct:
    """A large square matrix product.

    Attributes:
        library: Library that computes it.
        precision: Number format of the factors.
        side: Side of the matrices.
        multiply: What computes it once.
    """

    library: str
    precision: NumberFormat
    side: int
    multiply: Callable[[], object]

    @property
    def macs(self) -> int:
        """Multiply-adds of one product."""
        return self.side**3


def matrix_product(precision: NumberFormat, threads: int, side: int = SIDE) -> MatrixProduct | None:
    """Return a product to be timed; None when no library that is installed computes it.

    Args:
        precision: Number format of the factors; sums are exact to at least 32 bits.
        threads: Number of threads.
        side: Side of the matrices.
    """
    if importlib.util.find_spec("openvino") is not None:
        return MatrixProduct("OpenVINO", precision, side, _in_openvino(precision, threads, side))
    if precision == "int8":
        return None
    kind = torch.bfloat16 if precision == "bf16" else torch.float32
    left, right = torch.randn(side, side).to(kind), torch.randn(side, side).to(kind)

    def multiply() -> object:
        torch.set_num_threads(threads)
        with torch.inference_mode():
            return left @ right

    return MatrixProduct("PyTorch", precision, side, multiply)


def _in_openvino(precision: NumberFormat, threads: int, side: int) -> Callable[[], object]:
    """Return a fully connected layer without bias, its weights packed beforehand."""
    import openvino as ov  # noqa: PLC0415  (an extra)
    from openvino import opset13 as ops  # noqa: PLC0415

    random = np.random.default_rng(0)
    values = random.standard_normal((2, side, side)).astype(np.float32)
    matrix = ops.parameter([side, side], np.float32)
    left, right = matrix, ops.constant(values[1])
    if precision == "int8":  # how NNCF marks what is to be int8
        low, high = ops.constant(np.float32(-4)), ops.constant(np.float32(4))
        left = ops.fake_quantize(left, low, high, low, high, 256)
        right = ops.fake_quantize(right, low, high, low, high, 255)
    model = ov.Model([ops.matmul(left, right, False, False)], [matrix])
    settings = {
        # With int8: of what enters and leaves.
        "INFERENCE_PRECISION_HINT": "bf16" if precision == "bf16" else "f32",
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": 1,
        "ENABLE_CPU_PINNING": False,
    }
    request = ov.Core().compile_model(model, "CPU", settings).create_infer_request()
    request.set_input_tensor(ov.Tensor(values[0]))
    multiply: Callable[[], object] = request.infer
    return multiply


def limits(
    product: MatrixProduct,
    product_ms: Sequence[float],
    macs: Sequence[int],
    exit_ms: Sequence[Sequence[float]],
) -> Product:
    """Return the rate, and what each exit reaches of it.

    Args:
        product: Product that was timed.
        product_ms: Milliseconds of the product in each round.
        macs: Multiply-adds (M,) of each exit.
        exit_ms: Milliseconds (M, rounds) of each exit in the same rounds.
    """
    per_mac = np.asarray(product_ms) / product.macs
    of_exits = []
    for number, (count, times) in enumerate(zip(macs, exit_ms, strict=True), start=1):
        at_limit = count * per_mac
        of_exits.append(
            Limit(
                exit=number,
                macs=count,
                ms=float(np.median(at_limit)),
                reached=spread(at_limit / np.asarray(times)),
            )
        )
    return Product(
        library=product.library,
        precision=product.precision,
        side=product.side,
        gmacs_per_second=spread(1e-6 / per_mac),
        limits=tuple(of_exits),
    )
