"""Which precision each backend has, and what must be installed to export."""

import importlib.util

from endoexit.errors import UsageError
from endoexit.precision import BackendName, FloatFormat, NumberFormat, Precision
from endoexit.runtime.backends.choice import has_bf16, require_backend

PRECISIONS: dict[BackendName, tuple[NumberFormat, ...]] = {
    "openvino": ("f32", "bf16", "int8"),
    "onnx": ("f32", "int8"),
    "torch": ("f32", "bf16"),
}
# What an export needs in addition to what the backend needs: modules, and the extra with them.
EXPORTERS = {"onnx": (("onnx", "onnxscript"), "onnx"), "int8": (("nncf",), "int8")}


def require_export(backend: BackendName, precision: NumberFormat) -> None:
    """Refuse an export that cannot work here.

    Raises:
        UsageError: The backend has no such precision, something is not installed, or this
            processor does not compute in bf16.
    """
    if precision not in PRECISIONS[backend]:
        have = ", ".join(PRECISIONS[backend])
        backends = " or ".join(
            name for name, precisions in PRECISIONS.items() if precision in precisions
        )
        raise UsageError(
            f"the backend {backend} computes in {have}, not in {precision}: take one of these, "
            f"or --backend {backends}."
        )
    require_backend(backend)
    for name in (backend, precision):
        modules, extra = EXPORTERS.get(name, ((), ""))
        missing = [module for module in modules if importlib.util.find_spec(module) is None]
        if missing:
            raise UsageError(
                f"this export needs {' and '.join(missing)}: pip install 'endoexit[{extra}]'."
            )
    if precision == "bf16" and not has_bf16(backend):
        raise UsageError(
            "this processor does not compute in bf16, so its accuracy cannot be measured here: "
            "export on one that does, or take --precision f32."
        )


def computed_precisions(backend: BackendName, precision: NumberFormat) -> tuple[Precision, ...]:
    """Return the precisions in which a bundle made here computes, the default first."""
    formats: tuple[FloatFormat, ...] = ("f32",)
    if precision == "bf16" or (precision == "int8" and has_bf16(backend)):
        formats = ("bf16", "f32")
    return tuple(
        Precision(backend, "int8" if precision == "int8" else floats, floats) for floats in formats
    )
