"""What a result was measured on: processor, threads, library versions."""

import functools
import importlib.metadata
import os
import platform
from typing import Any

LIBRARIES = ("endoexit", "torch", "lightning", "torchmetrics", "kornia", "numpy", "scipy",
             "scikit-learn", "pillow", "openvino", "onnxruntime", "nncf")  # fmt: skip


def library_versions() -> dict[str, str]:
    """Return the installed versions of the libraries that a result depends on."""
    versions = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def share_at_work(seconds: float = 0.5) -> float:
    """Return the share of all cores' time that is in use just now, 0 to 1.

    Asked before work of one's own begins, it tells of the others' work.

    Args:
        seconds: of the look.
    """
    import psutil  # noqa: PLC0415

    return float(psutil.cpu_percent(seconds)) / 100


@functools.cache
def describe_machine() -> dict[str, Any]:
    """Return processor model, usable cores, memory (GiB) and what it computes in hardware."""
    import cpuinfo  # noqa: PLC0415  (slow: asks the processor)
    import psutil  # noqa: PLC0415

    info = cpuinfo.get_cpu_info()
    flags = set(info.get("flags", []))
    wanted = ("avx2", "avx512f", "avx512_bf16", "avx512_vnni", "amx_bf16", "amx_int8")
    return {
        "processor": info.get("brand_raw", platform.processor() or "unknown"),
        "architecture": platform.machine(),
        "cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "instructions": [flag for flag in wanted if flag in flags],
        "system": f"{platform.system()} {platform.release()}",
    }
