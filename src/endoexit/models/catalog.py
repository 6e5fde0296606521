"""The networks by name, and how to make one."""

from typing import Any

from endoexit.errors import unknown_name
from endoexit.models.hifuse.network import HiFuse, HiFuseConfig
from endoexit.models.staged import StagedClassifier

EXITS = (1, 2, 3)  # the paper's: behind the first three fusion blocks


def _build() -> dict[str, HiFuseConfig]:
    published = {
        "tiny": HiFuseConfig(depths=(2, 2, 2, 2)),
        "small": HiFuseConfig(depths=(2, 2, 6, 2)),
        "base": HiFuseConfig(depths=(2, 2, 18, 2)),
    }
    plain = {f"hifuse_{size}": config for size, config in published.items()}
    for size, config in published.items():
        plain[f"hifuse_{size}_dw"] = config.replaced({"depthwise": True})
    # Heads of 32 channels as in the published sizes, of 24 where 48 is the width.
    for size, width, heads in (("nano", 32, 1), ("micro", 48, 2), ("mini", 64, 2)):
        plain[f"hifuse_{size}"] = HiFuseConfig(
            width=width,
            depths=(2, 2, 2, 2),
            heads=(heads, 2 * heads, 4 * heads, 8 * heads),
            depthwise=True,
        )
    exits = {f"ee_{name}": config.replaced({"exits": EXITS}) for name, config in plain.items()}
    return plain | exits


_CATALOG = _build()


def list_models() -> list[str]:
    """Return the names of all networks in the catalog, sorted."""
    return sorted(_CATALOG)


def model_config(name: str, **overrides: Any) -> HiFuseConfig:
    """Return a network's settings.

    Args:
        name: a name of the catalog.
        overrides: settings of `HiFuseConfig` to change, such as `width=48`.

    Raises:
        UsageError: no such name or setting (the nearest one is named), or a
            value that does not fit.
    """
    if name not in _CATALOG:
        raise unknown_name("model", name, _CATALOG)
    return _CATALOG[name].replaced(overrides)


def create_model(name: str, num_classes: int, **overrides: Any) -> StagedClassifier:
    """Return a freshly initialised network.

    Args:
        name: a name of the catalog, see `list_models`.
        num_classes: at least 2.
        overrides: settings of `HiFuseConfig` to change.

    Raises:
        UsageError: see `model_config`.
    """
    return HiFuse(model_config(name, **overrides), num_classes)


def single_exit_twin(name: str) -> str:
    """Return the name of the same network without early exits (itself if it has none)."""
    twin = name.removeprefix("ee_")
    if twin not in _CATALOG:
        raise unknown_name("model", name, _CATALOG)
    return twin
