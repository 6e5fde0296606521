"""The run folder: a training writes it, and all later steps start from it."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field, model_validator

from endoexit.artifacts.members import MemberFacts
from endoexit.artifacts.source import (
    BUNDLE,
    CARD,
    CONFIG,
    MANIFEST,
    METRICS,
    POLICY,
    WEIGHTS,
    Kind,
    SourceConfig,
    StageFiles,
)
from endoexit.data.manifest import Manifest, read_manifest
from endoexit.errors import RunError
from endoexit.files import refuse_lfs_pointer, sha256_file
from endoexit.machine import machine_words
from endoexit.precision import BackendName, Precision

if TYPE_CHECKING:
    from endoexit.models.cost import Complexity
    from endoexit.models.staged import StagedClassifier

FORMAT_VERSION = 2


class RunConfig(SourceConfig):
    """Settings that a run was made with: `config.json` of its folder.

    Attributes:
        recipe: Settings of the training, as resolved; empty for weights that came from elsewhere.
        training_precision: Lightning's name of the precision of training, such as "bf16-mixed".
            Format 1 called it `precision`.
        quantisation: Places in each stage where the network computes as int8 does; empty for a
            network that was not trained for int8. See `endoexit.models.quantised.Structure`.
    """

    remedy = "Restore it from a copy, or train again."
    newest = FORMAT_VERSION

    format_version: int = FORMAT_VERSION
    recipe: dict[str, Any] = Field(default_factory=dict)
    training_precision: str = "32-true"
    quantisation: tuple[dict[str, Any], ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _of_format_1(cls, document: Any) -> Any:
        if not isinstance(document, dict) or "precision" not in document:
            return document
        rest = {key: value for key, value in document.items() if key != "precision"}
        new = {"training_precision": document["precision"], "format_version": FORMAT_VERSION}
        return rest | new


@dataclass(frozen=True)
class Run:
    """An opened run folder: a `Source`.

    Attributes:
        path: The folder.
        config: Its settings.
    """

    path: Path
    config: RunConfig

    kind: ClassVar[Kind] = "run"
    calibrates: ClassVar[bool] = True
    backend: ClassVar[BackendName] = "torch"
    computes: ClassVar[tuple[Precision, ...]] = (
        Precision("torch", "f32", "f32"),
        Precision("torch", "bf16", "bf16"),
        Precision("torch", "f32", "f32", "cuda"),
        Precision("torch", "bf16", "bf16", "cuda"),
    )

    @property
    def made_by(self) -> str:
        """Step that leaves such a folder."""
        return "cascade" if self.config.members else "training"

    @property
    def makes(self) -> str:
        """What its command makes, in words."""
        return "the cascade's weights" if self.config.members else "weights, metrics.csv"

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names in the order of the logits."""
        return self.config.classes

    @property
    def has_weights(self) -> bool:
        """Whether there are weights. There are none before the first epoch ends."""
        return (self.path / WEIGHTS).is_file()

    @property
    def is_complete(self) -> bool:
        """Whether its training has ended: the model card is written last.

        Weights that were not trained here have no recipe; they are complete as they are.
        """
        return (self.path / CARD).is_file() or not self.config.recipe

    @property
    def weights_path(self) -> Path:
        """File of the weights.

        Raises:
            RunError: The training has not saved any yet.
        """
        path = self.path / WEIGHTS
        if not path.is_file():
            raise RunError(
                f"{self.path} has no {WEIGHTS}: its training did not complete an epoch. "
                f"Continue with: endoexit train --resume {self.path}"
            )
        refuse_lfs_pointer(path, RunError)
        return path

    @cached_property
    def weights_sha256(self) -> str:
        """SHA-256 of the weights file, by which logits and policies are keyed."""
        return sha256_file(self.weights_path)

    @property
    def run_weights_sha256(self) -> str:
        """SHA-256 of the weights file."""
        return self.weights_sha256

    @cached_property
    def complexity(self) -> "Complexity":
        """True parameters and multiply-adds of each exit, counted on the network."""
        return self.config.network.complexity

    @property
    def manifest_file(self) -> Path:
        """The copy of the manifest that it was trained with."""
        return self.path / MANIFEST

    @property
    def metrics_file(self) -> Path:
        """The metrics of each epoch."""
        return self.path / METRICS

    @property
    def origin(self) -> dict[str, str]:
        """Precision and machine of the training, or machine of the cascade."""
        if self.config.members:
            return {"put together on": machine_words(self.config.machine)}
        return {
            "precision of the training": self.config.training_precision,
            "trained on": machine_words(self.config.machine),
        }

    def create_model(self) -> "StagedClassifier":
        """Return the run's network, freshly initialised."""
        model = self.config.network.build()
        if not self.config.quantisation:
            return model
        from endoexit.models.quantised import restored  # noqa: PLC0415  (torch is slow to import)

        return restored(model, self.config.quantisation)

    def load_model(self) -> "StagedClassifier":
        """Return the trained network in evaluation mode.

        Raises:
            RunError: There are no weights, or they cannot be read.
            ModelError: The weights are of another network or class count.
        """
        from endoexit.models.weights import load_weights  # noqa: PLC0415

        model = self.create_model()
        load_weights(model, self.weights_path)
        return model.eval()

    def manifest(self) -> Manifest:
        """Return the manifest that the run was trained with.

        Raises:
            RunError: It was changed since.
            DataError: It, or an image in it, is missing.
        """
        path = self.manifest_file
        if not path.is_file():
            raise RunError(f"{self.path} has no {MANIFEST}; give one with --manifest.")
        manifest = read_manifest(path, classes=self.classes)
        if self.config.manifest_sha256 not in (None, manifest.sha256):
            raise RunError(
                f"{path} is not the manifest that this run was trained with: roles may have "
                "changed. Restore it from the original."
            )
        return manifest

    def known_manifest(self) -> Manifest:
        """Return the manifest of a run that another one is made from.

        Raises:
            RunError: It has none, or it was changed since.
            DataError: It, or an image in it, is missing.
        """
        if not self.manifest_file.is_file():
            raise RunError(
                f"{self.path} has no {MANIFEST}, so it is not known which images it learnt from: "
                "name a run that `endoexit train` made."
            )
        return self.manifest()

    def facts(self, exits: tuple[int, int]) -> MemberFacts:
        """Return what a run that is made from this one keeps of it.

        Args:
            exits: Numbers of its first and its last exit there, from 1.
        """
        config = self.config
        return MemberFacts(
            name=self.path.resolve().name,
            network=config.model,
            size=config.preprocessing.size,
            exits=exits,
            weights_sha256=self.weights_sha256,
            manifest_sha256=config.manifest_sha256,
            seed=config.seed,
            command=config.command,
            starting_weights=config.starting_weights,
        )

    def stage_files(self) -> StageFiles:
        """Refuse: a run holds a network in PyTorch.

        Raises:
            RunError: Every time; the message has the remedy.
        """
        raise RunError(f"{self.path} is a run, which has no exported stages: export it first.")

    def policy_file(self, precision: Precision) -> Path | None:  # noqa: ARG002
        """Return the file of the policy; None without one. The precision is in the file."""
        file = self.path / POLICY
        return file if file.is_file() else None

    def results(self, out: Path | None = None) -> Path:
        """Return the folder for results: the run itself, unless `out` is given."""
        return out or self.path


def open_run(path: Path) -> Run:
    """Open a run folder.

    Raises:
        RunError: It is no run folder, or of a newer format.
    """
    path = Path(path)
    if not path.is_dir():
        raise RunError(f"there is no run folder {path}; `endoexit train` makes one.")
    if (path / BUNDLE).is_file():
        raise RunError(
            f"{path} is a bundle, which only predicts, is evaluated and timed: name the run that "
            "it was exported from."
        )
    if not (path / CONFIG).is_file():
        raise RunError(
            f"{path} is not a run folder: it has no {CONFIG}. Name the folder that `endoexit "
            "train` made; a training killed before it wrote one is started again, not resumed."
        )
    return Run(path, RunConfig.read(path / CONFIG))


def write_config(path: Path, config: RunConfig) -> None:
    """Write `config.json` of the run folder `path`."""
    config.write(Path(path) / CONFIG)


def write_run(path: Path, config: RunConfig, model: "StagedClassifier") -> Run:
    """Make a run folder from a network that exists already (imported weights, tests).

    The folder has no manifest: it can predict and be exported, and is evaluated
    with a manifest that the user names.
    """
    from endoexit.models.weights import save_weights  # noqa: PLC0415

    path = Path(path)
    path.mkdir(parents=True, exist_ok=True)
    save_weights(model, path / WEIGHTS)
    write_config(path, config)
    return Run(path, config)
