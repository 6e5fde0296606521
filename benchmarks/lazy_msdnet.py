"""What MSDNet saves if each exit computes only what it needs: counted, and measured in PyTorch.

    python benchmarks/lazy_msdnet.py

Times are those up to each exit, batch 1, one thread, eager and lazy in turns. Writes
benchmarks/results/lazy_msdnet.json and a table of docs/networks.md.
"""

import argparse
import statistics
from collections.abc import Callable
from typing import Any

import torch

from endoexit.evaluation.figures import significant
from endoexit.evaluation.turns import take_turns
from endoexit.files import read_json, write_json
from endoexit.machine import describe_machine, library_versions
from endoexit.models import NetworkSpec, StagedClassifier
from endoexit.progress import silent
from tables import RESULTS, ROOT, markdown_table, replace_between

RESULT = RESULTS / "lazy_msdnet.json"
NETWORKS = {"msdnet_imagenet_k4": 224, "msdnet_cifar10_7": 32}
CLASSES, ROUNDS = 8, 15


def up_to(model: StagedClassifier, number: int, images: torch.Tensor) -> Callable[[int], object]:
    """Return the work of all stages up to an exit."""

    def work(_: int) -> object:
        state: tuple[torch.Tensor, ...] = (images,)
        with torch.inference_mode():
            for stage in range(1, number + 1):
                state, logits = model.stage(stage, state)
        return logits

    return work


def measure(name: str, size: int) -> list[dict[str, Any]]:
    """Return, for each exit, counts and times of the eager and of the lazy network."""
    torch.manual_seed(0)
    eager, lazy = (NetworkSpec(name, CLASSES, size, {"lazy": lazy}) for lazy in (False, True))
    networks = {"eager": eager.build().eval(), "lazy": lazy.build().eval()}
    images = torch.randn(1, 3, size, size)
    rows = []
    for number in range(1, eager.num_exits + 1):
        works = {kind: up_to(model, number, images) for kind, model in networks.items()}
        with silent(name, ROUNDS) as bar:
            times = take_turns(works, ROUNDS, bar)
        ratios = [b / a for a, b in zip(times["eager"], times["lazy"], strict=True)]
        rows.append(
            {
                "network": name,
                "size": size,
                "exit": number,
                "macs": eager.complexity.macs[number - 1],
                "macs_lazy": lazy.complexity.macs[number - 1],
                "ms": statistics.median(times["eager"]),
                "ms_lazy": statistics.median(times["lazy"]),
                "ratio": statistics.median(ratios),
            }
        )
    return rows


def page(document: dict[str, Any]) -> str:
    """Return the table."""
    rows = [
        (
            f"`{row['network']}`, {row['size']}×{row['size']}, exit {row['exit']}",
            significant(row["macs"] / 1e6),
            significant(row["macs_lazy"] / 1e6),
            significant(row["macs_lazy"] / row["macs"]),
            significant(row["ratio"]),
        )
        for row in document["rows"]
    ]
    header = ("up to", "multiply-adds, M", "lazy", "ratio", "ratio of times")
    made = (
        f"PyTorch, one thread of {document['machine']['processor']}, batch 1, "
        f"{document['rounds']} rounds in turns. Made by"
    )
    return f"{markdown_table(header, rows)}\n\n{made} `{document['command']}`."


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--table-only", action="store_true", help="write the table again")
    if not parser.parse_args().table_only:
        torch.set_num_threads(1)
        rows = [row for name, size in NETWORKS.items() for row in measure(name, size)]
        document = {
            "command": "python benchmarks/lazy_msdnet.py",
            "rounds": ROUNDS,
            "rows": rows,
            "machine": describe_machine(),
            "versions": library_versions(),
        }
        write_json(RESULT, document)
    text = page(read_json(RESULT))
    replace_between(ROOT / "docs" / "networks.md", "lazy", text)
    print(text)


if __name__ == "__main__":
    main()
