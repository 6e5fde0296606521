"""The process in which a video is decoded: `python -m endoexit.images.video.child`.

It is told once what to decode, gives the network's square of each frame on standard output, and
ends with the video. Its memory is limited from the start, and its processor time for each frame.
"""

import sys
import time
from pathlib import Path
from typing import IO, Any

from endoexit.errors import ImageError
from endoexit.images.limits import limit_memory, limit_time, take_output
from endoexit.images.messages import read_message, write_message
from endoexit.images.preprocessing import Preprocessing
from endoexit.images.sheet import read_preprocessing
from endoexit.images.video.decoding import Decoding
from endoexit.images.video.spans import Spans

MEMORY = 2**30
SECONDS = 5
LATE_S = 0.1  # a frame that is decoded so long after its time is not made into a square,
EVERY_S = 0.5  # but one in so many seconds is, however late: something is to be seen
_SIGN_OF_LIFE_S = 5.0


def _decode(request: dict[str, Any], answers: IO[bytes]) -> None:
    preprocessing = Preprocessing.model_validate(read_preprocessing(request["preprocessing"]))
    spans = [(int(start), int(length)) for start, length in request["spans"]]
    decoding = Decoding(Spans(Path(request["path"]), spans), request["rate"])
    write_message(answers, {"facts": decoding.facts.model_dump()})
    begin = time.monotonic()
    last_s = -EVERY_S
    for index, (time_s, frame) in enumerate(decoding.frames()):
        facts: dict[str, Any] = {"index": index, "time_s": time_s}
        late = False
        if request["live"]:
            facts["due"] = begin + time_s
            late = _wait_until(begin + time_s, answers) > LATE_S and time_s - last_s < EVERY_S
        last_s = last_s if late else time_s
        square = b"" if late else preprocessing.apply(frame.pixels()).tobytes()
        write_message(answers, facts, square)
        limit_time(SECONDS)
    decoding.close()


def _wait_until(due: float, answers: IO[bytes]) -> float:
    """Wait until a frame is due; return the seconds by which it is late."""
    while (left := due - time.monotonic()) > 0:
        time.sleep(min(left, _SIGN_OF_LIFE_S))
        if left > _SIGN_OF_LIFE_S:
            write_message(answers, {"waiting": True})
    return -left


def main() -> None:
    """Decode what the one message on standard input asks for."""
    limit_memory(MEMORY)
    limit_time(SECONDS)
    answers = take_output()
    message = read_message(sys.stdin.buffer)
    if message is None:
        return
    fault: ImageError | None = None
    try:
        _decode(message[0], answers)
    except ImageError as error:
        fault = error
    except MemoryError:
        fault = ImageError(
            "needs more memory to decode than a video may have: scale it down.", kind="refused"
        )
    facts = {} if fault is None else {"fault": fault.fault, "kind": fault.kind}
    write_message(answers, {"end": True, **facts})


if __name__ == "__main__":
    main()
