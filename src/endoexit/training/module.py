"""The Lightning module: one step, the metrics of an epoch, the optimiser."""

import math
from bisect import bisect_right
from itertools import accumulate
from typing import Any, cast

import lightning.pytorch as lightning
import torch
from torch import Tensor, nn
from torch.nn import functional
from torchmetrics import MeanMetric, MetricCollection
from torchmetrics.classification import MulticlassAccuracy

from endoexit.errors import TrainingError, UsageError
from endoexit.images.preprocessing import Preprocessing
from endoexit.models import StagedClassifier
from endoexit.models.quantised import is_quantised
from endoexit.training.augment import Augment, mixup
from endoexit.training.depthwise import FastDepthwise
from endoexit.training.loading import Batch
from endoexit.training.rates import frozen_norms, parameter_groups
from endoexit.training.recipe import OptimizerSettings, Recipe
from endoexit.training.strategies.base import Shown
from endoexit.training.strategies.distil import Distillation
from endoexit.training.teacher import Teacher


def learning_rate_factor(step: int, total: int, warmup: int, settings: OptimizerSettings) -> float:
    """Return the factor of the peak rate: linear warm-up, then cosine to `settings.final`."""
    if step < warmup:
        return settings.warmup_start + (1 - settings.warmup_start) * step / warmup
    progress = min(1.0, (step - warmup) / max(1, total - warmup))
    cosine = (1 + math.cos(math.pi * progress)) / 2
    return settings.final + (1 - settings.final) * cosine


class ExitTraining(lightning.LightningModule):
    """Trains all exits of a staged classifier together.

    Args:
        model: The network.
        recipe: Its training settings.
        preprocessing: Preprocessing, for the normalisation.
        seed: Random seed of all that is drawn.
        teacher: Teacher, for the strategies that need one.

    Raises:
        UsageError: The network lacks what the strategy needs, or has no exit to select by.
    """

    def __init__(
        self,
        model: StagedClassifier,
        recipe: Recipe,
        preprocessing: Preprocessing,
        seed: int,
        teacher: Teacher | None = None,
    ) -> None:
        super().__init__()
        self.model = model
        self.recipe = recipe
        self.seed = seed
        self.loss = recipe.make_strategy(model.num_stages)
        self.loss.attach(model)
        self.teacher = teacher
        if teacher is not None and isinstance(self.loss, Distillation):
            self.loss.follow(model, preprocessing.size, teacher.model, teacher.size)
        taught = set() if teacher is None else {teacher.size}
        self.augment = Augment(recipe.augment, recipe.image.sides | taught)
        self.register_buffer("mean", torch.tensor(preprocessing.mean).view(1, 3, 1, 1), False)
        self.register_buffer("std", torch.tensor(preprocessing.std).view(1, 3, 1, 1), False)
        self.train_loss = MeanMetric()
        exits = range(1, model.num_stages + 1)
        self.val_loss = MetricCollection(
            {f"exit_{k}": MeanMetric() for k in exits}, compute_groups=False
        )
        self.val_accuracy = MetricCollection(
            {f"exit_{k}": MulticlassAccuracy(model.num_classes, average="micro") for k in exits},
            compute_groups=False,
        )
        self.norms = frozen_norms(model) if recipe.optimizer.freeze_norm else []
        self.frozen: list[nn.Module] = []
        self._freeze(self.norms)
        self._check_selection()

    def _freeze(self, modules: list[nn.Module]) -> None:
        for module in self.frozen:
            module.requires_grad_(True)
        self.frozen = modules
        for module in modules:
            module.requires_grad_(False)

    def train(self, mode: bool = True) -> "ExitTraining":
        """Switch to training; what is frozen keeps its statistics.

        A network that learns to bear int8 computes as it will: nothing is dropped out, and
        normalisations keep their statistics.
        """
        super().train(mode)
        for module in self.frozen if not is_quantised(self.model) else [self.model]:
            module.eval()
        return self

    def _check_selection(self) -> None:
        select, exits = self.recipe.select, self.model.num_stages
        if isinstance(select, int) and not 1 <= select <= exits:
            raise UsageError(
                f"recipe: select names exit {select}, but this network has exits 1 to {exits}."
            )

    def on_train_epoch_start(self) -> None:
        """Tell the strategy which epoch begins, and let those parts rest that do not learn."""
        self.loss.begin_epoch(self.current_epoch + 1, self.recipe.epochs)
        if self.loss.rests:
            self._freeze([*self.norms, *self.loss.resting(self.model)])
            self.train()

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        """Augment (training) and normalise on the device; a teacher normalises its own images."""
        del dataloader_idx
        images, labels, *for_teacher = batch
        images = images.float() / 255
        if self.trainer.training:
            # The same draws again: the teacher sees the same view at its own size.
            for_teacher = [
                self._augmented(each.float() / 255, self.teacher.size)
                for each in for_teacher
                if self.teacher is not None
            ]
            size = self.recipe.image.crop_size(self.current_epoch, self.recipe.epochs)
            images = self._augmented(images, size)
        images = (images - self.mean) / self.std  # type: ignore[operator]
        return images.contiguous(memory_format=torch.channels_last), labels, *for_teacher

    def _augmented(self, images: Tensor, size: int) -> Tensor:
        # What is random depends on seed, step and process alone: a resumed run agrees.
        step = self.seed * 1_000_003 + self.trainer.global_step
        torch.manual_seed(step * 1009 + self.global_rank)
        view: Tensor = self.augment(images, size)
        return view

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the loss of the strategy; stop at a value that is not finite."""
        images, target, *for_teacher = batch
        if self.recipe.augment.mixup:
            soft = functional.one_hot(target, self.model.num_classes).float()
            images, target, *for_teacher = mixup(
                self.recipe.augment.mixup, images, soft, *for_teacher
            )
        known: Tensor | None = None
        maps: tuple[Tensor, ...] = ()
        if self.teacher is not None and self.loss.needs_maps:
            known, maps = self.teacher.maps(for_teacher[0])
        elif self.teacher is not None:
            known = self.teacher.answers(for_teacher[0])
        shown = Shown(images, target, cast(Tensor, self.mean), cast(Tensor, self.std), maps)
        with FastDepthwise():
            answers = self.loss.answers(self.model, shown)
        loss: Tensor = self.loss(answers, target, known)
        if not torch.isfinite(loss):
            raise self._diverged(f"the loss became {loss.item()}", batch_idx)
        self.train_loss.update(loss.detach())
        return loss

    def on_train_batch_end(self, outputs: Any, batch: Batch, batch_idx: int) -> None:
        """Stop before an epoch's weights are saved if its last step spoilt them."""
        del outputs, batch
        if self.trainer.is_last_batch:
            finite = [parameter.isfinite().all() for parameter in self.model.parameters()]
            if not torch.stack(finite).all():
                raise self._diverged("weights are not finite any more", batch_idx)

    def _diverged(self, what: str, batch_idx: int) -> TrainingError:
        return TrainingError(
            f"{what} in epoch {self.current_epoch + 1}, step {batch_idx + 1}. The last good "
            "checkpoint was kept. Try a lower learning rate (--set optimizer.lr=...), gradient "
            "clipping (--set optimizer.gradient_clip=1) or --set precision=32-true."
        )

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Count right answers and cross entropy of every exit."""
        del batch_idx
        images, labels, *_ = batch
        for k, z in enumerate(self.model(images), start=1):
            entropy = functional.cross_entropy(z.float(), labels, reduction="none")
            self.val_loss[f"exit_{k}"].update(entropy)
            self.val_accuracy[f"exit_{k}"].update(z.float(), labels)

    def validation_summary(self) -> dict[str, float]:
        """Return the epoch's metrics, and the score that the best epoch is chosen by."""
        accuracy, loss = (
            [float(by_exit[f"exit_{k}"]) for k in range(1, self.model.num_stages + 1)]
            for by_exit in (self.val_accuracy.compute(), self.val_loss.compute())
        )
        summary = {f"val/accuracy_exit_{k}": v for k, v in enumerate(accuracy, start=1)}
        summary |= {f"val/loss_exit_{k}": v for k, v in enumerate(loss, start=1)}
        marks = self._selected(accuracy), -self._selected(loss)
        score, tie = marks if self.recipe.select_by == "accuracy" else marks[::-1]
        return summary | {"val/score": score, "val/tie_break": tie}

    def _selected(self, figures: list[float]) -> float:
        select = self.recipe.select
        if select == "mean":
            return sum(figures) / len(figures)
        return figures[-1 if select == "final" else int(select) - 1]

    def on_validation_epoch_end(self) -> None:
        """Start the next epoch's count; the callbacks have read this one's."""
        self.val_loss.reset()
        self.val_accuracy.reset()

    def configure_optimizers(self) -> Any:
        """Return AdamW with warm-up and cosine in each part, stepped after each batch."""
        settings, epochs = self.recipe.optimizer, self.recipe.epochs
        groups = parameter_groups(self.model, settings, self.loss.parameters())
        optimizer = torch.optim.AdamW(groups, lr=settings.lr)
        total = int(self.trainer.estimated_stepping_batches)
        # Steps at which the parts of the training end.
        ends = [round(total * end / epochs) for end in accumulate(self.loss.parts(epochs))]

        def factor(step: int) -> float:
            part = min(bisect_right(ends, step), len(ends) - 1)
            begin = ends[part - 1] if part else 0
            length = ends[part] - begin
            warmup = round(total * min(1.0, settings.warmup_epochs / epochs))
            if warmup >= length:  # so short a part: half of it is for the fall
                warmup = length // 2
            return learning_rate_factor(step - begin, length, warmup, settings)

        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }
