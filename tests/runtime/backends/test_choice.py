"""Which precision a source computes in, and what is refused."""

import pytest
import torch

from endoexit.errors import UsageError
from endoexit.runtime.backends import choice
from endoexit.runtime.backends import torch as torch_backend
from endoexit.runtime.backends.choice import computed_in, open_backend


def test_a_run_computes_in_f32_unless_bf16_is_asked_for(run, monkeypatch):
    monkeypatch.setattr(torch_backend, "supports_bf16", lambda: True)
    assert str(computed_in(run)) == str(computed_in(run, "f32")) == "torch-f32"
    assert str(computed_in(run, "bf16")) == "torch-bf16"


def test_bf16_of_a_run_is_refused_where_the_processor_lacks_it(run, monkeypatch):
    monkeypatch.setattr(torch_backend, "supports_bf16", lambda: False)
    with pytest.raises(UsageError, match=r"computes in bf16, which this.*Add --precision f32"):
        computed_in(run, "bf16")


def test_a_gpu_is_asked_for_and_its_bf16_is_not_the_processor_s(run, monkeypatch):
    monkeypatch.setattr(torch_backend, "supports_bf16", lambda: False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert str(computed_in(run, "bf16", "cuda")) == "torch-cuda-bf16"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UsageError, match="no GPU here"):
        computed_in(run, None, "cuda")


def test_a_backend_that_is_not_installed_names_its_extra(run, monkeypatch):
    monkeypatch.setitem(choice.MODULES, "torch", "a_module_that_nobody_has")
    with pytest.raises(UsageError, match="the backend torch is not installed"):
        computed_in(run)


def test_the_backend_computes_as_asked(run):
    backend = open_backend(run, computed_in(run), threads=1)
    assert (str(backend.precision), backend.threads) == ("torch-f32", 1)
