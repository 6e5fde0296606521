"""What all strategies share: their settings, the cross entropies, and what they may need."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from endoexit.documents import Record
from endoexit.errors import UsageError
from endoexit.models.collaboration import collaborates
from endoexit.models.staged import StagedClassifier
from endoexit.training.strategies.weights import ExitWeights, weights_of


@dataclass(frozen=True)
class Shown:
    """What a network is shown in one step.

    Attributes:
        images: Normalised images (B, 3, S, S).
        target: Class indices (B,), or probabilities (B, classes).
        mean: Mean of the normalisation, (1, 3, 1, 1).
        std: Standard deviation of the normalisation, (1, 3, 1, 1).
        taught: Map that each exit of the teacher reads, for a strategy that `needs_maps`.
    """

    images: Tensor
    target: Tensor
    mean: Tensor
    std: Tensor
    taught: tuple[Tensor, ...] = ()


class StrategySettings(Record):
    """Settings of one strategy; `name` of each tells them apart.

    Attributes:
        name: Name of the strategy.
        fewest_exits: Number of exits that a network must have.
    """

    name: str
    fewest_exits: ClassVar[int] = 1

    @abstractmethod
    def build(self, num_exits: int, label_smoothing: float) -> "Strategy":
        """Return the strategy for a network of `num_exits` exits; call `check` first.

        Args:
            num_exits: Number of exits M.
            label_smoothing: Label smoothing of all cross entropies.
        """

    def check_epochs(self, epochs: int, patience: int | None) -> None:
        """Raise UsageError if the strategy cannot work in so many epochs, or be stopped early."""

    def check(self, num_exits: int) -> None:
        """Raise UsageError if the network has too few exits."""
        if num_exits < self.fewest_exits:
            raise UsageError(
                f"the strategy {self.name} needs a network with at least {self.fewest_exits} "
                f"exits, but this one has {num_exits}: choose exits (--exits), or train it with "
                "--set 'strategy={name: joint}'."
            )


class Strategy(nn.Module):
    """The joint sum Σ_k w_k CE_k, and the base of the other strategies.

    Args:
        num_exits: Number of exits M.
        label_smoothing: Label smoothing of all cross entropies.
        weights: Weights of the exits w_k.
        temperature: Temperature of softened answers, for those that have them.

    Raises:
        UsageError: Weights that do not fit the number of exits.
    """

    weights: Tensor
    temperature: Tensor
    rests: ClassVar[bool] = False  # whether parts of the network do not learn in some epochs

    def __init__(
        self,
        num_exits: int,
        label_smoothing: float = 0.0,
        weights: ExitWeights = "equal",
        temperature: float = 1.0,
    ) -> None:
        super().__init__()
        self.label_smoothing = label_smoothing
        self.scheme = weights
        self.register_buffer("weights", torch.tensor(weights_of(weights, num_exits)))
        self.register_buffer("temperature", torch.tensor(float(temperature)))

    @property
    def needs_maps(self) -> bool:
        """Whether the strategy looks at the maps of a teacher, not at its answers alone."""
        return False

    def attach(self, model: StagedClassifier) -> None:
        """Make what the strategy has for this network, such as layers that are not kept.

        Raises:
            UsageError: The network lacks what the strategy needs.
        """

    def begin_epoch(self, epoch: int, epochs: int) -> None:
        """Take the weights of an epoch, counted from 1."""
        now = weights_of(self.scheme, len(self.weights), epoch, epochs)
        self.weights.copy_(torch.tensor(now))

    @property
    def keeps(self) -> bool:
        """Whether the weights of this epoch may be those that are kept."""
        return True

    def parts(self, epochs: int) -> tuple[int, ...]:
        """Return the number of epochs of each part, in which the learning rate rises and falls."""
        return (epochs,)

    def resting(self, model: StagedClassifier) -> list[nn.Module]:
        """Return the parts of the network that do not learn in this epoch, if it `rests`."""
        del model
        return []

    def answers(self, model: StagedClassifier, shown: Shown) -> list[Tensor]:
        """Return the logits that the loss takes, each (batch, classes): those of all exits."""
        logits: list[Tensor] = model(shown.images)
        return logits

    def forward(
        self, logits: Sequence[Tensor], target: Tensor, teacher: Tensor | None = None
    ) -> Tensor:
        """Return the loss, a scalar.

        Args:
            logits: Logits of each exit, (batch, classes).
            target: Class indices (batch,), or probabilities (batch, classes).
            teacher: Logits of the teacher's exits for the same images, (exits, batch, classes);
                None for the strategies without one.
        """
        # Autocast would round the sum to 8 bits.
        with torch.autocast(logits[0].device.type, enabled=False):
            known = None if teacher is None else teacher.detach().float()
            return self._loss([widened(z) for z in logits], target, known)

    def _loss(self, logits: list[Tensor], target: Tensor, teacher: Tensor | None) -> Tensor:
        del teacher
        return self._joint(logits, target)

    def _joint(self, logits: list[Tensor], target: Tensor) -> Tensor:
        """Return Σ_k w_k CE_k."""
        return self._entropies(logits, target) @ self.weights.to(logits[0].dtype)

    def _entropies(self, logits: list[Tensor], target: Tensor) -> Tensor:
        """Return the cross entropy of each exit, (M,)."""
        if target.is_floating_point():
            target = target.to(logits[0].dtype)
        terms = [
            functional.cross_entropy(z, target, label_smoothing=self.label_smoothing)
            for z in logits
        ]
        return torch.stack(terms)


def answering_alone(name: str, model: StagedClassifier) -> None:
    """Raise UsageError if the exits of a network read each other's answers.

    Args:
        name: Name of the strategy that cannot train them.
        model: The network.
    """
    if collaborates(model):
        raise UsageError(
            f"the strategy {name} needs exits that answer alone: leave out model.collaborate, or "
            "train with --set strategy.name=collaboration."
        )


def widened(logits: Tensor) -> Tensor:
    """Return logits in single precision, or in double where they are."""
    return logits if logits.dtype == torch.float64 else logits.float()


def softened_entropy(teacher: Tensor, logits: Tensor, temperature: Tensor) -> Tensor:
    """Return the mean over images of H(softmax(z_T / T), softmax(z / T)).

    Args:
        teacher: Logits z_T (batch, classes), which get no gradient here.
        logits: Logits z (batch, classes).
        temperature: T.
    """
    soft = functional.softmax(teacher.detach() / temperature, dim=1)
    return functional.cross_entropy(logits / temperature, soft)
