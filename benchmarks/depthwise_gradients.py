"""What the package's gradients of depthwise convolutions save in a training step on a CPU.

    python benchmarks/depthwise_gradients.py [--threads 1] [--rounds 11]

Steps (forward, loss, backward) in bfloat16 with and without them, one after the other in one
process, batches of 32 at 128×128, random images. Writes benchmarks/results/depthwise_gradients.json
and the table of docs/networks.md.
"""

import argparse
import statistics
import time
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from endoexit.files import write_json
from endoexit.machine import describe_machine, library_versions
from endoexit.models import StagedClassifier, create_model
from endoexit.training.depthwise import FastDepthwise
from tables import RESULTS, ROOT, markdown_table, replace_between

PAGE = ROOT / "docs" / "networks.md"
BATCH, SIZE, CLASSES = 32, 128, 5
NETWORKS: dict[str, dict[str, Any]] = {
    "efficientnet_lite0": {"exits": "3,5,6"},
    "efficientnet_lite2": {"exits": "3,5,6"},
    "ee_hifuse_nano": {},
}


def step(model: StagedClassifier, images: Tensor, labels: Tensor, *, fast: bool) -> float:
    """Return the seconds of one step."""
    context: AbstractContextManager[Any] = FastDepthwise() if fast else nullcontext()
    start = time.perf_counter()
    model.zero_grad()
    with torch.autocast("cpu", torch.bfloat16), context:
        answers = model(images)
    torch.stack([functional.cross_entropy(z.float(), labels) for z in answers]).sum().backward()
    return time.perf_counter() - start


def measure(name: str, options: dict[str, Any], rounds: int) -> dict[str, Any]:
    """Return medians of both, and the ratios of neighbouring steps."""
    torch.manual_seed(0)
    model = create_model(name, CLASSES, size=SIZE, **options).train()
    images = torch.randn(BATCH, 3, SIZE, SIZE).contiguous(memory_format=torch.channels_last)
    labels = torch.randint(0, CLASSES, (BATCH,))
    seconds: dict[bool, list[float]] = {False: [], True: []}
    for number in range(rounds + 1):
        for fast in (False, True):
            taken = step(model, images, labels, fast=fast)
            if number:  # the first round warms up
                seconds[fast].append(taken)
    ratios = sorted(a / b for a, b in zip(seconds[True], seconds[False], strict=True))
    return {
        "network": name,
        "plain_seconds": round(statistics.median(seconds[False]), 4),
        "fast_seconds": round(statistics.median(seconds[True]), 4),
        "ratio": [round(value, 3) for value in (statistics.median(ratios), ratios[0], ratios[-1])],
    }


def table(result: dict[str, Any]) -> str:
    """Return the table of the page."""
    rows = [
        [
            f"`{row['network']}`",
            f"{1000 * row['plain_seconds']:.0f}",
            f"{1000 * row['fast_seconds']:.0f}",
            "{:.2f} [{:.2f}, {:.2f}]".format(*row["ratio"]),
        ]
        for row in result["rows"]
    ]
    header = ["network", "PyTorch's own, ms", "endoexit, ms", "ratio [lowest, highest]"]
    versions, machine = result["versions"], result["machine"]
    return (
        markdown_table(header, rows)
        + f"\n\nOne step in bfloat16, batches of {BATCH} at {SIZE}×{SIZE}, threads: "
        f"{result['threads']}, {machine['processor']}, PyTorch {versions['torch']}. Made by "
        "`python benchmarks/depthwise_gradients.py`."
    )


def main() -> None:
    """Measure, and write result and table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=11)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    rows = [measure(name, options, arguments.rounds) for name, options in NETWORKS.items()]
    result = {
        "command": f"python benchmarks/depthwise_gradients.py --threads {arguments.threads} "
        f"--rounds {arguments.rounds}",
        "threads": arguments.threads,
        "rows": rows,
        "machine": describe_machine(),
        "versions": library_versions(),
    }
    write_json(RESULTS / "depthwise_gradients.json", result)
    replace_between(PAGE, "depthwise gradients", table(result))


if __name__ == "__main__":
    main()
