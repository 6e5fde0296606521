"""Weights of the published HiFuse code, read into the staged network."""

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from endoexit.errors import ModelError
from endoexit.models.hifuse.network import HiFuse
from endoexit.models.weights import PublishedReport

_BRANCHES = {
    "patch_embed.proj": ("1", "enter_global.conv"),
    "patch_embed.norm": ("1", "enter_global.norm"),
    "conv_norm": ("head", "norm"),
    "conv_head": ("head", "classify"),
}
_GLOBAL = {
    "norm1": "norm",
    "attn.qkv": "attention.qkv",
    "attn.proj": "attention.project",
    "attn.relative_position_bias_table": "attention.bias_table",
    "fc1": "linear",
}
_LOCAL = {"dwconv": "depthwise", "norm": "norm", "pwconv": "linear"}
_MERGING = {"reduction": "reduce", "norm": "norm"}
_FUSION = {
    "se.0": "channel.squeeze",
    "se.2": "channel.excite",
    "spatial.conv": "spatial.conv",
    "spatial.bn": "spatial.norm",
    "W_l.conv": "local.conv",
    "W_l.bn": "local.norm",
    "W_g.conv": "globe.conv",
    "W_g.bn": "globe.norm",
    "Updim.conv": "before.conv",
    "Updim.bn": "before.norm",
    "norm3": "norm",
    "residual.conv1.conv": "residual.mix",
    "residual.bn1": "residual.norm",
    "residual.conv2.conv": "residual.expand",
    "residual.conv3.conv": "residual.project",
    "residual.conv3.bn": "residual.project_norm",
}
# The first fusion block joins two maps with (norm2, W), the others three with (norm1, W3).
_FIRST_JOIN = {"norm2": "join_norm", "W.conv": "join.conv", "W.bn": "join.norm"}
_LATER_JOIN = {"norm1": "join_norm", "W3.conv": "join.conv", "W3.bn": "join.norm"}


def _place(key: str) -> tuple[str, str] | None:  # noqa: PLR0911  (one a kind of name)
    """Return (scale number or "head", name inside it) of a published name; None if unused."""
    stem, _, leaf = key.rpartition(".")
    if stem in _BRANCHES:
        scale, name = _BRANCHES[stem]
        return scale, f"{name}.{leaf}"
    if match := re.fullmatch(r"downsample_layers\.(\d)\.(\d)\.(\w+)", key):
        return str(int(match[1]) + 1), f"enter_local.{match[2]}.{match[3]}"
    if match := re.fullmatch(r"stages\.(\d)\.(\d+)\.(.+)", key):
        return _inside(str(int(match[1]) + 1), f"local_blocks.{match[2]}", match[3], _LOCAL)
    if match := re.fullmatch(r"layers(\d)\.downsample\.(.+)", key):
        return _inside(match[1], "enter_global", match[2], _MERGING)
    if match := re.fullmatch(r"layers(\d)\.blocks\.(\d+)\.(.+)", key):
        return _inside(match[1], f"global_blocks.{match[2]}", match[3], _GLOBAL)
    if match := re.fullmatch(r"fu(\d)\.(.+)", key):
        table = _FUSION | (_FIRST_JOIN if match[1] == "1" else _LATER_JOIN)
        if match[1] == "1" and match[2].startswith("Updim."):
            return None
        return _inside(match[1], "fusion", match[2], table)
    return None


def _inside(scale: str, prefix: str, rest: str, table: Mapping[str, str]) -> tuple[str, str] | None:
    if rest in table:  # a parameter of this module, without a leaf
        return scale, f"{prefix}.{table[rest]}"
    stem, _, leaf = rest.rpartition(".")
    return (scale, f"{prefix}.{table[stem]}.{leaf}") if stem in table else None


_UNUSED = re.compile(
    r"(norm|head)\.\w+|layers\d\.blocks\.\d+\.norm2\.\w+"
    r"|layers\d\.blocks\.\d+\.attn\.relative_position_index|layers\d\.blocks\.\d+\.attn_mask"
    r"|fu1\.(Updim|norm1|W3)\..+|fu[2-4]\.(norm2|W)\..+"
)


def load_published_hifuse(model: HiFuse, state_dict: Mapping[str, Tensor]) -> PublishedReport:
    """Read a state dict of the published HiFuse code into `model`.

    Args:
        model: A HiFuse network, with or without early exits.
        state_dict: Tensors by the names of the published code.

    Raises:
        ModelError: A tensor is missing, unknown or of another shape; all are
            named, and the model is left as it was.
    """
    prefixes = {}
    scale = 0
    for number, stage in enumerate(model.stages):
        for part in range(len(stage.trunk)):  # type: ignore[arg-type]
            scale += 1
            prefixes[str(scale)] = f"stages.{number}.trunk.{part}."
    prefixes["head"] = f"stages.{len(model.stages) - 1}.head."

    current = model.state_dict()
    new: dict[str, Tensor] = {}
    left_out, problems = [], []
    for key, value in state_dict.items():
        place = _place(key)
        if place is None:
            if _UNUSED.fullmatch(key):
                left_out.append(key)
            else:
                problems.append(f"{key}: no such layer in the published code")
            continue
        name = prefixes.get(place[0], "") + place[1]
        if name not in current:
            problems.append(f"{key}: no such layer in this network")
        elif current[name].shape != value.shape:
            problems.append(
                f"{key}: shape {tuple(value.shape)}, this network has {tuple(current[name].shape)}"
            )
        else:
            new[name] = torch.as_tensor(value)
    rest = [name for name in current if name not in new]
    heads = tuple(
        name for name in rest if ".head." in name and not name.startswith(prefixes["head"])
    )
    problems += [f"{name}: missing in the state dict" for name in rest if name not in heads]
    if problems:
        shown = "\n  ".join(problems[:10])
        more = f"\n  … and {len(problems) - 10} more" if len(problems) > 10 else ""
        raise ModelError(
            "these weights are not of this network (compare size, depths, dense or depthwise, "
            f"and number of classes):\n  {shown}{more}"
        )
    model.load_state_dict(current | new)
    return PublishedReport(len(new), tuple(left_out), heads)
