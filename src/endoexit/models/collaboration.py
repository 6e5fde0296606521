"""Exits that read the answer of the exit before: inline collaboration (Li et al., ICCV 2019).

With φ_k the vector that the head of exit k has before its last linear layer, the logits are

    y_1 = A_1 φ_1 + a_1,   y_k = A_k [φ_k; ReLU(BN(B_k y_{k−1} + b_k))] + a_k.

The logits y_{k−1} travel in the state, as its first tensor.
"""

from typing import TypeVar, cast

import torch
from torch import Tensor, nn

from endoexit.errors import UsageError
from endoexit.models.staged import Stage, StagedClassifier, State

NAME = "answer"  # of the logits in a state with names

Network = TypeVar("Network", bound=StagedClassifier)


class CollaboratingHead(nn.Module):
    """An exit head that reads the logits of the exit before.

    Args:
        body: Head without its last linear layer; it gives φ, (B, width).
        width: Length of φ.
        num_classes: Number of classes C.
        first: Whether it is the first exit, which reads φ alone.
    """

    def __init__(self, body: nn.Module, width: int, num_classes: int, *, first: bool) -> None:
        super().__init__()
        self.body, self.width = body, width
        self.lift = None
        if not first:
            self.lift = nn.Sequential(
                nn.Linear(num_classes, width), nn.BatchNorm1d(width), nn.ReLU()
            )
        self.classify = nn.Linear(width if first else 2 * width, num_classes)

    def features(self, state: State) -> Tensor:
        """Return φ, (B, width), of what the trunk hands to the head."""
        result: Tensor = self.body(state)
        return result

    def joined(self, features: Tensor, before: Tensor | None) -> Tensor:
        """Return logits (B, C) from φ and the logits of the exit before."""
        if self.lift is not None:
            features = torch.cat((features, self.lift(before)), dim=1)
        result: Tensor = self.classify(features)
        return result

    def forward(self, state: State) -> Tensor:
        """Return logits (B, C) from the logits of the exit before, if any, and what φ reads."""
        before, rest = (None, state) if self.lift is None else (state[0], state[1:])
        return self.joined(self.features(rest), before)

    @property
    def attention_kind(self) -> str:
        """Kind of what the head tells where it looks."""
        return str(getattr(self.body, "attention_kind", "attention"))

    def attention_map(self, state: State) -> Tensor | None:
        """Return where the head looks, (B, H, W); None where it has no attention."""
        attention = getattr(self.body, "attention_map", None)
        rest = state if self.lift is None else state[1:]
        return None if attention is None else cast("Tensor | None", attention(rest))


class CollaboratingStage(Stage):
    """A stage whose state begins with the logits of its exit.

    Args:
        stage: Stage that answers alone.
        head: Its head, made for collaboration.
    """

    head: CollaboratingHead

    def __init__(self, stage: Stage, head: CollaboratingHead) -> None:
        super().__init__(stage.trunk, head)

    def forward(self, state: State) -> tuple[State, Tensor]:
        """Return this stage's state and the logits of its exit."""
        after, head, seen = self._run(state)
        logits: Tensor = head(seen)
        return (logits, *after), logits

    def opened(self, state: State) -> tuple[State, nn.Module, State]:
        """Run; return the state after the stage, the exit's head and what that reads."""
        after, head, seen = self._run(state)
        return (head(seen), *after), head, seen

    def alone(self, state: State) -> State:
        """Return what the trunk makes of a state without logits."""
        for part in self.trunk:
            state = part(state)
        return state

    def _run(self, state: State) -> tuple[State, CollaboratingHead, State]:
        if self.head.lift is None:
            after = self.alone(state)
            return after, self.head, after
        after = self.alone(state[1:])
        return after, self.head, (state[0], *after)


def collaborating(model: Network) -> Network:
    """Let the exits of a network read the answers of those before; return the same network.

    The last linear layer of each head is replaced by fresh ones. A network with one exit stays as
    it is.

    Raises:
        UsageError: An exit does not end in a separate linear layer that gives the classes.
    """
    if model.num_stages == 1:
        return model
    taken: set[nn.Module] = set()
    for number, stage in enumerate(model.stages):
        plain = cast(Stage, stage)
        body, last = _parted(plain.head, model.num_classes)
        if last is None or last in taken:
            raise UsageError(
                f"collaborate needs exits that each end in a separate linear layer, but exit "
                f"{number + 1} of this network does not: leave it out."
            )
        taken.add(last)
        head = CollaboratingHead(body, last.in_features, model.num_classes, first=not number)
        model.stages[number] = CollaboratingStage(plain, head)
    if model.state_names:
        model.state_names = (NAME, *model.state_names)
    return model


def collaborates(model: StagedClassifier) -> bool:
    """Return whether the exits of a network read the answers of those before."""
    return any(isinstance(stage, CollaboratingStage) for stage in model.stages)


def _parted(head: nn.Module, num_classes: int) -> tuple[nn.Module, nn.Linear | None]:
    """Return a head without its last linear layer, and that layer; None where there is none."""
    linear = [(name, m) for name, m in head.named_modules() if isinstance(m, nn.Linear)]
    if not linear or linear[-1][1].out_features != num_classes:
        return head, None
    name, last = linear[-1]
    if not name:
        return head, None
    head.set_submodule(name, nn.Identity())
    return head, last
