"""What a reproduction was asked for, kept in its folder: a later call continues the same one."""

import re
from pathlib import Path
from typing import Literal

from endoexit.datasets.layouts import Recognised
from endoexit.documents import Document, Record
from endoexit.errors import UsageError
from endoexit.files import sha256_bytes
from endoexit.models import single_exit_twin
from endoexit.models.catalog import FAMILIES, family_of
from endoexit.training.recipe import Recipe
from endoexit.training.strategies.joint import JointSettings

FILE = "study.json"
SHARES = {"train": 0.7, "val": 0.05, "calibrate": 0.05, "test": 0.2}
"""Shares of the roles. The paper has 8:2 and names no images for choosing an epoch; here they
come out of the 8, as nothing may be chosen on images that are reported."""

SplitName = Literal["random", "groups"]
WORDS: dict[SplitName, str] = {
    "random": "8:2 at random, as published: near-copies of test images are in train",
    "groups": "8:2 with near-copies kept together: none of them is on both sides",
}


class Network(Record):
    """One of the two networks.

    Attributes:
        model: Name in the catalog.
        label: Name of its run folder, and in tables.
        training: Recipe, with the settings of the network.
        weights: Starting weights; None for fresh ones.
    """

    model: str
    label: str
    training: Recipe
    weights: str | None


class Settings(Document):
    """What decides the figures of a reproduction.

    Attributes:
        format_version: Version of the document.
        data: Folder of the images.
        images_sha256: Hash of the names and sizes of the images.
        early: Network with early exits.
        baseline: The same network without them.
        recipe: Name of the recipe, or its file.
        seed: Random seed of the trainings.
        near_bits: Distance of near-copies in bits.
        splits: Names of the splits.
        exclude: Classes that are left out.
    """

    remedy = "Restore it, or choose another --out."
    newest = 1

    format_version: Literal[1] = 1
    data: str
    images_sha256: str
    early: Network
    baseline: Network
    recipe: str
    seed: int
    near_bits: int
    splits: tuple[SplitName, ...]
    exclude: tuple[str, ...]

    @property
    def networks(self) -> tuple[Network, Network]:
        """Both networks, in the order in which they are trained."""
        return self.baseline, self.early

    def keep(self, folder: Path) -> None:
        """Write them into the folder of the reproduction, or compare with what is there.

        Raises:
            UsageError: The folder is of a reproduction with other settings.
            RunError: What is there is damaged.
        """
        path = folder / FILE
        if not path.is_file():
            self.write(path)
            return
        before = self.read(path)
        if before == self:
            return
        names = [
            name for name in type(self).model_fields if getattr(before, name) != getattr(self, name)
        ]
        first = names[0]
        raise UsageError(
            f"{folder} is of a reproduction with other settings ({', '.join(names)}; {first} was "
            f"{_short(getattr(before, first))}, now {_short(getattr(self, first))}): choose "
            "another --out, or ask for the same to continue it."
        )


def both_networks(model: str, training: Recipe, weights: str | None = None) -> dict[str, Network]:
    """Return a network with early exits and its baseline, as fields of `Settings`.

    Where the catalog has no name for the network without early exits, its settings take them away.

    Raises:
        UsageError: There is no such network, or it has no early exits.
    """
    family = FAMILIES[family_of(model)]
    # Between exits there is nothing to learn where there is one.
    alone_learns = training.strategy.fewest_exits == 1
    joint = training if alone_learns else training.replaced(strategy=JointSettings())
    early = Network(model=model, label=_label(model), training=training, weights=weights)
    try:
        name = single_exit_twin(model)
    except UsageError:
        if family.twin is None:
            raise
        alone = early.replaced(
            label=f"{early.label}-without-exits", training=joint.with_model(dict(family.twin))
        )
        return {"early": early, "baseline": alone}
    if name == model:
        raise UsageError(
            f"{model} has no early exits: name the network that has them, such as ee_{model}."
        )
    return {
        "early": early,
        "baseline": early.replaced(model=name, label=_label(name), training=joint),
    }


def fingerprint(recognised: Recognised) -> str:
    """Return a hash of the names and sizes of the images, which is quick to find."""
    root = recognised.listing.root
    lines = (f"{file.path}\t{(root / file.path).stat().st_size}\n" for file in
             recognised.listing.files)  # fmt: skip
    return sha256_bytes("".join(lines).encode())


def _label(model: str) -> str:
    """Return the name of a network as the name of a folder: `timm:resnet18` has a colon."""
    return re.sub(r"[^\w.-]+", "-", model)


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:60]}…"
