"""The audit log: whole lines, whatever happens to the disk and the process."""

import json
import resource
import subprocess
import sys

import pytest

from endoexit.errors import UsageError
from endoexit.serve.audit import AuditLog
from endoexit.serve.metrics import Metrics


def lines_of(path):
    return [json.loads(line) for line in path.read_text().splitlines() if line]


def test_lines_are_appended(tmp_path):
    path = tmp_path / "audit.jsonl"
    for number in range(2):
        log = AuditLog(path, Metrics())
        log.write({"request": number})
        log.close()
    assert [line["request"] for line in lines_of(path)] == [0, 1]
    assert path.stat().st_mode & 0o077 == 0


def test_a_line_that_was_cut_spoils_no_other(tmp_path):
    path = tmp_path / "audit.jsonl"
    path.write_text('{"request": 1}\n{"requ')
    log = AuditLog(path, Metrics())
    log.write({"request": 2})
    log.close()
    first, cut, last = path.read_text().splitlines()
    assert json.loads(first)["request"] == 1
    assert cut == '{"requ'
    assert json.loads(last)["request"] == 2


def test_a_file_that_was_moved_away_is_opened_again(tmp_path):
    path = tmp_path / "audit.jsonl"
    log = AuditLog(path, Metrics())
    log.write({"request": 1})
    path.rename(tmp_path / "audit.1")
    log.reopen()
    log.write({"request": 2})
    log.close()
    assert [line["request"] for line in lines_of(path)] == [2]


def test_a_full_disk_costs_lines_that_are_counted(tmp_path):
    code = (
        "import resource, signal, sys\n"
        "from pathlib import Path\n"
        "from endoexit.serve.audit import AuditLog\n"
        "from endoexit.serve.metrics import Metrics\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "metrics = Metrics()\n"
        "log = AuditLog(Path(sys.argv[1]), metrics)\n"
        "log.write({'request': 1})\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (70, resource.RLIM_INFINITY))\n"
        "log.write({'request': 2})\n"
        "log.write({'request': 3})\n"
        "free = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, free)\n"
        "log.write({'request': 4})\n"
        "print(metrics.registry.get_sample_value('endoexit_audit_lost_total'))\n"
    )
    path = tmp_path / "audit.jsonl"
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], check=True, capture_output=True, text=True
    )
    assert float(done.stdout) == 2
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY
    whole = [line for line in path.read_text().splitlines() if line.endswith("}")]
    assert [json.loads(line)["request"] for line in whole] == [1, 4]


def test_a_file_that_cannot_be_opened(tmp_path):
    with pytest.raises(UsageError, match="--audit-log"):
        AuditLog(tmp_path / "none" / "audit.jsonl", Metrics())
