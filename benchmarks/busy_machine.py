"""What other work on the machine costs, by how OpenMP's threads wait.

    python benchmarks/busy_machine.py [--threads 2] [--rounds 7]

PyTorch's threads wait for each other after every operation. By default they wait actively, and so
take the processor from the threads that they wait for as soon as other processes want it too.
`endoexit` sets OMP_WAIT_POLICY=PASSIVE, unless the user set it. Two processes, one of each kind,
take turns: one image through `ee_hifuse_nano` (eager PyTorch, 128×128), and one training step
(batch 8). They do so on the machine as it is, then with processes that compute without end. Their
number is 1 and 2 for each core. A fair share of n cores with b such processes and t threads takes
(b + t) / n times as long.
Writes benchmarks/results/busy_machine.json and a table in docs/deploying.md.
"""

import argparse
import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

from endoexit.evaluation.figures import significant
from endoexit.files import read_json, write_json
from endoexit.machine import describe_machine, library_versions, share_at_work, usable_cores
from tables import RESULTS, ROOT, markdown_table, replace_between

RESULT = RESULTS / "busy_machine.json"
PAGE = ROOT / "docs" / "deploying.md"
POLICIES = {"libraries' default": None, "PASSIVE": "PASSIVE"}
WORKS = {"image": "one image, ms", "step": "training step, batch 8, ms"}
NETWORK, SIZE, CLASSES, BATCH = "ee_hifuse_nano", 128, 5, 8
ENDLESS = "while True: pass"


class Contender:
    """A process that does one piece of work at a time, when it is asked to."""

    def __init__(self, policy: str | None, threads: int) -> None:
        environment = {key: value for key, value in os.environ.items() if "OMP_" not in key}
        if policy is not None:
            environment["OMP_WAIT_POLICY"] = policy
        self.process = subprocess.Popen(
            [sys.executable, __file__, "--contender", "--threads", str(threads)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, text=True,
        )  # fmt: skip

    def milliseconds(self, work: str, repeats: int) -> list[float]:
        """Return the time of each repetition of a piece of work."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(work, repeats, file=self.process.stdin, flush=True)
        times: list[float] = json.loads(self.process.stdout.readline())
        return times

    def close(self) -> None:
        """End the process."""
        self.process.kill()
        self.process.communicate()


def contend(threads: int) -> None:
    """Do what standard input asks for, and print the times; this is one contender."""
    import torch  # noqa: PLC0415  (only the contenders need it, under their own policy)

    from endoexit.models import create_model  # noqa: PLC0415
    from endoexit.training.recipe import read_recipe  # noqa: PLC0415

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    model = create_model(NETWORK, CLASSES)
    loss = read_recipe("small-data").make_strategy(model.num_stages)
    optimizer = torch.optim.AdamW(model.parameters(), 1e-4)
    single, batch = torch.rand(1, 3, SIZE, SIZE), torch.rand(BATCH, 3, SIZE, SIZE)
    labels = torch.arange(BATCH) % CLASSES

    def image() -> None:
        model.eval()
        with torch.inference_mode():
            model(single)

    def step() -> None:
        model.train()
        optimizer.zero_grad()
        loss(model(batch), labels).backward()
        optimizer.step()

    works = {"image": image, "step": step}
    for line in sys.stdin:
        name, repeats = line.split()
        times = []
        for _ in range(int(repeats)):
            start = time.perf_counter()
            works[name]()
            times.append(1000 * (time.perf_counter() - start))
        print(json.dumps(times), flush=True)


@contextlib.contextmanager
def busy(processes: int) -> Iterator[None]:
    """Keep this many processes computing."""
    running = [subprocess.Popen([sys.executable, "-c", ENDLESS]) for _ in range(processes)]
    try:
        yield
    finally:
        for process in running:
            process.kill()
            process.wait()


def measure(threads: int, rounds: int) -> dict[str, Any]:
    """Return the median times of every load, work and policy, with their quartiles."""
    import numpy as np  # noqa: PLC0415  (contenders start without it)

    repeats = {"image": 10, "step": 2}
    cores = usable_cores()
    contenders = {name: Contender(policy, threads) for name, policy in POLICIES.items()}
    measured = []
    try:
        for contender in contenders.values():
            for work in WORKS:
                contender.milliseconds(work, 3)  # warm up
        at_work = share_at_work()
        for others in (0, cores, 2 * cores):
            times: dict[tuple[str, str], list[float]] = {}
            with busy(others):
                for turn in range(rounds):
                    for work in WORKS:
                        order = list(contenders.items())
                        for name, contender in order if turn % 2 else order[::-1]:
                            times.setdefault((work, name), []).extend(
                                contender.milliseconds(work, repeats[work])
                            )
            for (work, name), values in times.items():
                low, middle, high = np.quantile(values, (0.25, 0.5, 0.75)).round(3).tolist()
                measured.append(
                    {"others": others, "work": work, "policy": name,
                     "milliseconds": {"median": middle, "quartiles": [low, high]}}
                )  # fmt: skip
    finally:
        for contender in contenders.values():
            contender.close()
    return {
        "command": f"python benchmarks/busy_machine.py --threads {threads} --rounds {rounds}",
        "network": NETWORK,
        "size": SIZE,
        "threads": threads,
        "cores": cores,
        "work_of_others_before": round(at_work, 3),
        "measured": measured,
        "machine": describe_machine(),
        "versions": library_versions(),
    }


def write_page(result: dict[str, Any]) -> None:
    """Write the table of a result into the page."""
    medians = {
        (row["others"], row["work"], row["policy"]): row["milliseconds"]["median"]
        for row in result["measured"]
    }
    rows = []
    for others in sorted({row["others"] for row in result["measured"]}):
        share = max(1.0, (others + result["threads"]) / result["cores"])
        for work, heading in WORKS.items():
            first, second = (medians[others, work, policy] for policy in POLICIES)
            rows.append(
                [
                    f"{others or 'no'} busy processes",
                    heading,
                    significant(share * min(medians[0, work, policy] for policy in POLICIES)),
                    significant(first),
                    significant(second),
                    significant(second / first),
                ]
            )
    header = ["other work", "what is timed", "fair share", *POLICIES, "ratio"]
    source = (
        f"`{NETWORK}`, {SIZE}×{SIZE}, eager PyTorch, {result['threads']} threads on "
        f"{result['cores']} cores of {result['machine']['processor']}. Medians; both settings took "
        "turns. The fair share is the shorter time on the idle machine, times the threads for each "
        "core. "
        f"Made by `{result['command']}`."
    )
    replace_between(PAGE, "busy", f"{markdown_table(header, rows)}\n\n{source}")


def main() -> None:
    """Measure, and write result and table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--table-only", action="store_true", help="measure nothing")
    parser.add_argument("--contender", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.contender:
        contend(arguments.threads)
        return
    if not arguments.table_only:
        write_json(RESULT, measure(arguments.threads, arguments.rounds))
    write_page(read_json(RESULT))


if __name__ == "__main__":
    main()
