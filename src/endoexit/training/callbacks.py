"""What a run keeps: metrics of every epoch and the best weights."""

import math
import sys
import time
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import WeightAveraging

from endoexit.artifacts.source import METRICS, WEIGHTS
from endoexit.files import write_csv
from endoexit.models.weights import save_weights
from endoexit.training.module import ExitTraining


class KeepRun(Callback):
    """After each epoch: one row of `metrics.csv`, one line, and the weights if they are better.

    It must come before a weight-averaging callback, so that the weights which
    were validated are those that are kept.

    Args:
        path: The run folder.
        has_val: Whether there is a val role. Without one the weights of the last epoch are kept.
        averaging: The weight-averaging callback, if there is one.
    """

    def __init__(
        self, path: Path, *, has_val: bool, averaging: WeightAveraging | None = None
    ) -> None:
        self.path = path
        self.has_val = has_val
        self.averaging = averaging
        self.history: list[dict[str, float]] = []
        self.best: tuple[float, float] = (-math.inf, -math.inf)
        self.best_epoch = 0
        self._started = time.perf_counter()
        self._started_cpu = time.process_time()

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint keeps of this."""
        return {"history": self.history, "best": self.best, "best_epoch": self.best_epoch}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from a checkpoint."""
        self.history = state_dict["history"]
        self.best = state_dict["best"]
        self.best_epoch = state_dict["best_epoch"]

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the epoch's clocks."""
        del trainer, pl_module
        self._started = time.perf_counter()
        self._started_cpu = time.process_time()

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Record the epoch; keep the weights if they are the best so far."""
        assert isinstance(pl_module, ExitTraining)  # noqa: S101
        if trainer.sanity_checking:
            return
        summary = pl_module.validation_summary()
        pl_module.log_dict(summary)
        # A strategy in parts has whole weights in its last part alone.
        # Ties of accuracy are common on a small val role: the lower loss decides.
        mark = (summary["val/score"], summary["val/tie_break"])
        if pl_module.loss.keeps and mark > self.best:
            self.best, self.best_epoch = mark, trainer.current_epoch + 1
            if trainer.is_global_zero:
                save_weights(pl_module.model, self.path / WEIGHTS)
        self._record(trainer, pl_module, summary)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Without a val role, keep every epoch's weights."""
        assert isinstance(pl_module, ExitTraining)  # noqa: S101
        if self.has_val:
            return
        self.best_epoch = trainer.current_epoch + 1
        # No validation puts the averaged weights into the network, so it is done here.
        if self.averaging is not None:
            self.averaging.on_validation_epoch_start(trainer, pl_module)
        if trainer.is_global_zero:
            save_weights(pl_module.model, self.path / WEIGHTS)
        if self.averaging is not None:
            self.averaging.on_validation_epoch_end(trainer, pl_module)
        self._record(trainer, pl_module, {})

    def _record(self, trainer: Trainer, module: ExitTraining, summary: dict[str, float]) -> None:
        loss = float(module.train_loss.compute())
        module.train_loss.reset()
        module.log("train/loss", loss)
        seconds = time.perf_counter() - self._started
        row = {
            "epoch": trainer.current_epoch + 1,
            "train/loss": loss,
            "learning_rate": trainer.optimizers[0].param_groups[0]["lr"],
            **summary,
            "seconds": round(seconds, 2),
            # Of all threads of this process: other processes on the machine do not add to it.
            "cpu_seconds": round(time.process_time() - self._started_cpu, 2),
        }
        self.history = [*self.history, row]
        if not trainer.is_global_zero:
            return
        _write_metrics(self.path / METRICS, self.history)
        exits = [f"{100 * v:.1f}" for k, v in summary.items() if k.startswith("val/accuracy")]
        val = f"  val accuracy per exit {' '.join(exits)} %" if exits else ""
        star = " *" if self.best_epoch == row["epoch"] and self.has_val else ""
        print(
            f"epoch {row['epoch']:>3}/{trainer.max_epochs}  loss {loss:.3f}{val}{star}"
            f"  {seconds:.0f} s",
            file=sys.stderr,
            flush=True,
        )


def _write_metrics(path: Path, rows: list[dict[str, float]]) -> None:
    # A training that an earlier version began may lack a column in its first epochs.
    names = [name for name in rows[-1] if all(name in row for row in rows)]
    write_csv(path, names, ([row[name] for name in names] for row in rows))
