"""The process of a worker: `python -m endoexit.archiving.worker JOB THREADS`.

It answers each line of standard input, a request in JSON, with one line. It ends at once when the
driver is gone: a shard that is half done leaves no trace, and the next driver begins it again.
"""

import json
import os
import queue
import sys
import threading
from pathlib import Path
from typing import Any, TextIO

from endoexit.archiving.plan import JobFolder
from endoexit.archiving.shard import ShardWork
from endoexit.errors import EndoexitError, WriteError
from endoexit.offline import stay_offline


def main() -> None:
    """Answer requests until standard input ends."""
    stay_offline()
    answers = _apart()
    requests: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(requests,), daemon=True).start()
    work: ShardWork | None = None
    while True:
        request = requests.get()
        try:
            work = work or ShardWork(JobFolder.open(Path(sys.argv[1])), int(sys.argv[2]))
            answer = _do(work, request)
        except EndoexitError as error:
            answer = {"error": str(error), "write": isinstance(error, WriteError)}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def _do(work: ShardWork, request: dict[str, Any]) -> dict[str, Any]:
    if "compute" in request:
        return work.compute(request["compute"], request["fatal"]).model_dump()
    work.decode(request["decode"], range(request["first"], request["stop"]))
    return {}


def _apart() -> TextIO:
    """Return standard output as it was, and send what libraries print to standard error."""
    kept = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return kept


def _read(requests: "queue.SimpleQueue[dict[str, Any]]") -> None:
    for line in sys.stdin:
        requests.put(json.loads(line))
    os._exit(0)  # the driver has ended, however it did


if __name__ == "__main__":
    main()
