"""The bundle: one folder with all that prediction needs, checked when it is opened."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from endoexit.artifacts.bundle_document import BundleConfig, digest_of
from endoexit.artifacts.run import open_run
from endoexit.artifacts.source import (
    BUNDLE,
    STAGES,
    Kind,
    Source,
    StageFiles,
    changed,
)
from endoexit.data.manifest import Manifest
from endoexit.errors import PolicyError, RunError, UsageError
from endoexit.files import read_json, refuse_lfs_pointer, sha256_bytes, sha256_file
from endoexit.machine import machine_words
from endoexit.precision import BackendName, Precision

if TYPE_CHECKING:
    from endoexit.models.cost import Complexity
    from endoexit.models.staged import StagedClassifier

MAX_BYTES = 16 * 2**20


@dataclass(frozen=True)
class Bundle:
    """An opened bundle, its files checked: a `Source`.

    Attributes:
        path: The folder.
        config: What it holds.
    """

    path: Path
    config: BundleConfig

    kind: ClassVar[Kind] = "bundle"
    calibrates: ClassVar[bool] = False
    made_by: ClassVar[str] = "export"
    makes: ClassVar[str] = "the bundle"
    has_weights: ClassVar[bool] = True  # they were there when it was opened
    manifest_file: ClassVar[None] = None
    metrics_file: ClassVar[None] = None

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names in the order of the logits."""
        return self.config.classes

    @property
    def backend(self) -> BackendName:
        """Library that runs its stages."""
        return self.config.backend

    @property
    def computes(self) -> tuple[Precision, ...]:
        """Precisions that it can compute in, the default first."""
        return self.config.computes

    @property
    def weights_sha256(self) -> str:
        """Identity of the stages, by which logits and policies are keyed."""
        names = sorted(name for name in self.config.files if name.startswith(f"{STAGES}/"))
        return sha256_bytes("".join(self.config.files[name] for name in names).encode())

    @property
    def run_weights_sha256(self) -> str:
        """SHA-256 of the weights file of its run."""
        return self.config.run_weights_sha256

    @cached_property
    def complexity(self) -> "Complexity":
        """True parameters and multiply-adds of each exit, as the document has them."""
        from endoexit.models.cost import Complexity  # noqa: PLC0415  (torch is slow to import)

        exits = self.config.exits
        return Complexity(
            tuple(facts.parameters for facts in exits),
            tuple(facts.macs for facts in exits),
            self.config.preprocessing.size,
        )

    @property
    def origin(self) -> dict[str, str]:
        """Weights, command and machine of the export."""
        return {
            "weights of the run, SHA-256": self.config.run_weights_sha256,
            "exported by": self.config.command,
            "exported on": machine_words(self.config.machine),
        }

    def stage_files(self) -> StageFiles:
        """Return the files of its stages."""
        config = self.config
        hashes = {Path(name).name: digest for name, digest in config.files.items()
                  if Path(name).parent == Path(STAGES)}  # fmt: skip
        return StageFiles(
            self.path / STAGES,
            config.backend,
            config.state,
            len(config.classes),
            hashes,
            config.preprocessing.size,
        )

    def load_model(self) -> "StagedClassifier":
        """Return the network in evaluation mode. Only bundles of the backend "torch" hold one.

        Raises:
            RunError: The stages are for another backend.
            ModelError: The weights are of another network.
        """
        config = self.config
        if config.backend != "torch":
            raise RunError(
                f"{self.path} holds stages of {config.backend}, not a network in PyTorch: name "
                "the run, or export it with --backend torch."
            )
        from endoexit.models.weights import load_weights  # noqa: PLC0415  (torch is slow to import)

        model = config.network.build()
        load_weights(model, self.stage_files().of(1)[0])
        return model.eval()

    def manifest(self) -> Manifest:
        """Refuse: a bundle does not hold the manifest of the images that trained it.

        Raises:
            RunError: Every time; the message has the remedy.
        """
        raise RunError(
            f"{self.path} is a bundle, which holds no list of images: name one with --manifest, "
            f"such as the manifest.csv of the run that it was exported from."
        )

    def policy_file(self, precision: Precision) -> Path | None:
        """Return where the policy for a precision is; None where there is no policy at all.

        Raises:
            PolicyError: There are policies, but none for this precision.
        """
        policies = self.config.policies
        if not policies:
            return None
        if str(precision) not in policies:
            raise PolicyError(
                f"{self.path} has no policy for {precision}, only for {', '.join(policies)}: give "
                "a threshold, or export the run again."
            )
        return self.path / policies[str(precision)]

    def results(self, out: Path | None = None) -> Path:
        """Return the folder for results: `BUNDLE-evaluation`, next to the bundle.

        Nothing is written into a bundle: it is copied to other machines, may be read-only, and
        holds no names of images.

        Args:
            out: Folder that the user asked for instead.

        Raises:
            UsageError: The folder is inside the bundle.
        """
        whole = self.path.resolve()
        if out is None:
            folder = self.path if self.path.name not in {"", ".."} else whole
            return folder.with_name(f"{folder.name}-evaluation")
        if out.resolve().is_relative_to(whole):
            raise UsageError(
                f"{out} is in the bundle {self.path}, into which nothing is written: name another "
                "folder."
            )
        return out


def is_bundle(path: Path) -> bool:
    """Return whether a folder is a bundle."""
    return (Path(path) / BUNDLE).is_file()


def open_source(path: Path) -> Source:
    """Open a run folder or a bundle.

    Raises:
        RunError: It is neither, or damaged.
    """
    return open_bundle(path) if is_bundle(path) else open_run(path)


def open_bundle(path: Path) -> Bundle:
    """Open a bundle and check every file of it against its hash.

    Raises:
        RunError: It is no bundle, of a newer format, or a file is missing or was changed.
    """
    path = Path(path)
    if not is_bundle(path):
        raise RunError(f"{path} is not a bundle: it has no {BUNDLE}; `endoexit export` makes one.")
    if (path / BUNDLE).stat().st_size > MAX_BYTES:
        raise RunError(f"{path / BUNDLE} is larger than any bundle's: export the run again.")
    document = read_json(path / BUNDLE, RunError)
    config = BundleConfig.parse(document, path / BUNDLE)
    if config.document_sha256 != digest_of(document):
        raise changed(path / BUNDLE)
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
            raise changed(path / name)
    stages = {
        file.relative_to(path).as_posix()
        for number in range(1, len(config.exits) + 1)
        for file in bundle.stage_files().of(number)
    }
    unlisted = (stages | set(config.policies.values())) - set(config.files)
    if unlisted:
        raise RunError(f"{path / BUNDLE} lists no hash of {min(unlisted)}: export the run again.")


def hashed(path: Path, config: BundleConfig) -> BundleConfig:
    """Return the document with the hashes of all files in the folder."""
    names = sorted(file.relative_to(path).as_posix() for file in path.rglob("*") if file.is_file())
    return config.replaced(
        files={name: sha256_file(path / name) for name in names if name != BUNDLE}
    )


def write_bundle(path: Path, config: BundleConfig) -> Bundle:
    """Seal a folder that holds a bundle's files: hash them all and write `bundle.json` last.

    Args:
        path: Folder with the stages, the policies and the model card.
        config: Document of the bundle, without the hashes.
    """
    sealed = hashed(path, config).sealed()
    sealed.write(path / BUNDLE)
    return Bundle(path, sealed)
