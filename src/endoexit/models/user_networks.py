"""Networks of a user's own: a function in a Python file, `path/to/file.py:function`.

Such a file is code, and a run that names it runs it. It runs only where the user has named it in a
command, and only as long as it is unchanged.
"""

import importlib.util
import inspect
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import nn

from endoexit.errors import ModelError, UsageError, unknown_name
from endoexit.files import sha256_file

MARK = ".py:"
VARIABLE = "ENDOEXIT_CODE"  # files whose code may run, with os.pathsep between them


def is_one(name: str) -> bool:
    """Tell whether a name is that of a function in a file."""
    return MARK in name


def allow(name: str) -> None:
    """Let the code of a file run in this process and those that it starts."""
    path = str(_split(name)[0])
    allowed = [entry for entry in os.environ.get(VARIABLE, "").split(os.pathsep) if entry]
    os.environ[VARIABLE] = os.pathsep.join(dict.fromkeys([*allowed, path]))


def absolute(name: str) -> str:
    """Return a name with the whole path of its file, so that a run finds it from any folder."""
    path, function = _split(name)
    return f"{path}:{function}"


def code_sha256(name: str) -> str:
    """Return the SHA-256 of a file with a network.

    Raises:
        UsageError: There is no such file.
    """
    return sha256_file(_existing(name))


def make(name: str, num_classes: int, sha256: str | None = None) -> nn.Module:
    """Return what the function of a file makes for a number of classes.

    Args:
        name: File and function; see the module.
        num_classes: The function's only argument.
        sha256: SHA-256 that the file must have; None for any.

    Raises:
        UsageError: No such file or function, its code may not run here, or it makes no module.
        ModelError: The file was changed.
    """
    path, function = _existing(name), _split(name)[1]
    allowed = os.environ.get(VARIABLE, "").split(os.pathsep)
    if str(path) not in {str(Path(entry).resolve()) for entry in allowed if entry}:
        raise UsageError(
            f"the network is made by code in {path}, which runs only where you allow it: look at "
            f"it, then set {VARIABLE}={path}"
        )
    if sha256 is not None and sha256_file(path) != sha256:
        raise ModelError(
            f"{path} was changed since the training began (its SHA-256 differs): put the former "
            "file back, or train again."
        )
    maker = _function(path, function)
    try:
        module = maker(num_classes)
    except Exception as error:  # the user's code raises what it likes
        raise UsageError(
            f"{name} failed for {num_classes} classes ({type(error).__name__}: {error}): it must "
            "take the number of classes alone."
        ) from error
    if not isinstance(module, nn.Module):
        raise UsageError(
            f"{name} made a {type(module).__name__}: it must return a torch.nn.Module that gives "
            "logits (images, classes)."
        )
    return module


def _function(path: Path, name: str) -> Callable[[int], Any]:
    spec = importlib.util.spec_from_file_location(f"endoexit_user_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise UsageError(f"{path} is no Python file: name one that ends with .py.")
    code = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(code)
    except Exception as error:  # the user's code raises what it likes
        raise UsageError(f"{path} cannot be run ({type(error).__name__}: {error}).") from error
    functions = {
        key: value
        for key, value in vars(code).items()
        if callable(value) and not inspect.isbuiltin(value) and not key.startswith("_")
    }
    if name not in functions:
        raise unknown_name(f"function in {path.name}", name, functions)
    result: Callable[[int], Any] = functions[name]
    return result


def _existing(name: str) -> Path:
    path = _split(name)[0]
    if not path.is_file():
        raise UsageError(f"there is no file {path} with a network in it: name an existing one.")
    return path


def _split(name: str) -> tuple[Path, str]:
    file, _, function = name.rpartition(":")
    return Path(file).resolve(), function
