"""The run folder: what a training leaves behind and everything else starts from."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from endoexit.data.manifest import Manifest, read_manifest
from endoexit.documents import Record, parse_record
from endoexit.errors import RunError
from endoexit.files import read_json, refuse_lfs_pointer, sha256_file, write_json
from endoexit.images.preprocessing import Preprocessing
from endoexit.models.origin import Origin

if TYPE_CHECKING:
    from endoexit.models.spec import NetworkSpec
    from endoexit.models.staged import StagedClassifier

FORMAT_VERSION = 1
CONFIG, WEIGHTS, MANIFEST = "config.json", "weights.safetensors", "manifest.csv"
CARD = "model_card.md"


class RunConfig(Record):
    """What a run was made with; `config.json` of its folder.

    Attributes:
        model: name in the catalog.
        overrides: settings of the network that differ from the catalog's.
        classes: class names in the order of the logits.
        preprocessing: from image to network input.
        starting_weights: Origin of the weights that the training began with; None for fresh ones.
        recipe: the training settings, as resolved.
        seed: of initialisation, order and augmentation.
        manifest_sha256: of the manifest's bytes.
        precision: of training, such as "bf16-mixed".
        command: the command line that made it.
        versions: of the libraries.
        machine: processor, cores, memory.
    """

    format_version: int = FORMAT_VERSION
    model: str
    overrides: dict[str, Any] = Field(default_factory=dict)
    classes: tuple[str, ...]
    preprocessing: Preprocessing
    starting_weights: Origin | None = None
    recipe: dict[str, Any] = Field(default_factory=dict)
    seed: int = 0
    manifest_sha256: str | None = None
    precision: str = "32-true"
    command: str = ""
    versions: dict[str, str] = Field(default_factory=dict)
    machine: dict[str, Any] = Field(default_factory=dict)

    @property
    def network(self) -> "NetworkSpec":
        """The network, for these classes and images."""
        from endoexit.models.spec import NetworkSpec  # noqa: PLC0415  (torch is slow to import)

        return NetworkSpec(self.model, len(self.classes), self.preprocessing.size, self.overrides)


@dataclass(frozen=True)
class Run:
    """An opened run folder.

    Attributes:
        path: the folder.
        config: its settings.
        made_by: what leaves such a folder behind.
        backend: what runs its stages.
    """

    path: Path
    config: RunConfig

    made_by: ClassVar[str] = "training"
    backend: ClassVar[str] = "torch"

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names in the order of the logits."""
        return self.config.classes

    @property
    def has_weights(self) -> bool:
        """Whether there are weights: not before the first epoch, nor after they were removed."""
        return (self.path / WEIGHTS).is_file()

    @property
    def is_complete(self) -> bool:
        """Whether its training has ended: the model card is written last.

        Weights that were not trained here have no recipe; they are complete as they are.
        """
        return (self.path / CARD).is_file() or not self.config.recipe

    @property
    def weights_path(self) -> Path:
        """Where the weights are.

        Raises:
            RunError: training has not saved any yet.
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

    def create_model(self) -> "StagedClassifier":
        """Return the run's network, freshly initialised."""
        return self.config.network.build()

    def load_model(self) -> "StagedClassifier":
        """Return the trained network in evaluation mode.

        Raises:
            RunError: there are no weights, or they cannot be read.
            ModelError: the weights are of another network or class count.
        """
        from endoexit.models.weights import load_weights  # noqa: PLC0415

        model = self.create_model()
        load_weights(model, self.weights_path)
        return model.eval()

    def manifest(self) -> Manifest:
        """Return the manifest that the run was trained with.

        Raises:
            RunError: it was changed since.
            DataError: it, or an image in it, is missing.
        """
        path = self.path / MANIFEST
        if not path.is_file():
            raise RunError(f"{self.path} has no {MANIFEST}; give a manifest of your own instead.")
        manifest = read_manifest(path, classes=self.classes)
        if self.config.manifest_sha256 not in (None, manifest.sha256):
            raise RunError(
                f"{path} is not the manifest that this run was trained with: roles may have "
                "changed. Restore it from the original."
            )
        return manifest


def open_run(path: Path) -> Run:
    """Open a run folder.

    Raises:
        RunError: it is no run folder, or of a newer format.
    """
    path = Path(path)
    if not path.is_dir():
        raise RunError(f"there is no run folder {path}; `endoexit train` makes one.")
    if (path / "bundle.json").is_file():
        raise RunError(
            f"{path} is a bundle, which only predicts, is evaluated and timed: name the run that "
            "it was exported from."
        )
    if not (path / CONFIG).is_file():
        raise RunError(
            f"{path} is not a run folder: it has no {CONFIG}. Name the folder that `endoexit "
            "train` made; a training killed before it wrote one is started again, not resumed."
        )
    config = parse_record(
        RunConfig,
        read_json(path / CONFIG, RunError),
        path / CONFIG,
        RunError,
        newest=FORMAT_VERSION,
        remedy="Restore it from a copy, or train again.",
    )
    return Run(path, config)


def write_config(path: Path, config: RunConfig) -> None:
    """Write `config.json` of the run folder `path`."""
    write_json(Path(path) / CONFIG, config.model_dump(mode="json"))


def write_run(path: Path, config: RunConfig, model: "StagedClassifier") -> Run:
    """Make a run folder from a network that exists already (imported weights, tests).

    The folder has no manifest: it can predict and be exported, and is evaluated
    with a manifest given by hand.
    """
    from endoexit.models.weights import save_weights  # noqa: PLC0415

    path = Path(path)
    path.mkdir(parents=True, exist_ok=True)
    save_weights(model, path / WEIGHTS)
    write_config(path, config)
    return Run(path, config)
