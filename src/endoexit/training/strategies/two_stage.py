"""Two stages of training: the network with its final exit, then the early exits alone."""

from typing import Literal, cast

from torch import Tensor, nn

from endoexit.models.staged import Stage, StagedClassifier, State
from endoexit.training.strategies.base import Shown, answering_alone
from endoexit.training.strategies.two_parts import TwoParts, TwoPartSettings


class TwoStageSettings(TwoPartSettings):
    """CE_M for the first epochs, then Σ_{k<M} CE_k of early exits on a network that stays as it is.

    Kaya et al., ICML 2019 ("IC-only"); Teerapittayanon et al., ICPR 2016, begin so too. In the
    second part the trunk, its normalisation and the final exit are frozen, so that the final exit
    stays as it is. Layers of the trunk that only early exits read learn with these. The learning
    rate warms up and falls in each part.

    Attributes:
        trunk_share: Share of the epochs in which the trunk and the final exit learn.
    """

    name: Literal["two-stage"] = "two-stage"

    def build(self, num_exits: int, label_smoothing: float) -> "TwoStage":
        """Return the strategy."""
        return TwoStage(num_exits, label_smoothing, self.trunk_share)


class TwoStage(TwoParts):
    """See `TwoStageSettings`."""

    def attach(self, model: StagedClassifier) -> None:
        """Raise UsageError if exits read each other's answers: the final one would learn alone."""
        answering_alone("two-stage", model)

    def resting(self, model: StagedClassifier) -> list[nn.Module]:
        """Return the parts of the network that do not learn in this epoch."""
        stages = [cast(Stage, stage) for stage in model.stages]
        if self.second:
            trunk = [part for stage in stages for part in _needed_behind(stage.trunk)]
            return [*trunk, stages[-1].head]
        of_exits = [
            part for stage in stages for part in stage.trunk.modules() if _is_of_exits(part)
        ]
        return [*(stage.head for stage in stages[:-1]), *of_exits]

    def answers(self, model: StagedClassifier, shown: Shown) -> list[Tensor]:
        """Return the logits of the exits that learn: the final one, or all the others."""
        state: State = (shown.images,)
        logits = []
        last = model.num_stages
        for number, stage in enumerate(model.stages, start=1):
            if self.second and number == last:
                break
            # What rests asks for no gradients, so in the second part there are none for the trunk.
            state, head, seen = cast(Stage, stage).opened(state)
            if self.second or number == last:
                logits.append(head(seen))
        return logits

    def _loss(self, logits: list[Tensor], target: Tensor, teacher: Tensor | None) -> Tensor:
        del teacher
        learning = logits[: len(self.weights) - 1] if self.second else logits[-1:]
        return self._entropies(learning, target).sum()


def _is_of_exits(module: nn.Module) -> bool:
    """Return whether only early exits read what a layer of the trunk computes."""
    return bool(getattr(module, "only_exits_read_it", False))


def _needed_behind(module: nn.Module) -> list[nn.Module]:
    """Return the largest parts of a trunk that hold no layer which only early exits read."""
    if not any(_is_of_exits(part) for part in module.modules()):
        return [module]
    kept = [child for child in module.children() if not _is_of_exits(child)]
    return [part for child in kept for part in _needed_behind(child)]
