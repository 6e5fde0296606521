"""Attacks on all exits of a network: images changed unseen, so that answers become wrong.

After Hu et al., "Triple Wins: Boosting Accuracy, Robustness and Efficiency Together by Enabling
Input-Adaptive Inference" (ICLR 2020). An attack is not expected in a clinic. It shows the worst
that changes of a size can do, and whether early exits make it worse.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

EPSILON, STEP, STEPS = 8 / 255, 2 / 255, 20  # the paper's, for evaluation
Exits = Callable[[Tensor], Sequence[Tensor]]
"""Function from images (B, 3, S, S), values 0 to 1, to the logits (B, C) of each of M exits."""
Loss = Callable[[Sequence[Tensor], Tensor], Tensor]


def single(exit_number: int) -> Loss:
    """Return the loss of an attack on one exit: its cross entropy."""
    return lambda exits, labels: cross_entropy(exits[exit_number - 1], labels)


def average(exits: Sequence[Tensor], labels: Tensor) -> Tensor:
    """Return the loss of an attack on all exits at once: their mean cross entropy."""
    return torch.stack([cross_entropy(logits, labels) for logits in exits]).mean()


def attack(
    network: Exits,
    images: Tensor,
    labels: Tensor,
    loss: Loss,
    *,
    start: Tensor | None = None,
    epsilon: float = EPSILON,
    step: float = STEP,
    steps: int = STEPS,
) -> Tensor:
    """Return images that projected gradient ascent has made wrong, within ε of each value.

    Args:
        network: Network in evaluation mode.
        images: Images (B, 3, S, S), values 0 to 1.
        labels: Class indices (B,).
        loss: Loss that grows.
        start: Images that it starts at; by default the images themselves.
        epsilon: Largest change of a value.
        step: Change of a step.
        steps: Number of steps.
    """
    attacked = (images if start is None else start).detach()
    for _ in range(steps):
        attacked.requires_grad_()
        (gradient,) = torch.autograd.grad(loss(network(attacked), labels), attacked)
        moved = attacked.detach() + step * gradient.sign()
        attacked = (images + (moved - images).clamp(-epsilon, epsilon)).clamp(0, 1)
    return attacked.detach()


def max_average(
    network: Exits,
    images: Tensor,
    labels: Tensor,
    starts: Sequence[Tensor],
    *,
    epsilon: float = EPSILON,
    step: float = STEP,
    steps: int = STEPS,
) -> Tensor:
    """Return the strongest of the attacks on single exits, for each image.

    Args:
        network: Network in evaluation mode.
        images: Images (B, 3, S, S), values 0 to 1.
        labels: Class indices (B,).
        starts: Where the attack on each of the M exits starts.
        epsilon: Largest change of a value.
        step: Change of a step.
        steps: Number of steps.
    """
    return strongest(network, labels, [
        attack(network, images, labels, single(number), start=start, epsilon=epsilon, step=step,
               steps=steps)
        for number, start in enumerate(starts, start=1)
    ])  # fmt: skip


def strongest(network: Exits, labels: Tensor, attacks: Sequence[Tensor]) -> Tensor:
    """Return each image as that attack left it that harms most.

    Harm is the sum of the cross entropies of all exits.

    Args:
        network: Network in evaluation mode.
        labels: Class indices (B,).
        attacks: The images (B, 3, S, S) under each of at least one attack.
    """
    best, largest = attacks[0], torch.full((len(labels),), -torch.inf, device=labels.device)
    for attacked in attacks:
        with torch.no_grad():
            harm = torch.stack([
                cross_entropy(logits, labels, reduction="none") for logits in network(attacked)
            ]).sum(dim=0)  # fmt: skip
        better = harm > largest
        best = torch.where(better[:, None, None, None], attacked, best)
        largest = torch.where(better, harm, largest)
    return best


def random_starts(images: Tensor, exits: int, generator: torch.Generator) -> list[Tensor]:
    """Return a random start within ε of the images for each of the exits."""
    return [
        images + (2 * torch.rand(images.shape, generator=generator) - 1) * EPSILON
        for _ in range(exits)
    ]
