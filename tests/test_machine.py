"""Usable cores by affinity and quota, and the warning about a busy machine."""

import os
from pathlib import Path

import pytest

from endoexit.machine import busy_warning, describe_machine, free_memory, usable_cores

V2 = "31 23 0:28 {root} /sys/fs/cgroup rw,relatime shared:4 - cgroup2 cgroup2 rw,nsdelegate"
V1 = "32 31 0:29 {root} /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct"


@pytest.fixture(autouse=True)
def _eight_cores(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)


def make_system(root: Path, cgroup: str, mountinfo: str, files: dict[str, str]) -> Path:
    files = {"proc/self/cgroup": cgroup, "proc/self/mountinfo": mountinfo, **files}
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text + "\n")
    return root


def second_version(root: Path, group: str, top: str = "/", **quotas: str) -> Path:
    """Make a system with `cpu.max` in folders below the mount; `__` stands for a slash."""
    files = {
        f"sys/fs/cgroup/{name.replace('__', '/').strip('/')}/cpu.max": text
        for name, text in quotas.items()
    }
    return make_system(root, f"0::{group}", V2.format(root=top), files)


def test_affinity_counts_where_there_is_no_quota(tmp_path, monkeypatch):
    assert usable_cores(tmp_path) == 8
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {5})
    assert usable_cores(tmp_path) == 1
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    assert usable_cores(tmp_path) == 6
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert usable_cores(tmp_path) == 1


@pytest.mark.parametrize(
    ("quota", "cores"),
    [
        ("max 100000", 8),
        ("200000 100000", 2),
        ("150000 100000", 2),
        ("10000 100000", 1),
        ("1600000 100000", 8),
        ("", 8),
        ("nonsense", 8),
        ("200000", 8),
        ("200000 0", 8),
        ("0 100000", 8),
    ],
)
def test_the_quota_of_a_container_counts(tmp_path, quota, cores):
    root = make_system(tmp_path, "0::/", V2.format(root="/"), {"sys/fs/cgroup/cpu.max": quota})
    assert usable_cores(root) == cores
    assert usable_cores(tmp_path) == usable_cores(tmp_path)


def test_the_smallest_quota_of_all_groups_above_counts(tmp_path):
    quotas = {"a": "300000 100000", "a__b": "max 100000", "a__b__c": "500000 100000", "d": "1 1"}
    assert usable_cores(second_version(tmp_path, "/a/b/c", **quotas)) == 3


@pytest.mark.parametrize(
    ("group", "top"),
    [
        ("/docker/1234", "/docker/1234"),  # the names of the host are seen inside the container
        ("/docker/1234/inner", "/docker/1234"),
        ("/elsewhere", "/docker/1234"),
        ("/../..", "/"),
    ],
)
def test_a_mount_that_shows_a_part_of_the_tree(tmp_path, group, top):
    system = make_system(
        tmp_path, f"0::{group}", V2.format(root=top), {"sys/fs/cgroup/cpu.max": "400000 100000"}
    )
    assert usable_cores(system) == 4


@pytest.mark.parametrize(("quota", "cores"), [("-1", 8), ("250000", 3), ("1000", 1), ("x", 8)])
def test_the_first_version_of_control_groups(tmp_path, quota, cores):
    folder = "sys/fs/cgroup/cpu,cpuacct/job"
    mounts = f"{V2.format(root='/')}\n{V1.format(root='/')}\nbroken line\n1 2 3 - cgroup"
    files = {f"{folder}/cpu.cfs_quota_us": quota, f"{folder}/cpu.cfs_period_us": "100000"}
    groups = "9:name=systemd:/\n4:cpuset:/other\n3:cpu,cpuacct:/job\n0::/\nbroken"
    assert usable_cores(make_system(tmp_path, groups, mounts, files)) == cores


def test_a_period_that_is_missing_is_no_quota(tmp_path):
    files = {"sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "100000"}
    assert usable_cores(make_system(tmp_path, "3:cpu:/", V1.format(root="/"), files)) == 8


def test_blanks_in_the_path_of_a_mount(tmp_path):
    mount = V2.format(root="/").replace("/sys/fs/cgroup", r"/my\040groups")
    files = {"my groups/cpu.max": "200000 100000"}
    assert usable_cores(make_system(tmp_path, "0::/", mount, files)) == 2


def test_files_that_cannot_be_read_are_no_quota(tmp_path):
    (tmp_path / "proc/self/cgroup").mkdir(parents=True)
    (tmp_path / "proc/self/mountinfo").mkdir()
    assert usable_cores(tmp_path) == 8


MEMINFO = "MemTotal: 9000 kB\nMemFree: 100 kB\nMemAvailable:    8000 kB"
V1_MEMORY = V1.replace("cpu,cpuacct", "memory").format(root="/")


@pytest.mark.parametrize(
    ("files", "free"),
    [
        ({}, 8000 * 1024),
        ({"memory.max": "max", "memory.current": "5000"}, 8000 * 1024),
        ({"memory.max": "7000", "memory.current": "5000"}, 2000),
        ({"memory.max": "7000", "memory.current": "5000", "memory.stat": "a 4\ninactive_file 900"},
         2900),
        ({"memory.max": "7000", "memory.current": "9000"}, 0),
        ({"memory.max": "7000"}, 8000 * 1024),
        ({"memory.max": "nonsense", "memory.current": "5000"}, 8000 * 1024),
    ],
)  # fmt: skip
def test_free_memory_within_the_limit_of_a_container(tmp_path, files, free):
    files = {f"sys/fs/cgroup/{name}": text for name, text in files.items()}
    root = make_system(tmp_path, "0::/", V2.format(root="/"), files | {"proc/meminfo": MEMINFO})
    assert free_memory(root) == free


def test_the_smallest_limit_of_all_groups_above_counts(tmp_path):
    files = {"proc/meminfo": MEMINFO}
    for folder, most in (("job", 9000), ("job/one", 3000), ("job/two", 10)):
        path = f"sys/fs/cgroup/memory/{folder}/memory"
        files |= {f"{path}.limit_in_bytes": str(most), f"{path}.usage_in_bytes": "1000"}
        files[f"{path}.stat"] = "cache 700\ntotal_inactive_file 500"
    root = make_system(tmp_path, "4:memory:/job/one\n3:cpu:/job/two", V1_MEMORY, files)
    assert free_memory(root) == 2500


def test_free_memory_of_this_machine():
    import psutil

    assert 0 < free_memory() <= psutil.virtual_memory().total


def test_results_name_the_usable_cores(monkeypatch):
    describe_machine.cache_clear()
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0})
    assert describe_machine()["cores"] == 1
    describe_machine.cache_clear()


def test_a_busy_machine_is_told(monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    monkeypatch.setattr(os, "getloadavg", lambda: (9.06, 1.0, 1.0), raising=False)
    told = busy_warning()
    assert told.startswith("the machine is busy (load 9.1 on 2 cores): times will be longer;")
    monkeypatch.setattr(os, "getloadavg", lambda: (2.0, 9.0, 9.0))
    assert busy_warning() is None


def test_a_system_that_does_not_measure_its_load(monkeypatch):
    def unknown():
        raise OSError

    monkeypatch.setattr(os, "getloadavg", unknown, raising=False)
    assert busy_warning() is None
    monkeypatch.delattr(os, "getloadavg")
    assert busy_warning() is None
