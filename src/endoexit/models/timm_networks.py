"""Networks of timm by name, if it is installed: `timm:resnet18`."""

import importlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn

from endoexit.errors import ModelError, UsageError, unknown_name
from endoexit.models.origin import Origin

PREFIX = "timm:"
HUB = "timm"  # of `--weights`: the weights that timm fetches for a network


def _timm() -> Any:
    try:
        return importlib.import_module("timm")
    except ModuleNotFoundError as error:
        raise UsageError(
            f"networks of timm need {error.name}: pip install 'endoexit[timm]'."
        ) from error
    except (ImportError, RuntimeError, OSError) as error:  # a torchvision of another torch
        raise UsageError(
            f"timm cannot be imported ({error}): install the torchvision that belongs to your "
            "torch, then pip install 'endoexit[timm]'."
        ) from error


def make(name: str, num_classes: int, size: int, *, pretrained: bool = False) -> nn.Module:
    """Return a network of timm.

    Args:
        name: Name in timm, without the prefix.
        num_classes: Number of classes C.
        size: Side in pixels of its images, for networks that are made for one size.
        pretrained: Whether timm fetches its weights.

    Raises:
        UsageError: Timm is not installed, has no such network (the nearest is named), or the
            network cannot be made for images of this size.
        ModelError: The weights cannot be fetched.
    """
    timm = _timm()
    known = timm.list_models() + timm.list_pretrained()
    if name not in known:
        raise unknown_name("network of timm", name, known)
    settings: dict[str, Any] = {"num_classes": num_classes, "pretrained": pretrained}
    if facts(name).get("fixed_input_size"):
        settings["img_size"] = size
    try:
        with _hub(pretrained):
            module: nn.Module = timm.create_model(name, **settings)
    except Exception as error:  # timm and its hub raise errors of every kind
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        if pretrained:
            raise ModelError(
                f"timm cannot fetch the weights of {name} ({first}): connect to its hub, or name a "
                "file with --weights FILE."
            ) from error
        raise UsageError(
            f"timm cannot make {name} for images of {size}×{size} pixels ({first})."
        ) from error
    return module


def facts(name: str) -> dict[str, Any]:
    """Return what timm knows of a network's weights: normalisation, size, licence, origin."""
    config = _timm().get_pretrained_cfg(name)
    return {} if config is None else dict(config.to_dict())


def side(name: str) -> int:
    """Return the side in pixels of the images that a network is meant for."""
    return int(facts(name).get("input_size", (3, 224, 224))[-1])


def origin(name: str, source: str, sha256: str | None = None) -> Origin:
    """Return what timm knows of the weights of a network.

    Args:
        name: Name in timm.
        source: Source of the weights as the user named it.
        sha256: SHA-256 of their file, where there is one; its licence is then not known.
    """
    known = facts(name)
    hub = sha256 is None
    interpolation = known.get("interpolation")
    return Origin(
        source=source,
        sha256=sha256,
        origin=str(known.get("hf_hub_id") or known.get("url") or "timm") if hub else "not stated",
        licence=str(known.get("license") or "not stated") if hub else "not stated",
        size=side(name),
        mean=known.get("mean"),
        std=known.get("std"),
        interpolation=interpolation if interpolation in {"bilinear", "bicubic"} else None,
    )


@contextmanager
def _hub(allowed: bool) -> Iterator[None]:
    """Let timm's hub be asked while weights are fetched, for the user asked for it."""
    if not allowed:
        yield
        return
    constants: Any = importlib.import_module("huggingface_hub.constants")
    before, variable = constants.HF_HUB_OFFLINE, os.environ.pop("HF_HUB_OFFLINE", None)
    constants.HF_HUB_OFFLINE = False
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before
        if variable is not None:
            os.environ["HF_HUB_OFFLINE"] = variable
