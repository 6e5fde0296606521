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
from typing import TextIO

from endoexit.archiving.requests import Answerer, Document
from endoexit.offline import stay_offline


def main() -> None:
    """Answer requests until standard input ends."""
    stay_offline()
    answers = _apart()
    requests: queue.SimpleQueue[Document] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(requests,), daemon=True).start()
    answerer = Answerer(Path(sys.argv[1]), int(sys.argv[2]))
    while True:
        answer = answerer.answer(requests.get())
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def _apart() -> TextIO:
    """Return standard output as it was, and send what libraries print to standard error."""
    kept = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return kept


def _read(requests: "queue.SimpleQueue[Document]") -> None:
    for line in sys.stdin:
        requests.put(json.loads(line))
    os._exit(0)  # the driver has ended, however it did


if __name__ == "__main__":
    main()
