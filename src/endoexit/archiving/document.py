"""`job.json` and `manifest.json`: what a job is of, and what it has found."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, Self

from pydantic import Field

from endoexit import __version__
from endoexit.documents import Document, Record, unless_none
from endoexit.errors import RunError
from endoexit.files import sha256_bytes
from endoexit.images.decode import decoder
from endoexit.precision import FloatFormat
from endoexit.runtime.session import Session

JOB, MANIFEST = "job.json", "manifest.json"
FORMAT: Literal["endoexit-archive-1"] = "endoexit-archive-1"


class Answering(Record):
    """All that the answers of a job depend on, besides the images.

    Attributes:
        weights_sha256: Identity of the weights.
        policy_sha256: SHA-256 of the policy that decides where images exit.
        preprocessing: Fingerprint of the preprocessing.
        precision: What the network computes in, as text.
        classes: Class names in the order of the logits.
        exits: Number of exits.
        decoder: Name of what decides the pixels of a file.
        version: Version of endoexit.
        referral: True where the policy refers images to a human; None where it answers all.
    """

    weights_sha256: str
    policy_sha256: str
    preprocessing: str
    precision: str
    classes: tuple[str, ...]
    exits: int
    decoder: str
    version: str
    referral: bool | None = unless_none

    @classmethod
    def of(cls, session: Session) -> Self:
        """Return what the answers of a session depend on.

        Raises:
            EndoexitError: Its network or its policy cannot be used.
        """
        policy = session.engine.policy
        return cls(
            weights_sha256=session.source.weights_sha256,
            policy_sha256=sha256_bytes(policy.to_json().encode()),
            preprocessing=session.preprocessing.fingerprint(),
            precision=str(session.precision),
            classes=session.classes,
            exits=policy.num_exits,
            decoder=decoder(),
            version=__version__,
            referral=None if policy.referral is None else True,
        )

    def require(self, now: "Answering", source: Path) -> None:
        """Refuse to continue with other answers than those that the job was planned for.

        Args:
            now: What the answers would depend on.
            source: Folder of the run or the bundle, for the message.

        Raises:
            RunError: They differ; the message names in what.
        """
        words = {
            "weights_sha256": "weights",
            "policy_sha256": "policy",
            "decoder": "libraries that decode images",
            "version": "version of endoexit",
        }
        changed = [words.get(name, name) for name in type(self).model_fields
                   if getattr(self, name) != getattr(now, name)]  # fmt: skip
        if changed:
            raise RunError(
                f"{source} has changed since the job was planned ({', '.join(changed)}), so its "
                "rows would not be of one model: bring the folder back as it was, or plan another "
                "job."
            )


class Job(Document):
    """What a job is of: `job.json`, written once by its plan.

    Attributes:
        format: Name and version of the format.
        planned: Time of the plan (UTC).
        source: Folder of the run or the bundle.
        threshold: Threshold that replaces its policy; None for none.
        precision: Number format that was asked for; None for its own.
        answering: All that the answers depend on, besides the images.
        decided_by: What decides where images exit, in words.
        base: Folder from which relative paths of images count.
        images: Number of images.
        shard_images: Number of images of a shard; the last one may have fewer.
        keys: Key of each shard: a hash of `answering` and of its images.
    """

    remedy = "Plan the job again."
    newest = 1

    format: Literal["endoexit-archive-1"] = FORMAT
    planned: datetime = Field(default_factory=lambda: datetime.now(UTC))
    source: Path
    threshold: float | None
    precision: FloatFormat | None
    answering: Answering
    decided_by: str
    base: Path
    images: int = Field(ge=1)
    shard_images: int = Field(ge=1)
    keys: tuple[str, ...]

    @property
    def shards(self) -> int:
        """Number of shards."""
        return len(self.keys)

    def rows(self, shard: int) -> range:
        """Return the numbers of the images of a shard, from 0."""
        first = shard * self.shard_images
        return range(first, min(first + self.shard_images, self.images))

    def write(self, path: Path) -> None:
        """Write it into the folder of the job."""
        super().write(path / JOB)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read it from the folder of the job.

        Raises:
            RunError: The folder is no job, or the document is damaged.
        """
        if not (path / JOB).is_file():
            raise RunError(
                f"{path} is no job (it has no {JOB}): make one with `endoexit archive plan`."
            )
        return super().read(path / JOB)


class ShardFile(Record):
    """One file of results in the manifest.

    Attributes:
        file: Name of the file.
        images: Number of rows.
        failed: Number of images that could not be read.
        sha256: SHA-256 of the file.
    """

    file: str
    images: int
    failed: int
    sha256: str


class Manifest(Document):
    """The results of a job that is done: `manifest.json`.

    Attributes:
        format: Name and version of the format.
        images: Number of rows.
        failed: Number of images that could not be read.
        shards: Files in the order of the images.
    """

    remedy = "Remove it and run the job again."
    newest = 1

    format: Literal["endoexit-archive-1"] = FORMAT
    images: int
    failed: int
    shards: tuple[ShardFile, ...]

    def write(self, path: Path) -> None:
        """Write it into the folder of the job."""
        super().write(path / MANIFEST)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read it from the folder of the job.

        Raises:
            RunError: The job is not done, or the document is damaged.
        """
        if not (path / MANIFEST).is_file():
            raise RunError(
                f"the job {path} is not done: finish it with `endoexit archive run {path}`."
            )
        return super().read(path / MANIFEST)
