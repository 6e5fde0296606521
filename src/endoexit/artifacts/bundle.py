"""The bundle: one folder with all that inference needs, checked when it is opened."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import Field, TypeAdapter, ValidationInfo, field_validator, model_validator

from endoexit.artifacts.run import WEIGHTS, Run, open_run
from endoexit.data.manifest import Manifest
from endoexit.documents import Record, parse_record
from endoexit.errors import RunError, UsageError
from endoexit.files import (
    read_json,
    refuse_lfs_pointer,
    sha256_bytes,
    sha256_file,
    write_json,
)
from endoexit.images.preprocessing import Preprocessing
from endoexit.models.origin import Origin
from endoexit.models.state import StateSpec, state_of_shapes
from endoexit.precision import BackendName, NumberFormat, PrecisionText

if TYPE_CHECKING:
    from endoexit.models.spec import NetworkSpec
    from endoexit.models.staged import StagedClassifier

FORMAT_VERSION = 2
BUNDLE = "bundle.json"
STAGES = "stages"
MAX_BYTES = 16 * 2**20

StateShapes = tuple[tuple[tuple[int, ...], ...], ...]

SUFFIXES: dict[str, tuple[str, ...]] = {"openvino": (".xml", ".bin"), "onnx": (".onnx",)}


class ExitFacts(Record):
    """What leaving at one exit costs and what the export changed.

    Attributes:
        macs: true multiply-adds of an image, everything before the exit included.
        parameters: true parameters, likewise.
        accuracy: on the calibrate role, as the bundle computes; None without such images.
        accuracy_before: of the run in PyTorch at f32 on the same images.
    """

    macs: int
    parameters: int
    accuracy: float | None = None
    accuracy_before: float | None = None


class BundleConfig(Record):
    """What a bundle holds; `bundle.json` of its folder.

    Attributes:
        backend: what runs its stages.
        precision: Number format of the products; see `computes` for the format of the rest.
        model: name in the catalog.
        overrides: settings of the network that differ from the catalog's.
        classes: class names in the order of the logits.
        preprocessing: from image to network input.
        starting_weights: Origin of the weights that the training began with; None for fresh ones.
        exits: of each exit, in order.
        state: What each stage hands on. Format 1 kept the shapes only, as `state_shapes`.
        computes: Precisions that the bundle can compute in, the default first.
        policies: file of the exit policy for each precision, such as "openvino-bf16".
        files: SHA-256 of every other file, by its name relative to the folder.
        run_weights_sha256: of the run's weights file.
        manifest_sha256: of the manifest that the run was trained with.
        seed: of the training.
        command: the command line that made the bundle.
        versions: of the libraries that made it.
        machine: that made it.
        document_sha256: of this document without this field.
    """

    format_version: Annotated[int, Field(strict=True, ge=1)] = FORMAT_VERSION
    backend: BackendName
    precision: NumberFormat
    model: str
    overrides: dict[str, Any] = Field(default_factory=dict)
    classes: Annotated[tuple[str, ...], Field(min_length=1)]
    preprocessing: Preprocessing
    starting_weights: Origin | None = None
    exits: Annotated[tuple[ExitFacts, ...], Field(min_length=1)]
    state: StateSpec
    computes: Annotated[tuple[PrecisionText, ...], Field(min_length=1)]
    policies: dict[str, str] = Field(default_factory=dict)
    files: dict[str, str] = Field(default_factory=dict)
    run_weights_sha256: str
    manifest_sha256: str | None = None
    seed: int = 0
    command: str = ""
    versions: dict[str, str] = Field(default_factory=dict)
    machine: dict[str, Any] = Field(default_factory=dict)
    document_sha256: str = ""

    @model_validator(mode="before")
    @classmethod
    def _of_format_1(cls, document: Any) -> Any:
        if not isinstance(document, dict) or "state_shapes" not in document:
            return document
        rest = {key: value for key, value in document.items() if key != "state_shapes"}
        shapes = TypeAdapter(StateShapes).validate_python(document["state_shapes"])
        return rest | {"state": state_of_shapes(shapes)}

    @field_validator("state")
    @classmethod
    def _one_for_each_exit(cls, state: StateSpec, info: ValidationInfo) -> StateSpec:
        exits = info.data.get("exits", ())  # absent where they do not fit themselves
        if exits and len(state.stages) != len(exits):
            raise ValueError(f"states of {len(state.stages)} stages for {len(exits)} exits")
        return state

    @property
    def network(self) -> "NetworkSpec":
        """The network, for these classes and images."""
        from endoexit.models.spec import NetworkSpec  # noqa: PLC0415  (torch is slow to import)

        return NetworkSpec(self.model, len(self.classes), self.preprocessing.size, self.overrides)

    def sealed(self) -> "BundleConfig":
        """Return a copy that carries its own hash."""
        return self.replaced(document_sha256=_digest(self.model_dump(mode="json")))


def _digest(document: dict[str, Any]) -> str:
    rest = {key: value for key, value in document.items() if key != "document_sha256"}
    return sha256_bytes(json.dumps(rest, sort_keys=True, ensure_ascii=False).encode())


@dataclass(frozen=True)
class Bundle:
    """An opened bundle, its files checked.

    Attributes:
        path: the folder.
        config: what it holds.
        made_by: what leaves such a folder behind.
        has_weights: always: they were there when it was opened.
    """

    path: Path
    config: BundleConfig

    made_by: ClassVar[str] = "export"
    has_weights: ClassVar[bool] = True

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names in the order of the logits."""
        return self.config.classes

    @property
    def backend(self) -> BackendName:
        """What runs its stages."""
        return self.config.backend

    @property
    def weights_sha256(self) -> str:
        """Identity of the stages: what logits and policies are keyed by."""
        names = sorted(name for name in self.config.files if name.startswith(f"{STAGES}/"))
        return sha256_bytes("".join(self.config.files[name] for name in names).encode())

    def stage_files(self, number: int) -> tuple[Path, ...]:
        """Return the files of stage `number` (1 to M); for PyTorch one file holds them all."""
        if self.config.backend == "torch":
            return (self.path / STAGES / WEIGHTS,)
        suffixes = SUFFIXES[self.config.backend]
        return tuple(self.path / STAGES / f"{number}{suffix}" for suffix in suffixes)

    def load_model(self) -> "StagedClassifier":
        """Return the network in evaluation mode; of the backend "torch" only.

        Raises:
            RunError: the stages are another backend's.
            ModelError: the weights are of another network.
        """
        config = self.config
        if config.backend != "torch":
            raise RunError(
                f"{self.path} holds stages of {config.backend}, not a network in PyTorch: name "
                "the run, or export it with --backend torch."
            )
        from endoexit.models.weights import load_weights  # noqa: PLC0415  (torch is slow to import)

        model = config.network.build()
        load_weights(model, self.stage_files(1)[0])
        return model.eval()

    def manifest(self) -> Manifest:
        """Refuse: a bundle travels without the list of the images that made it.

        Raises:
            RunError: always; names the remedy.
        """
        raise RunError(
            f"{self.path} is a bundle, which holds no list of images: name one with --manifest, "
            f"such as the manifest.csv of the run that it was exported from."
        )


Source = Run | Bundle
"""What predicts and is evaluated: a run, or a bundle that was exported from one."""


def is_bundle(path: Path) -> bool:
    """Tell whether a folder is a bundle rather than a run."""
    return (Path(path) / BUNDLE).is_file()


def results_folder(path: Path, out: Path | None = None) -> Path:
    """Return where it is kept what is found out about a run or a bundle.

    That of a run is the run itself. A bundle is never written to: it travels, may be read-only,
    and holds no names of images. Its folder lies beside it and is called `BUNDLE-evaluation`.

    Args:
        path: of the run or the bundle.
        out: the folder that was asked for instead.

    Raises:
        UsageError: that folder lies in the bundle.
    """
    path = Path(path)
    if not is_bundle(path):
        return out or path
    whole = path.resolve()
    if out is None:
        beside = path if path.name not in {"", ".."} else whole
        return beside.with_name(f"{beside.name}-evaluation")
    if out.resolve().is_relative_to(whole):
        raise UsageError(
            f"{out} lies in the bundle {path}, which is never written to: name another folder."
        )
    return out


def open_source(path: Path) -> Source:
    """Open a run folder or a bundle.

    Raises:
        RunError: it is neither, or damaged.
    """
    return open_bundle(path) if is_bundle(path) else open_run(path)


def open_bundle(path: Path) -> Bundle:
    """Open a bundle and check every file of it against its hash.

    Raises:
        RunError: it is no bundle, of a newer format, or a file is missing or was changed.
    """
    path = Path(path)
    if not is_bundle(path):
        raise RunError(f"{path} is not a bundle: it has no {BUNDLE}; `endoexit export` makes one.")
    if (path / BUNDLE).stat().st_size > MAX_BYTES:
        raise RunError(f"{path / BUNDLE} is larger than any bundle's: export the run again.")
    document = read_json(path / BUNDLE, RunError)
    config = parse_record(
        BundleConfig,
        document,
        path / BUNDLE,
        RunError,
        newest=FORMAT_VERSION,
        remedy="Export the run again.",
    )
    if config.document_sha256 != _digest(document):
        raise _changed(path, BUNDLE)
    bundle = Bundle(path, config)
    _check_files(bundle)
    return bundle


def _check_files(bundle: Bundle) -> None:
    path, config = bundle.path, bundle.config
    for name, digest in config.files.items():
        file = path / name
        if not file.resolve().is_relative_to(path.resolve()):
            raise RunError(f"{path / BUNDLE} names {name!r}, outside its folder: do not use it.")
        if not file.is_file():
            raise RunError(
                f"{path} is incomplete: {name} is missing. Copy the whole bundle again, or export "
                "the run again."
            )
        refuse_lfs_pointer(file, RunError)
        if sha256_file(file) != digest:
            raise _changed(path, name)
    stages = {
        file.relative_to(path).as_posix()
        for number in range(1, len(config.exits) + 1)
        for file in bundle.stage_files(number)
    }
    unlisted = (stages | set(config.policies.values())) - set(config.files)
    if unlisted:
        raise RunError(f"{path / BUNDLE} lists no hash of {min(unlisted)}: export the run again.")


def _changed(path: Path, name: str) -> RunError:
    return RunError(
        f"{path / name} was changed since the bundle was made, so nothing that it promises holds. "
        "Copy the whole bundle again, or export the run again."
    )


def write_bundle(path: Path, config: BundleConfig) -> Bundle:
    """Seal a folder that holds a bundle's files: hash them all and write `bundle.json` last.

    Args:
        path: holds the stages, policies and the model card.
        config: with all but the hashes.
    """
    names = sorted(file.relative_to(path).as_posix() for file in path.rglob("*") if file.is_file())
    files = {name: sha256_file(path / name) for name in names if name != BUNDLE}
    sealed = config.replaced(files=files).sealed()
    write_json(path / BUNDLE, sealed.model_dump(mode="json"))
    return Bundle(path, sealed)
