"""The audit log: a line of JSON for each request, without anything of its images."""

import json
import logging
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from endoexit.errors import UsageError
from endoexit.serve.metrics import Metrics

log = logging.getLogger("endoexit.serve")


class AuditLog:
    """Appends lines to a file. On a full disk lines are lost, and counted.

    Args:
        path: File of the log.
        metrics: Metrics that count lines that could not be written.

    Raises:
        UsageError: The file cannot be opened.
    """

    def __init__(self, path: Path, metrics: Metrics) -> None:
        self._path = path
        self._metrics = metrics
        self._file = -1
        self._whole = True  # whether the last line ends
        self.reopen()

    def reopen(self) -> None:
        """Open the file again by its name, after something else has moved it away.

        Raises:
            UsageError: It cannot be opened.
        """
        try:
            file = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
        except OSError as error:
            raise UsageError(
                f"the audit log {self._path} cannot be opened ({error.strerror}): choose another "
                "with --audit-log."
            ) from error
        self.close()
        self._file = file
        size = os.fstat(file).st_size
        self._whole = size == 0 or os.pread(file, 1, size - 1) == b"\n"

    def close(self) -> None:
        """Close the file."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def write(self, fields: Mapping[str, Any]) -> None:
        """Append a line with the time and these fields."""
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        line = json.dumps({"time": now, **fields}, allow_nan=False).encode() + b"\n"
        if not self._whole:  # a line that was cut by a kill or a full disk ends here
            line = b"\n" + line
        try:
            self._whole = os.write(self._file, line) == len(line)
        except OSError as error:
            self._whole = False
            self._lost(error.strerror)
        else:
            if not self._whole:
                self._lost("the disk is full")

    def _lost(self, reason: str | None) -> None:
        self._metrics.audit_lost.inc()
        log.error("a line of the audit log is lost: %s", reason)
