"""Recipes of earlier versions, which had settings of the strategies under `loss`."""

from typing import Any

from endoexit.errors import UsageError

_MOVED = ("exit_weights", "distillation")


def in_todays_words(document: Any) -> Any:
    """Return a recipe's document with `loss.exit_weights` and `loss.distillation` as a strategy.

    Any other document is returned as it is.

    Raises:
        UsageError: It names a strategy as well.
    """
    loss = document.get("loss") if isinstance(document, dict) else None
    if not isinstance(loss, dict) or not any(key in loss for key in _MOVED):
        return document
    weights, alpha = (loss.get(key) for key in _MOVED)
    kept = {key: value for key, value in loss.items() if key not in _MOVED}
    changed = document | {"loss": kept}
    if weights is None and not alpha:
        return changed
    if "strategy" in document:
        raise UsageError(
            "loss.exit_weights and loss.distillation are settings of the strategy now: leave them "
            "out, and set strategy.weights and strategy.alpha."
        )
    strategy: dict[str, Any] = {"name": "weighted"}
    if alpha:
        strategy = {"name": "self-distil", "alpha": alpha}
    if weights is not None:
        strategy["weights"] = weights
    return changed | {"strategy": strategy}
