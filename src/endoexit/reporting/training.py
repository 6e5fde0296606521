"""Training curves: the loss, and what each exit knew on val after each epoch."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from endoexit.reporting.material import Absent, History, Material
from endoexit.reporting.style import INK, QUIET, Picture, draw, exit_style, percent_axis

_SIZE = (4.6, 3.1)
_SOURCE = "metrics.csv"
UNKNOWN = "Several epochs scored best on val; this run does not say whose weights were kept."


def training_curves(material: Material) -> list[Picture]:
    """Draw the curves that the history has; none without a history."""
    history = material.history
    if isinstance(history, Absent):
        return []
    pictures = [_loss(material, history)]
    exits = [f"val/accuracy_exit_{number}" for number in range(1, material.num_exits + 1)]
    if all(name in history.columns for name in exits):
        pictures.append(_accuracy(material, history, exits))
    return pictures


def _loss(material: Material, history: History) -> Picture:
    epochs, loss = history.columns["epoch"], history.columns["train/loss"]
    kept = UNKNOWN if history.best is None else f"The weights of epoch {history.best} were kept."
    alt = f"Training loss over {len(epochs)} epochs: from {loss[0]:.3f} to {loss[-1]:.3f}. {kept}"

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        axes.plot(epochs, loss, "-", color=INK, marker="." if len(epochs) < 3 else None)
        axes.set_ylabel("training loss (nats, all exits added)")
        axes.grid(visible=True, axis="y")
        _epochs(axes, history, height=0.98)

    return draw(
        "training-loss", _SIZE, paint, alt=alt, source=_SOURCE, synthetic=material.synthetic,
        caption="Mean loss of the training images in each epoch, augmentation included."
        + (f" {UNKNOWN}" if history.best is None else ""),
    )  # fmt: skip


def _accuracy(material: Material, history: History, names: list[str]) -> Picture:
    epochs = history.columns["epoch"]
    curves = {
        material.exit_name(number): [100 * value for value in history.columns[name]]
        for number, name in enumerate(names, start=1)
    }
    shown = epochs[-1] if history.best is None else history.best
    at = epochs.index(shown)
    there = ", ".join(f"{name} {values[at]:.1f} %" for name, values in curves.items())
    which = "last" if history.best is None else "kept"
    alt = f"Accuracy on val over {len(epochs)} epochs. At the {which} epoch {shown:g}: {there}."

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        for number, (name, values) in enumerate(curves.items(), start=1):
            style = exit_style(number)
            axes.plot(
                epochs, values, linestyle=style.dash, color=style.colour, marker=style.marker,
                markevery=max(1, len(epochs) // 8), markersize=4.5, markeredgecolor=INK,
                markeredgewidth=0.4, label=name,
            )  # fmt: skip
        axes.set_ylabel("accuracy on val (%)")
        percent_axis(axes)
        _epochs(axes, history, height=0.02)
        figure.legend(loc="outside upper left", ncols=min(4, len(curves)), columnspacing=1.2)

    return draw(
        "training-accuracy", _SIZE, paint, alt=alt, source=_SOURCE, synthetic=material.synthetic,
        caption="These images chose the epoch that was kept, so this is not a result.",
    )  # fmt: skip


def _epochs(axes: Axes, history: History, height: float) -> None:
    if history.best is not None:
        axes.axvline(history.best, color=QUIET, linewidth=0.9, linestyle=(0, (3, 2)), zorder=0.5)
        axes.annotate(
            f"kept: epoch {history.best}", (history.best, height), (-4, 0), fontsize=8, color=QUIET,
            xycoords=("data", "axes fraction"), textcoords="offset points",
            ha="right" if history.best > len(history.columns["epoch"]) / 2 else "left",
            va="top" if height > 0.5 else "bottom",
        )  # fmt: skip
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.set_xlabel("epoch")
