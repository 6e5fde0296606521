"""How fast a training step is, against the same network written plainly.

    python benchmarks/training_speed.py [--threads 2] [--rounds 5]

`ee_hifuse_small`, batch 8, 224×224, fp32, CPU. "Plain" is the same network with the same
weights as a straightforward port of the published code has it: default memory layout, channel
normalisation by its formula, ordinary concatenation. Steps of both alternate in one process, so
that their ratio holds on a noisy machine. The share of the input is measured on real batches of
the training loader (memory-mapped images, augmentation, normalisation).
Writes benchmarks/results/training_speed.json.
"""

import argparse
import copy
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest import mock

import numpy as np
import torch
from torch import Tensor, nn

from endoexit.files import write_json
from endoexit.images.cache import cache_images
from endoexit.images.reference import ImageRef
from endoexit.machine import describe_machine, library_versions
from endoexit.models import create_model
from endoexit.models.hifuse.layers import ChannelNorm
from endoexit.phantom.render import render_phantom
from endoexit.training.augment import Augment
from endoexit.training.loading import CachedDataset, make_loader
from endoexit.training.recipe import read_recipe
from tables import RESULTS

BATCH, CLASSES, SIZE = 8, 8, 224


class PlainNorm(nn.Module):
    """Channel normalisation as the published code writes it."""

    def __init__(self, norm: ChannelNorm) -> None:
        super().__init__()
        self.weight, self.bias, self.eps = norm.weight, norm.bias, norm.eps

    def forward(self, x: Tensor) -> Tensor:
        """Normalise x, shape (B, C, H, W)."""
        mean = x.mean(1, keepdim=True)
        variance = (x - mean).pow(2).mean(1, keepdim=True)
        x = (x - mean) / torch.sqrt(variance + self.eps)
        return self.weight[:, None, None] * x + self.bias[:, None, None]


def plain(model: nn.Module) -> nn.Module:
    """Return the same network with the same weights, written plainly."""
    model = copy.deepcopy(model)
    for module in list(model.modules()):
        for name, child in module.named_children():
            if isinstance(child, ChannelNorm):
                setattr(module, name, PlainNorm(child))
    return model.to(memory_format=torch.contiguous_format)


def plainly(work: Callable[[], Tensor]) -> Tensor:
    """Run `work` without the package's concatenation and memory layout."""
    cat = mock.patch("endoexit.models.hifuse.fusion.join", lambda *maps: torch.cat(maps, dim=1))
    layout = mock.patch("torch.channels_last", torch.contiguous_format)
    with cat, layout:
        return work()


class Contender:
    """A network and its optimiser; `step` trains it once."""

    def __init__(self, model: nn.Module, wrap: Callable[[Callable[[], Tensor]], Tensor]) -> None:
        self.model, self.wrap = model.train(), wrap
        self.optimizer = torch.optim.AdamW(model.parameters(), 1e-4)
        self.loss = read_recipe("paper").make_strategy(4)

    def step(self, images: Tensor, labels: Tensor) -> float:
        """Return the seconds of one step."""

        def work() -> Tensor:
            self.optimizer.zero_grad()
            loss: Tensor = self.loss(self.model(images), labels)
            loss.backward()
            self.optimizer.step()
            return loss

        start = time.perf_counter()
        self.wrap(work)
        return time.perf_counter() - start


def input_seconds(rounds: int) -> Iterator[float]:
    """Yield the time that the training loader and the augmentation take for a batch."""
    recipe = read_recipe("paper")
    preprocessing = recipe.image.preprocessing()
    augment = Augment(recipe.augment, {SIZE, recipe.image.early_size})
    with tempfile.TemporaryDirectory() as folder:
        render_phantom(Path(folder) / "images", 16, recipe.image.canvas)
        paths = sorted((Path(folder) / "images").rglob("*.jpg"))
        canvas = preprocessing.canvas(recipe.image.canvas)
        cached = cache_images([ImageRef(path) for path in paths], canvas, Path(folder) / "cache")
        dataset = CachedDataset(cached, np.zeros(len(paths), dtype=np.int64))
        loader = make_loader(dataset, BATCH, shuffle=True, seed=0, rank=0, processes=1)
        batches = iter(loader)
        for _ in range(min(rounds, len(loader))):
            start = time.perf_counter()
            images, _labels = next(batches)
            ((augment(images.float() / 255, SIZE) - 0.5) / 0.5).contiguous()
            yield time.perf_counter() - start


def main() -> None:
    """Measure and write the result."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    ours = create_model("ee_hifuse_small", CLASSES)
    contenders = {
        "endoexit": Contender(ours, lambda work: work()),
        "plain": Contender(plain(ours), plainly),
    }
    images = torch.randn(BATCH, 3, SIZE, SIZE)
    labels = torch.randint(0, CLASSES, (BATCH,))
    with torch.no_grad():
        ours.eval()
        contenders["plain"].model.eval()
        gaps = [
            float((a - b).abs().max() / b.abs().max())
            for a, b in zip(
                ours(images[:1]),
                plainly(lambda: contenders["plain"].model(images[:1])),
                strict=True,
            )
        ]
        ours.train()
        contenders["plain"].model.train()
    if max(gaps) > 1e-4:
        raise SystemExit(f"the two networks disagree by {max(gaps):.1e}: nothing to compare")
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for number in range(arguments.rounds + 1):
        for name, contender in contenders.items():
            taken = contender.step(images, labels)
            if number:  # the first round warms up
                seconds[name].append(taken)
    ratios = sorted(a / b for a, b in zip(seconds["endoexit"], seconds["plain"], strict=True))
    step = statistics.median(seconds["endoexit"])
    waiting = statistics.median(list(input_seconds(arguments.rounds + 1))[1:])
    result = {
        "command": f"python benchmarks/training_speed.py --threads {arguments.threads} "
        f"--rounds {arguments.rounds}",
        "network": "ee_hifuse_small",
        "batch_size": BATCH,
        "size": SIZE,
        "precision": "f32",
        "threads": arguments.threads,
        "largest_relative_difference": max(gaps),
        "step_seconds": {k: round(statistics.median(v), 3) for k, v in seconds.items()},
        "ratio_to_plain": {
            "median": round(statistics.median(ratios), 3),
            "lowest": round(ratios[0], 3),
            "highest": round(ratios[-1], 3),
        },
        "images_per_second": round(BATCH / (step + waiting), 2),
        "input_share_percent": round(100 * waiting / (step + waiting), 2),
        "machine": describe_machine(),
        "versions": library_versions(),
    }
    write_json(RESULTS / "training_speed.json", result)
    for key in ("step_seconds", "ratio_to_plain", "images_per_second", "input_share_percent"):
        print(f"{key}: {result[key]}")


if __name__ == "__main__":
    main()
