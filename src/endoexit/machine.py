"""The machine: usable cores, free memory, its load, and what a result was measured on."""

import functools
import importlib.metadata
import math
import os
import platform
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from endoexit.errors import counted

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
    """Return the share of all cores' time that is in use now, 0 to 1.

    Before a measurement starts, this is the work of other processes.

    Args:
        seconds: Length of the observation.
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
        "cores": usable_cores(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "instructions": [flag for flag in wanted if flag in flags],
        "system": f"{platform.system()} {platform.release()}",
    }


@functools.cache
def processor_name(root: Path = Path("/")) -> str:
    """Return the model of the processor, as the system has it at once; see `describe_machine`."""
    lines = (line.partition(":") for line in _lines(root / "proc/cpuinfo"))
    names = (value.strip() for name, _, value in lines if name.strip() == "model name")
    return next(names, platform.processor() or platform.machine())


def machine_words(machine: dict[str, Any]) -> str:
    """Return a machine, as `describe_machine` has it, in words."""
    parts = [str(machine.get("processor", "unknown"))]
    if "cores" in machine:
        parts.append(f"{machine['cores']} cores")
    if "memory_gib" in machine:
        parts.append(f"{machine['memory_gib']} GiB")
    if "system" in machine:
        parts.append(str(machine["system"]))
    return ", ".join(parts)


def usable_cores(root: Path = Path("/")) -> int:
    """Return the number of cores that this process may use, at least 1.

    This is the number of cores of its affinity, or the CPU quota of its control groups (of a
    container, for example) where that is smaller. A quota of 1.5 cores counts as 2.

    Args:
        root: Folder that contains `proc` and the mounted control groups.
    """
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    return max(1, min([cores, *(math.ceil(quota) for quota in _quotas(root))]))


def free_memory(root: Path = Path("/")) -> int:
    """Return the bytes of memory that this process can still take.

    This is what the system has available, or what the limit of a control group (of a container,
    for example) leaves where that is less. Cached files count as free, because they give way.

    Args:
        root: Folder that contains `proc` and the mounted control groups.
    """
    free = [1024 * int(number) for number in _fields(root / "proc/meminfo").get("MemAvailable:", [])
            if number.isdecimal()]  # fmt: skip
    return max(0, min([*free, *_free_in_groups(root)], default=0))


def busy_warning() -> str | None:
    """Return a sentence about a machine whose load exceeds its cores; None for any other."""
    try:
        load = os.getloadavg()[0]
    except (AttributeError, OSError):  # the system does not measure it
        return None
    cores = os.cpu_count() or 1
    if load <= cores:
        return None
    return (
        f"the machine is busy (load {load:.1f} on {counted(cores, 'core')}): times will be longer; "
        "stop other work, or wait for its end, if they matter."
    )


def _quotas(root: Path) -> Iterator[float]:
    """Yield every CPU quota of the control groups of this process, in cores."""
    for folder in _groups(root, "cpu"):
        # Version 2 has one file, version 1 two.
        values = _words(folder / "cpu.max") or [
            *_words(folder / "cpu.cfs_quota_us"),
            *_words(folder / "cpu.cfs_period_us"),
        ]
        # "max" and -1 mean that there is no quota.
        if len(values) == 2 and all(value.isdecimal() and int(value) > 0 for value in values):
            yield int(values[0]) / int(values[1])


def _free_in_groups(root: Path) -> Iterator[int]:
    """Yield what every memory limit of the control groups of this process leaves, in bytes."""
    for folder in _groups(root, "memory"):
        # Version 2 and version 1.
        for limit, used, cached in (
            ("memory.max", "memory.current", "inactive_file"),
            ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
        ):
            values = [*_words(folder / limit), *_words(folder / used)]
            values += _fields(folder / "memory.stat").get(cached, ["0"])
            # "max" means that there is no limit.
            if len(values) == 3 and all(map(str.isdecimal, values)):
                most, now, gives_way = map(int, values)
                yield most - now + min(gives_way, now)


def _fields(path: Path) -> dict[str, list[str]]:
    """Return the lines of a file, each as its first word and the numbers after it."""
    lines = (line.split() for line in _lines(path))
    return {words[0]: words[1:2] for words in lines if words}


def _groups(root: Path, controller: str) -> Iterator[Path]:
    """Yield the folders of the control groups of a controller, each with those above it."""
    paths = {}
    for line in _lines(root / "proc/self/cgroup"):
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if path and (not controllers or controller in controllers.split(",")):
            paths["cgroup" if controllers else "cgroup2"] = path
    for line in _lines(root / "proc/self/mountinfo"):
        # number, parent, device, root, mount point, options, ... - type, source, options
        before, _, after = line.partition(" - ")
        fields, kind = before.split(), after.split()
        if len(fields) < 5 or len(kind) < 3 or kind[0] not in paths:
            continue
        if kind[0] == "cgroup" and controller not in kind[2].split(","):
            continue
        mount = root / _unescaped(fields[4]).lstrip("/")
        group = PurePosixPath(paths[kind[0]])
        top = _unescaped(fields[3])
        # A group that is not below the root of the mount is not visible: its root limits as well.
        inside = group.relative_to(top) if group.is_relative_to(top) else PurePosixPath()
        if ".." in inside.parts:
            inside = PurePosixPath()
        yield from (mount / part for part in (inside, *inside.parents))


def _unescaped(field: str) -> str:
    """Return a field of mountinfo, where blanks are written as octal numbers."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), field)


def _words(path: Path) -> list[str]:
    return " ".join(_lines(path)).split()


def _lines(path: Path) -> list[str]:
    """Return the lines of a file; none where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
