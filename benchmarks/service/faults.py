"""What becomes of a service, and of what it has accepted, when something goes wrong.

    python benchmarks/service/faults.py demo/bundle demo/images [--only kill] [--seconds 30]

Each fault has its own service on a free port of loopback:

- `kill`: SIGKILL under load. It is ready again soon, nothing is left over, the audit log is whole
- `terminate`: SIGTERM under load, 20 times. Whatever was accepted is answered
- `reload`: another model every second under load. Each answer is that of the model that it names
- `disk`: no space for the audit log, then space again. All are answered, lost lines are counted
- `hang-up`: half of the clients hang up. Nothing of them stays, the others are answered
- `crowd`: thousands of connections at once. All are answered, or refused with 503
- `decoder`: a process that decodes is killed under load. It is replaced, and its image alone fails

Writes benchmarks/results/service_faults.json, or the file of `--out`, and exits with 1 if something
is otherwise.
"""

import argparse
import asyncio
import contextlib
import itertools
import json
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import psutil
from asking import (
    Connection,
    Seen,
    ask_once,
    files_of,
    images,
    metrics,
    request_of,
    running,
    saturate,
)
from bad_clients import crowd, hang_up
from under_load import PATIENCE_S, PATIENT, Load, alive, answers_alone, lines_of, two_runs, until

from endoexit.files import write_json
from endoexit.machine import describe_machine, library_versions

RESULT = Path(__file__).resolve().parents[1] / "results" / "service_faults.json"
READY_S = 5.0
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108  looked at, not written to

Found = dict[str, Any]


async def kill(
    source: Path, files: list[Path], folder: Path, *, connections: int, seconds: float
) -> Found:
    """Kill a service under load, look at what it leaves, and start it again."""
    log, temporary = folder / "audit.jsonl", folder / "temporary"
    temporary.mkdir()
    requests = [request_of(file, PATIENT) for file in files]
    environment = os.environ | {"TMPDIR": str(temporary)}
    shared = set(SHARED_MEMORY.iterdir())
    with running(source, "--audit-log", log, env=environment) as (process, port):
        children = process.children(recursive=True)
        load = Load(port, requests, connections)
        await asyncio.sleep(min(seconds, 2))
        process.kill()
        seen = await load.stop()
        await until(lambda: not alive(children))
    left = alive(children)
    lines, cut = lines_of(log)
    begin = time.monotonic()
    with running(source, "--audit-log", log, "--port", port, env=environment) as (_, port):
        ready_s = time.monotonic() - begin
        status, _ = await ask_once(port, requests[0])
        await until(lambda: len(lines_of(log)[0]) > len(lines))
    after, still_cut = lines_of(log)
    checks = {
        "no process is left": not left,
        "no temporary file is left": not list(temporary.iterdir()),
        "no shared memory is left": set(SHARED_MEMORY.iterdir()) <= shared,
        "the audit log is whole but for its last line": cut <= 1 and still_cut == cut,
        "no answer is missing in the audit log": len(lines) >= len(seen.seconds) - connections,
        "it answers again, and writes on": status == "200" and len(after) == len(lines) + 1,
        f"it is ready again in {READY_S:g} s": ready_s <= READY_S,
    }
    return {"checks": checks, "ready_again_s": ready_s, "statuses": dict(seen.statuses)}


async def terminate(
    source: Path, files: list[Path], folder: Path, *, connections: int, seconds: float, times: int
) -> Found:
    """End a service by SIGTERM under full load, again and again; count what it has accepted."""
    requests = [request_of(file, PATIENT) for file in files]
    rounds, checks = [], dict[str, bool]()
    moments = random.Random(0)  # noqa: S311  a seed for figures that repeat
    for number in range(times):
        log, err = folder / f"{number}.jsonl", folder / f"{number}.log"
        with running(source, "--audit-log", log, log=err) as (process, port):
            load = Load(port, requests, connections)
            await asyncio.sleep(min(seconds, 0.5 + moments.random()))
            process.send_signal(signal.SIGTERM)
            seen = await load.stop()
            code = await asyncio.to_thread(process.wait, 60)
        (ended,) = [line for line in err.read_text().splitlines() if " ended: " in line]
        counts = json.loads(ended.partition(" ended: ")[2].replace("'", '"'))
        answered = counts["answered"] + counts["cut"]
        held = {
            "the exit code is 0": code == 0,
            "every accepted image is answered": answered == counts["accepted"],
            "every answer came back": seen.statuses["200"] == answered,
            "only 200 and 429": set(seen.statuses) <= {"200", "429", "no answer"},
            "each answer is in the audit log": answered
            == sum(line["status"] == 200 for line in lines_of(log)[0]),
        }
        checks = {name: checks.get(name, True) and ok for name, ok in held.items()}
        rounds.append({**counts, "statuses": dict(seen.statuses)})
    return {"checks": checks, "rounds": rounds}


async def reload(
    source: Path, files: list[Path], folder: Path, *, connections: int, seconds: float
) -> Found:
    """Change between two models every second; hold each answer against its model's own."""
    models = two_runs(source, folder / "models")
    expected = dict(answers_alone(path, files) for path in models)
    names = itertools.cycle(path.name for path in models[::-1])
    changed, wrong, seen = 0, list[str](), dict.fromkeys(expected, 0)
    with running(models[0], "--models", folder / "models") as (_, port):
        end = time.monotonic() + seconds

        def over() -> bool:  # a busy machine takes long to open a model
            now = time.monotonic()
            return now >= end + PATIENCE_S or (now >= end and min(seen.values()) > 0)

        async def ask_on(place: int) -> None:
            connection = Connection(port)
            while not over():
                file = files[place % len(files)]
                place += connections
                status, body = await connection.ask(request_of(file, PATIENT))
                if status == "429":
                    await asyncio.sleep(0.02)
                elif status != "200":
                    wrong.append(f"status {status}")
                else:
                    document = json.loads(body)
                    weights, (result,) = document["model"]["weights"], document["results"]
                    seen[weights] += 1
                    if not expected[weights][file].agrees(result):
                        wrong.append(f"an answer of another model than {weights[:12]}")
            connection.close()

        async def change() -> None:
            nonlocal changed
            while not over():
                await asyncio.sleep(1)
                body = json.dumps({"source": next(names)})
                head = (
                    "POST /v1/reload HTTP/1.1\r\nHost: localhost\r\n"
                    f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
                )
                status, answer = await ask_once(port, (head + body).encode())
                changed += status == "200"
                if status != "200":
                    wrong.append(f"reload: {answer.decode()}")

        await asyncio.gather(change(), *(ask_on(place) for place in range(connections)))
        counts = await images(port)
    checks = {
        "the model was changed": changed > 0 and min(seen.values()) > 0,
        "each answer is that of its model": not wrong,
        "every accepted image is answered": counts["failed"] == counts["cancelled"] == 0,
    }
    return {"checks": checks, "changed": changed, "answers": list(seen.values()),
            "wrong": wrong[:10]}  # fmt: skip


async def disk(
    source: Path, files: list[Path], folder: Path, *, connections: int, seconds: float
) -> Found:
    """Let the file of the audit log grow no further for a while, as on a full disk."""
    log = folder / "audit.jsonl"
    requests = [request_of(file, PATIENT) for file in files]
    full = min(seconds, 3) / 3
    with running(source, "--audit-log", log) as (process, port):

        async def part(limit: int) -> Seen:
            resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
            _, seen = await saturate(port, requests, connections, full)
            await asyncio.sleep(0.2)  # the last lines are written after their answers
            return seen

        before = await part(resource.RLIM_INFINITY)
        during = await part(log.stat().st_size + 70)  # in the middle of a line
        after = await part(resource.RLIM_INFINITY)
        text = await metrics(port)
    lines, cut = lines_of(log)
    (lost,) = [line for line in text.splitlines() if line.startswith("endoexit_audit_lost_total ")]
    asked = sum(sum(seen.statuses.values()) for seen in (before, during, after))
    checks = {
        "all are answered": all(
            set(seen.statuses) <= {"200", "429"} for seen in (before, during, after)
        ),
        "all lines of that time are lost": float(lost.split()[1]) == sum(during.statuses.values()),
        "each lost line is counted": len(lines) + float(lost.split()[1]) == asked,
        "one line is cut, and spoils no other": cut == 1,
    }
    return {"checks": checks, "asked": asked, "lines": len(lines), "lost": lost.split()[1]}


async def decoder(
    source: Path, files: list[Path], folder: Path, *, connections: int, seconds: float
) -> Found:
    """Kill the processes that decode, again and again, under load."""
    del folder
    requests = [request_of(file, PATIENT) for file in files]
    with running(source) as (process, port):
        load, killed = Load(port, requests, connections), 0
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            await asyncio.sleep(0.5)
            with contextlib.suppress(psutil.NoSuchProcess, IndexError):
                process.children()[0].kill()
                killed += 1
        seen = await load.stop()
        _, after = await saturate(port, requests, 1, 1)
        alive = len(process.children())
    failed = sum(count for status, count in seen.statuses.items() if status == "422")
    checks = {
        "only their images fail": set(seen.statuses) <= {"200", "422", "429"} and failed <= killed,
        "each is replaced": alive == 2,
        "the next requests are answered": set(after.statuses) == {"200"},
    }
    return {"checks": checks, "killed": killed, "statuses": dict(seen.statuses)}


FAULTS: dict[str, Callable[..., Coroutine[Any, Any, Found]]] = {
    "kill": kill, "terminate": terminate, "reload": reload, "disk": disk, "hang-up": hang_up,
    "decoder": decoder, "crowd": crowd,
}  # fmt: skip


def try_out(
    name: str, source: Path, files: list[Path], *, connections: int, seconds: float, times: int
) -> Found:
    """Return what becomes of a service under one fault; `wrong` names what does not hold."""
    more = {"times": times} if name == "terminate" else {}
    folder = Path(tempfile.mkdtemp())
    try:
        outcome = asyncio.run(
            FAULTS[name](source, files, folder, connections=connections, seconds=seconds, **more)
        )
    finally:
        shutil.rmtree(folder)
    return {**outcome, "wrong": [check for check, held in outcome["checks"].items() if not held]}


def main() -> None:
    """Try out the faults, write the result, and say what does not hold."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", type=Path)
    parser.add_argument("images", type=Path)
    parser.add_argument("--only", choices=FAULTS)
    parser.add_argument("--seconds", type=float, default=30, help="of load, for each")
    parser.add_argument("--connections", type=int, default=100)
    parser.add_argument("--times", type=int, default=20, help="of SIGTERM")
    parser.add_argument("--out", type=Path, default=RESULT)
    options = parser.parse_args()
    files = files_of(options.images)
    numbers = {name: getattr(options, name) for name in ("connections", "seconds", "times")}
    result: Found = {}
    for name in [options.only] if options.only else FAULTS:
        result[name] = try_out(name, options.source, files, **numbers)
        print(f"{name}: {'; '.join(result[name]['wrong']) or 'as it should be'}", flush=True)
    wrong = any(outcome["wrong"] for outcome in result.values())
    result["command"] = " ".join(sys.argv)
    result["machine"], result["versions"] = describe_machine(), library_versions()
    write_json(options.out, result)
    sys.exit(wrong)


if __name__ == "__main__":
    main()
