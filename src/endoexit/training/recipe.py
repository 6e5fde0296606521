"""Recipes: committed YAML files with typed, validated training settings."""

from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import Field, ValidationError, field_validator, model_validator

from endoexit.documents import Record
from endoexit.errors import UsageError, unknown_name
from endoexit.files import refuse_lfs_pointer
from endoexit.images.preprocessing import Preprocessing
from endoexit.images.refusals import MIN_SIDE
from endoexit.models.origin import Interpolation, Origin
from endoexit.training.earlier import in_todays_words
from endoexit.training.faults import explained
from endoexit.training.strategies.base import Strategy
from endoexit.training.strategies.catalog import AnyStrategy
from endoexit.training.strategies.joint import JointSettings

MAX_BYTES = 1 << 20


Share = Annotated[float, Field(gt=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
_Value = Annotated[float, Field(ge=0, le=1)]  # of a pixel


class ImageSettings(Record):
    """From file to network input.

    Attributes:
        size: Side of the network's input, pixels.
        canvas: Side of the square to which whole images are stretched before
            training crops are taken from them.
        resize: Crop of evaluation and inference; see `Preprocessing`.
        crop_ratio: Share of the side that is kept; see `Preprocessing`.
        early_size: Side of the training crops in the first `early_share` of the
            epochs (progressive resizing: cheaper, and a regulariser).
        early_share: Share of the epochs with training crops of `early_size`; 0 for none.
        mean: Means of the normalisation, of values between 0 and 1; null for those of the starting
            weights, which are 0.5 where there are none.
        std: Standard deviations of the normalisation; null as for `mean`.
        interpolation: Interpolation that images are resized with; null for that of the starting
            weights, which is bilinear where there are none.
    """

    size: int = Field(224, ge=MIN_SIDE, le=1024)
    canvas: int = Field(256, ge=MIN_SIDE, le=2048)
    resize: Literal["stretch", "shorter-side"] = "stretch"
    crop_ratio: float = Field(1.0, gt=0, le=1)
    early_size: int = Field(96, ge=MIN_SIDE, le=1024)
    early_share: float = Field(0.0, ge=0, lt=1)
    mean: tuple[_Value, _Value, _Value] | None = None
    std: tuple[Share, Share, Share] | None = None
    interpolation: Interpolation | None = None

    @model_validator(mode="after")
    def _canvas_is_no_smaller(self) -> Self:
        if self.canvas < self.size:
            raise ValueError(
                f"the canvas of {self.canvas} pixels is smaller than the image of {self.size}: set "
                f"it too (--set image.canvas={2 * self.size})"
            )
        return self

    @property
    def sides(self) -> set[int]:
        """Sides of all training crops."""
        return {self.size, self.early_size} if self.early_share else {self.size}

    def crop_size(self, epoch: int, epochs: int) -> int:
        """Return the side of the training crops in an epoch, counted from 0."""
        return self.early_size if epoch < self.early_share * epochs else self.size

    def preprocessing(self, origin: Origin | None = None) -> Preprocessing:
        """Return what evaluation and inference do with an image.

        Args:
            origin: Origin of the starting weights, which may say how they want their images.
        """
        names = ("mean", "std", "interpolation")
        facts = {} if origin is None else {name: getattr(origin, name) for name in names}
        asked = {name: getattr(self, name) for name in names}
        chosen = {name: asked[name] or facts.get(name) for name in names}
        return Preprocessing(
            size=self.size,
            resize=self.resize,
            crop_ratio=self.crop_ratio,
            **{name: value for name, value in chosen.items() if value is not None},
        )


class OptimizerSettings(Record):
    """AdamW; vectors and biases are not decayed.

    Attributes:
        lr: Peak learning rate.
        trunk_lr: Peak learning rate of everything but the exits; null for `lr`.
        layer_decay: Factor of the trunk's learning rate from one layer with weights to the one
            before it; 1 for the same rate everywhere.
        freeze_norm: Whether the trunk's batch normalisation keeps its weights and statistics.
        weight_decay: Decoupled weight decay.
        warmup_epochs: Linear warm-up from `warmup_start` × lr.
        warmup_start: Factor of lr at the first step.
        final: Factor of lr at the last step; cosine in between.
        gradient_clip: Largest gradient norm; null for none.
    """

    lr: float = Field(1e-3, gt=0)
    trunk_lr: float | None = Field(None, gt=0)
    layer_decay: float = Field(1.0, gt=0, le=1)
    freeze_norm: bool = False
    weight_decay: float = Field(0.05, ge=0)
    warmup_epochs: float = Field(1, ge=0)
    warmup_start: float = Field(1e-3, gt=0, le=1)
    final: float = Field(1e-2, ge=0, le=1)
    gradient_clip: float | None = Field(1.0, gt=0)


class AugmentSettings(Record):
    """Random changes of training batches.

    Attributes:
        crop_scale: Smallest and largest share of the canvas that a crop covers; [1, 1] for the
            whole canvas.
        horizontal_flip: Probability.
        vertical_flip: Probability.
        rotation: Largest angle, degrees.
        scale: Smallest and largest factor of magnification; null for none.
        shift: Largest shift across and down, as a share of the side.
        brightness: Largest amount that is added to all values, which are between 0 and 1.
        contrast: Largest relative change of all values.
        saturation: Largest relative change of the saturation.
        hue: Largest shift, in turns.
        erase: Probability of erasing a rectangle of 2-20 % of the image.
        mixup: Parameter α of the Beta(α, α) distribution of mixup; 0 for none.
    """

    crop_scale: tuple[Share, Share] = (0.08, 1.0)
    horizontal_flip: float = Field(0.5, ge=0, le=1)
    vertical_flip: float = Field(0.0, ge=0, le=1)
    rotation: float = Field(0.0, ge=0, le=180)
    scale: tuple[Positive, Positive] | None = None
    shift: float = Field(0.0, ge=0, le=1)
    brightness: float = Field(0.0, ge=0, lt=1)
    contrast: float = Field(0.0, ge=0, lt=1)
    saturation: float = Field(0.0, ge=0, lt=1)
    hue: float = Field(0.0, ge=0, le=0.5)
    erase: float = Field(0.0, ge=0, le=1)
    mixup: float = Field(0.0, ge=0)

    @field_validator("crop_scale", "scale")
    @classmethod
    def _ordered(cls, value: tuple[float, float] | None) -> tuple[float, float] | None:
        if value is not None and value[0] > value[1]:
            raise ValueError("the smallest must not be above the largest")
        return value


class LossSettings(Record):
    """What the losses of all strategies share.

    Attributes:
        label_smoothing: Label smoothing of the cross entropy of every exit.
    """

    label_smoothing: float = Field(0.0, ge=0, lt=1)


class Recipe(Record):
    """All settings of a training.

    Attributes:
        epochs: Largest number of epochs.
        batch_size: Number of images of a step in each process.
        model: Settings of the network that differ from the catalog's.
        families: Settings that differ for all networks of a family, by its name in the catalog;
            `model` goes before them.
        strategy: Strategy: what the training minimises, and the settings of that; `name` is
            one of those of `endoexit.training.strategies.catalog`, such as `joint` and `distil`.
        select: Exit whose figures on the val role choose the best epoch: one exit's
            (a number, or "final") or their "mean" over the exits.
        select_by: "accuracy", or "loss" (cross entropy), which is less noisy
            where the val role is small.
        patience: Number of epochs without a better one after which training stops; null for never.
        precision: Precision of the arithmetic, in Lightning's terms; "auto" takes
            bfloat16 where the processor computes it in hardware.
        weight_average: Decay per step of the exponential average of the weights
            that is evaluated and kept; 0 for none.
    """

    epochs: int = Field(100, ge=1)
    batch_size: int = Field(64, ge=2)
    image: ImageSettings = ImageSettings()
    model: dict[str, Any] = Field(default_factory=dict)
    families: dict[str, dict[str, Any]] = Field(default_factory=dict)
    optimizer: OptimizerSettings = OptimizerSettings()
    augment: AugmentSettings = AugmentSettings()
    loss: LossSettings = LossSettings()
    strategy: AnyStrategy = JointSettings()
    select: Literal["mean", "final"] | int = "mean"
    select_by: Literal["accuracy", "loss"] = "accuracy"
    patience: int | None = Field(None, ge=1)
    precision: Literal["auto", "32-true", "bf16-mixed", "16-mixed", "64-true"] = "auto"
    weight_average: float = Field(0.0, ge=0, lt=1)

    @model_validator(mode="before")
    @classmethod
    def _of_earlier_versions(cls, document: Any) -> Any:
        return in_todays_words(document)

    def make_strategy(self, num_exits: int) -> Strategy:
        """Return the strategy for a network of `num_exits` exits.

        Raises:
            UsageError: The network lacks what the strategy needs, or there are too few epochs.
        """
        self.strategy.check(num_exits)
        self.strategy.check_epochs(self.epochs, self.patience)
        return self.strategy.build(num_exits, self.loss.label_smoothing)

    def with_model(self, settings: Mapping[str, Any]) -> "Recipe":
        """Return a copy with other settings of the network."""
        return self.replaced(model=self.model | dict(settings))

    def changed(self, changes: Sequence[str]) -> "Recipe":
        """Return a copy with settings changed as in `read_recipe`."""
        document = self.model_dump(mode="json")
        for change in changes:
            _change(document, change)
        return validate_recipe(document, "the recipe of the run")


def list_recipes() -> list[str]:
    """Return the names of the recipes that come with the package."""
    folder = resources.files("endoexit.training") / "recipes"
    return sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir()
                  if entry.name.endswith(".yaml"))  # fmt: skip


def read_recipe(name: str, changes: Sequence[str] = ()) -> Recipe:
    """Return a recipe.

    Args:
        name: Name of a recipe that comes with the package, or the path of a YAML file.
        changes: Settings to change, such as "epochs=5" or "augment.mixup=0.2".

    Raises:
        UsageError: No such recipe, a misspelt key (the nearest one is named), or
            a value that does not fit.
    """
    document = _read(name)
    for change in changes:
        _change(document, change)
    return validate_recipe(document, name)


def validate_recipe(document: Any, source: str) -> Recipe:
    """Return the recipe that a document (from YAML or JSON) holds; see `read_recipe`."""
    try:
        return Recipe.model_validate(document)
    except ValidationError as error:
        raise explained(error, Recipe, source) from error


def _read(name: str) -> dict[str, Any]:
    path = Path(name)
    if path.suffix in {".yaml", ".yml"}:
        if not path.is_file():
            raise UsageError(f"recipe file {name} does not exist; known by name: {list_recipes()}.")
        if path.stat().st_size > MAX_BYTES:
            raise UsageError(f"recipe file {name} is larger than 1 MiB: this is not a recipe.")
        refuse_lfs_pointer(path, UsageError)
        content = path.read_bytes()
    else:
        if name not in list_recipes():
            raise unknown_name("recipe", name, list_recipes())
        folder = resources.files("endoexit.training") / "recipes"
        content = (folder / f"{name}.yaml").read_bytes()
    document = _parse(content, f"recipe {name}")
    if not isinstance(document, dict):
        raise UsageError(f"recipe {name} must be a mapping of settings, got {document!r}.")
    return document


def _parse(content: str | bytes, what: str) -> Any:
    try:
        return yaml.safe_load(content)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(f"{what} is not valid YAML in UTF-8: {error}; correct it.") from error


def _change(document: dict[str, Any], change: str) -> None:
    key, equals, value = change.partition("=")
    if not equals:
        raise UsageError(f"a setting must read key=value, such as epochs=5; got {change!r}.")
    *sections, last = key.strip().split(".")
    for section in sections:
        document = document.setdefault(section, {})
        if not isinstance(document, dict):
            raise UsageError(f"{change!r}: {section!r} is not a section of the recipe.")
    document[last] = _parse(value, f"the value of {change!r}")
