"""`Source`: what predicts. A run and a bundle each answer for themselves."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Protocol

from pydantic import Field

from endoexit.artifacts.members import MemberFacts
from endoexit.data.manifest import Manifest
from endoexit.documents import Document
from endoexit.errors import RunError
from endoexit.images.sheet import AnyPreprocessing
from endoexit.models.origin import Origin
from endoexit.models.state import StateSpec
from endoexit.precision import BackendName, Precision

if TYPE_CHECKING:
    from endoexit.models.cost import Complexity
    from endoexit.models.spec import NetworkSpec
    from endoexit.models.staged import StagedClassifier

CONFIG, BUNDLE = "config.json", "bundle.json"
WEIGHTS, STAGES = "weights.safetensors", "stages"
MANIFEST, METRICS, CARD = "manifest.csv", "metrics.csv", "model_card.md"
POLICY, EVALUATION, LOGITS = "policy.json", "evaluation.json", "logits"

Kind = Literal["run", "bundle"]

_SUFFIXES: dict[BackendName, tuple[str, ...]] = {"openvino": (".xml", ".bin"), "onnx": (".onnx",)}


class SourceConfig(Document):
    """What the documents of runs and bundles have in common.

    Attributes:
        model: Name in the catalog.
        overrides: Settings of the network that differ from the catalog's.
        classes: Class names in the order of the logits.
        preprocessing: Way from an image to the network's input.
        members: Runs that a cascade was put together from, in order; empty for other networks.
        starting_weights: Origin of the weights that the training began with; None for fresh ones.
        teacher: Run that taught the network; None without one.
        seed: Random seed of initialisation, order and augmentation.
        manifest_sha256: SHA-256 of the manifest that the network was trained with.
        command: Command line that made the folder.
        versions: Versions of the libraries that made it.
        machine: Processor, cores and memory of the machine that made it.
    """

    model: str
    overrides: dict[str, Any] = Field(default_factory=dict)
    classes: Annotated[tuple[str, ...], Field(min_length=1)]
    preprocessing: AnyPreprocessing
    members: tuple[MemberFacts, ...] = ()
    starting_weights: Origin | None = None
    teacher: MemberFacts | None = None
    seed: int = 0
    manifest_sha256: str | None = None
    command: str = ""
    versions: dict[str, str] = Field(default_factory=dict)
    machine: dict[str, Any] = Field(default_factory=dict)

    def settings_words(self) -> list[tuple[str, str]]:
        """Return name and value of each setting of the network, for cards and reports.

        What the members of a cascade are follows from `members`.
        """
        return [(key, str(value)) for key, value in self.overrides.items()
                if not (self.members and key == "members")]  # fmt: skip

    def making(self) -> list[tuple[str, str]]:
        """Return name and value of what its training depended on, or that of each member."""
        if self.members:
            return [line for number, member in enumerate(self.members, start=1)
                    for line in member.lines(f"member {number}")]  # fmt: skip
        lines = [("seed of the training", str(self.seed))]
        lines += self.starting_weights.lines() if self.starting_weights else []
        return lines + (self.teacher.lines("teacher") if self.teacher else [])

    @property
    def network(self) -> "NetworkSpec":
        """The network, for these classes and images."""
        from endoexit.models.spec import NetworkSpec  # noqa: PLC0415  (torch is slow to import)

        return NetworkSpec(self.model, len(self.classes), self.preprocessing.size, self.overrides)


@dataclass(frozen=True)
class StageFiles:
    """The files of exported stages, and what a backend must know to run them.

    Attributes:
        folder: Folder of the files.
        backend: Library that runs them.
        state: What each stage hands on.
        classes: Number of classes C.
        hashes: SHA-256 of files by name; what it does not name is not checked.
        size: Side of the images in pixels; None where it is not known.
    """

    folder: Path
    backend: BackendName
    state: StateSpec
    classes: int
    hashes: Mapping[str, str] = field(default_factory=dict)
    size: int | None = None

    @property
    def num_stages(self) -> int:
        """Number of stages M."""
        return len(self.state.stages)

    def of(self, number: int) -> tuple[Path, ...]:
        """Return the files of stage `number` (1 to M); for PyTorch one file holds them all."""
        if self.backend == "torch":
            return (self.folder / WEIGHTS,)
        return tuple(self.folder / f"{number}{suffix}" for suffix in _SUFFIXES[self.backend])

    def read(self, number: int) -> tuple[bytes, ...]:
        """Return the contents of the files of stage `number`, in the order of `of`.

        A library that maps a file into memory would follow whatever is written into it later.

        Raises:
            RunError: A file cannot be read, or has changed.
        """
        return tuple(map(self._content, self.of(number)))

    def _content(self, file: Path) -> bytes:
        try:
            content = file.read_bytes()
        except OSError as error:
            raise RunError(
                f"{file} cannot be read ({error.strerror or error}). Copy the whole bundle again, "
                "or export the run again."
            ) from error
        expected = self.hashes.get(file.name)
        if expected is not None and hashlib.sha256(content).hexdigest() != expected:
            raise changed(file)
        return content


def changed(file: Path) -> RunError:
    """Return the error of a file that is not the one that its bundle was sealed with."""
    return RunError(
        f"{file} was changed since the bundle was made, so nothing that it promises holds. "
        "Copy the whole bundle again, or export the run again."
    )


class Source(Protocol):
    """A folder that can predict: a run, or a bundle that was exported from one.

    Attributes:
        kind: Word for such a folder.
        calibrates: Whether `endoexit calibrate` finds its policy.
    """

    kind: ClassVar[Kind]
    calibrates: ClassVar[bool]

    @property
    def path(self) -> Path:
        """The folder."""

    @property
    def made_by(self) -> str:
        """Step that leaves such a folder."""

    @property
    def makes(self) -> str:
        """What its command makes, in words."""

    @property
    def config(self) -> SourceConfig:
        """The document in the folder."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names in the order of the logits."""

    @property
    def backend(self) -> BackendName:
        """Library that runs the stages."""

    @property
    def computes(self) -> tuple[Precision, ...]:
        """Precisions that it can compute in, the default first."""

    @property
    def has_weights(self) -> bool:
        """Whether the weights are there."""

    @property
    def weights_sha256(self) -> str:
        """Identity of the weights, by which logits and policies are keyed."""

    @property
    def run_weights_sha256(self) -> str:
        """SHA-256 of the weights file of the run that it is, or was exported from."""

    @property
    def complexity(self) -> "Complexity":
        """True parameters and multiply-adds of each exit."""

    @property
    def manifest_file(self) -> Path | None:
        """Manifest of the images that trained it; None for a bundle, which does not hold it."""

    @property
    def metrics_file(self) -> Path | None:
        """Metrics of its training; None for a bundle, which does not hold them."""

    @property
    def origin(self) -> dict[str, str]:
        """Names and values of what made it, for the provenance of a report."""

    def load_model(self) -> "StagedClassifier":
        """Return the network in PyTorch in evaluation mode.

        Raises:
            RunError: There are no weights, they cannot be read, or the stages are another
                backend's.
            ModelError: The weights are of another network or class count.
        """

    def stage_files(self) -> StageFiles:
        """Return the files of exported stages.

        Raises:
            RunError: Nothing was exported.
        """

    def manifest(self) -> Manifest:
        """Return the manifest of the images that trained it.

        Raises:
            RunError: It has none, or it was changed since.
            DataError: The manifest, or an image in it, is missing.
        """

    def policy_file(self, precision: Precision) -> Path | None:
        """Return where the policy for a precision is; None where there is no policy at all.

        Raises:
            PolicyError: There are policies, but none for this precision.
        """

    def results(self, out: Path | None = None) -> Path:
        """Return the folder for results, such as logits and evaluations.

        Args:
            out: Folder that the user asked for; by default the run itself, or a folder next to
                the bundle.

        Raises:
            UsageError: The folder may not be written to.
        """
