"""Makes a process see a processor without bf16, whatever it runs on.

Python imports this file at its start when its folder is on `PYTHONPATH`. oneDNN (PyTorch) obeys
`ONEDNN_MAX_CPU_ISA`; OpenVINO and py-cpuinfo have no such setting, so their answers are changed
when a program imports them. OpenVINO's own oneDNN must not see the setting: its other kernels ask
the processor itself, and a mixture of both ends in a segmentation fault where there is AVX-512.
"""

import contextlib
import importlib.abc
import importlib.machinery
import importlib.util
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from types import ModuleType
from typing import Any

LIMIT = "ONEDNN_MAX_CPU_ISA"
HIDDEN = ("avx512", "avx_vnni", "amx")  # prefixes of the instructions that plain AVX2 lacks


@contextlib.contextmanager
def _unset(name: str) -> Iterator[None]:
    value = os.environ.pop(name, None)
    try:
        yield
    finally:
        if value is not None:
            os.environ[name] = value


def _openvino(module: Any) -> None:
    asked, compiled = module.Core.get_property, module.Core.compile_model

    def get_property(self: Any, *arguments: Any) -> Any:
        with _unset(LIMIT):
            answer = asked(self, *arguments)
        if arguments[-1] == "OPTIMIZATION_CAPABILITIES":
            return [name for name in answer if name != "BF16"]
        return answer

    def compile_model(self: Any, *arguments: Any, **settings: Any) -> Any:
        with _unset(LIMIT):  # it is read once, when the first model is compiled
            return compiled(self, *arguments, **settings)

    module.Core.get_property = get_property
    module.Core.compile_model = compile_model


def _cpuinfo(module: Any) -> None:
    asked = module.get_cpu_info

    def get_cpu_info() -> dict[str, Any]:
        info: dict[str, Any] = asked()
        flags = [flag for flag in info.get("flags", []) if not flag.startswith(HIDDEN)]
        return info | {"flags": flags}

    module.get_cpu_info = get_cpu_info


CHANGES: dict[str, Callable[[Any], None]] = {"openvino": _openvino, "cpuinfo": _cpuinfo}


class _Loader(importlib.abc.Loader):
    def __init__(self, loader: importlib.abc.Loader) -> None:
        self._loader = loader

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self._loader.exec_module(module)
        CHANGES[module.__name__](module)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)


class _Finder(importlib.abc.MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname not in CHANGES:
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader)
        return spec


sys.meta_path.insert(0, _Finder())
