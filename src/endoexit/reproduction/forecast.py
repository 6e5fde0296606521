"""How long the trainings will take: measured on a few steps here, reckoned for a GPU."""

import time
from collections.abc import Sequence

import torch
from torch import nn

from endoexit.documents import Record
from endoexit.errors import counted
from endoexit.machine import usable_cores
from endoexit.models.spec import NetworkSpec
from endoexit.reproduction.settings import Network
from endoexit.training.recipe import Recipe
from endoexit.training.start import network_of, resolve_precision

STEPS = 2
FEW = 8  # images in a step that is timed on a CPU: its time is that of the images
BACKWARD = 3  # a training step is about three forward passes
GPU_MACS = 10e12
"""Multiply-adds a second that the forecast for a GPU assumes to be sustained in training. This is
an assumption, not a measurement: data-centre GPUs reach more in bfloat16, small ones less."""


class Pace(Record):
    """How quickly one network trains on this machine.

    Attributes:
        network: Label of the network.
        seconds: Seconds of one image in training, forward, backward and update.
        macs: Multiply-adds of one image, forward.
        device: Device that it was measured on, in words.
    """

    network: str
    seconds: float
    macs: float
    device: str


class Work(Record):
    """What is left to train.

    Attributes:
        network: Label of the network.
        images: Number of training images.
        epochs: Number of epochs that are left.
    """

    network: str
    images: int
    epochs: int


def measure_pace(network: Network, classes: int, accelerator: str, threads: int | None) -> Pace:
    """Train a network for a few steps on images of noise, and return how long an image takes.

    Args:
        network: Network with its recipe.
        classes: Number of classes.
        accelerator: "auto", "cpu" or "gpu".
        threads: CPU threads; None for all usable cores.
    """
    recipe = network.training
    spec = network_of(network.model, classes, recipe)
    on_gpu = accelerator != "cpu" and torch.cuda.is_available()
    device = torch.device("cuda" if on_gpu else "cpu")
    before = torch.get_num_threads()
    torch.set_num_threads(threads or usable_cores())
    try:
        count = recipe.batch_size if on_gpu else min(FEW, recipe.batch_size)
        seconds = _time_steps(spec, recipe, device, accelerator, count)
    finally:
        torch.set_num_threads(before)
    cpu = f"CPU, {counted(threads or usable_cores(), 'thread')}"
    return Pace(
        network=network.label,
        seconds=seconds / count,
        macs=float(spec.complexity.macs[-1]),
        device=torch.cuda.get_device_name() if on_gpu else cpu,
    )


def _time_steps(
    spec: NetworkSpec, recipe: Recipe, device: torch.device, accelerator: str, count: int
) -> float:
    """Return the seconds of one step, the quickest of a few after one that warms up."""
    model: nn.Module = spec.build().to(device).train()
    loss = recipe.make_strategy(spec.num_exits).to(device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-6)
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(count, 3, spec.size, spec.size, generator=generator).to(device)
    images = images.contiguous(memory_format=torch.channels_last)  # as training has them
    labels = torch.arange(count, device=device) % spec.classes
    precision = resolve_precision(recipe.precision, accelerator)
    kind = torch.bfloat16 if precision.startswith("bf16") else torch.float16
    times = []
    for _ in range(STEPS + 1):
        start = time.perf_counter()
        with torch.autocast(device.type, kind, enabled=precision.endswith("mixed")):
            value = loss(model(images), labels)
        value.backward()
        optimizer.step()
        optimizer.zero_grad()
        if device.type == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return min(times[1:])


def forecast_lines(paces: Sequence[Pace], work: Sequence[Work]) -> list[str]:
    """Return what is to be said before the trainings begin.

    Args:
        paces: How quickly each network trains.
        work: What is left; nothing for trainings that are complete.
    """
    pace = {each.network: each for each in paces}
    seconds = sum(each.images * each.epochs * pace[each.network].seconds for each in work)
    macs = sum(BACKWARD * each.images * each.epochs * pace[each.network].macs for each in work)
    trainings = ", ".join(
        f"{each.network} {counted(each.epochs, 'epoch')} × {counted(each.images, 'image')}"
        for each in work
    )
    return [
        f"To train: {trainings}.",
        f"On this machine ({paces[0].device}): about {in_words(seconds)}, from {STEPS} steps of "
        "each network; validation and evaluation take a tenth more.",
        f"On a GPU: about {in_words(macs / GPU_MACS)} if it sustains {GPU_MACS / 1e12:g} T "
        f"multiply-adds a second (assumed, not measured); these are {macs:.2g} multiply-adds.",
    ]


def in_words(seconds: float) -> str:
    """Return a time in the unit that fits it: `40 s`, `12 min`, `3.5 h`, `4.0 days`."""
    for unit, size, digits in (("days", 86_400, 1), ("h", 3600, 1), ("min", 60, 0)):
        if seconds >= 2 * size:
            return f"{seconds / size:.{digits}f} {unit}"
    return f"{max(1, seconds):.0f} s"
