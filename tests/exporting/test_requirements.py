"""What an export needs is asked for before any work is done."""

import pytest

from endoexit.errors import (
    UsageError,
)
from endoexit.exporting import requirements
from endoexit.exporting.export import ExportOptions, export_run
from endoexit.runtime.session import open_session

pytestmark = [pytest.mark.slow, pytest.mark.precision, pytest.mark.xdist_group("bundles")]


@pytest.mark.parametrize(
    ("backend", "precision", "words"),
    [
        ("onnx", "bf16", "computes in f32, int8, not in bf16.*--backend openvino or torch"),
        ("torch", "int8", "computes in f32, bf16, not in int8.*--backend openvino or onnx"),
    ],
)
def test_a_precision_that_a_backend_lacks(run, tmp_path, backend, precision, words):
    with pytest.raises(UsageError, match=words):
        export_run(open_session(run), tmp_path / "bundle", ExportOptions(backend, precision))


def test_what_is_not_installed_is_named_with_its_extra(run, tmp_path, monkeypatch):
    monkeypatch.setitem(requirements.EXPORTERS, "int8", (("nobody_has_this",), "int8"))
    with pytest.raises(UsageError, match=r"needs nobody_has_this: pip install 'endoexit\[int8\]'"):
        export_run(open_session(run), tmp_path / "bundle", ExportOptions("openvino", "int8"))


def test_bf16_is_not_exported_where_the_processor_lacks_it(run, tmp_path, monkeypatch):
    monkeypatch.setattr(requirements, "has_bf16", lambda backend: False)
    with pytest.raises(UsageError, match="does not compute in bf16"):
        export_run(open_session(run), tmp_path / "bundle", ExportOptions("openvino", "bf16"))
    (precision,) = requirements.computed_precisions("openvino", "int8")
    assert str(precision) == "openvino-int8+f32"
