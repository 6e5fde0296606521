"""Whether a network learnt from images that must stay unseen, whatever their files are called."""

from collections.abc import Mapping

from endoexit.data.manifest import Manifest
from endoexit.errors import DataError, ImageError, counted
from endoexit.files import sha256_bytes
from endoexit.images.decode import read_bytes
from endoexit.images.reference import name_of
from endoexit.naming import naming
from endoexit.progress import Track, silent

LEARNT_FROM = ("train", "val")  # weights come from train, the epoch from val
UNSEEN = ("calibrate", "certify", "test")


def check_unseen(
    learnt: Mapping[str, Manifest],
    kept: Manifest,
    keeper: str,
    *,
    why: str,
    track: Track = silent,
) -> None:
    """Refuse networks that learnt from images which a manifest keeps unseen, by their contents.

    Args:
        learnt: Manifest that each network was trained with, by the network's name for messages.
        kept: Manifest of whose roles calibrate, certify and test nothing may have been learnt.
        keeper: Name of whatever has this manifest.
        why: Reason for the message, behind "so that".
        track: Display of progress.

    Raises:
        DataError: One learnt from such images, or an image cannot be read.
    """
    # In one manifest each image has one role.
    to_compare = {name: each for name, each in learnt.items() if each.sha256 != kept.sha256}
    if not to_compare:
        return
    with track("comparing the images of the manifests", 1 + len(to_compare)) as bar:
        unseen = {
            content: (role, name)
            for role in UNSEEN
            for content, name in _contents(kept, role).items()
        }
        bar.advance()
        for learner, manifest in to_compare.items():
            known = {content for role in LEARNT_FROM for content in _contents(manifest, role)}
            leaked = [content for content in unseen if content in known]
            if leaked:
                role, name = unseen[leaked[0]]
                raise DataError(
                    f"{learner} learnt from {counted(len(leaked), 'image')} that {keeper} keeps "
                    f"unseen, such as {name} of the role {role}: train it again with "
                    f"{kept.path}, so that {why}."
                )
            bar.advance()


def _contents(manifest: Manifest, role: str) -> dict[str, str]:
    """Return the name of each image of a role by its content."""
    if not manifest.has(role):
        return {}
    cohort, contents = manifest.cohort(role), {}
    for index, (image, name) in enumerate(zip(cohort.images, cohort.names, strict=True)):
        try:
            content = name_of(sha256_bytes(read_bytes(image.path)), image.frame)
        except ImageError as error:
            raise DataError(str(error.named(cohort.mention(index)))) from error
        contents[content] = naming().mention(name, cohort.places[index])
    return contents
