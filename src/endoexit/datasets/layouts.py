"""Which release a folder of images is of, in whatever layout it is on this disk.

The class folders count, at any depth: `kvasir-dataset-v2/kvasir-dataset-v2/polyps`,
`labeled-images/lower-gi-tract/pathological-findings/polyps`, `images/polyp`, also below someone's
own `train` and `test`. Folders of other parts of HyperKvasir (unlabelled images, segmentations)
are left out.
"""

import difflib
import re
import uuid
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from endoexit.data.folders import PARTS, ImageFile, Listing, list_images
from endoexit.datasets.catalog import RELEASES, ClassFact, Release
from endoexit.errors import DataError, counted, some

_RENAMED = 0.05  # a larger share of other names than the authors' is said


@dataclass(frozen=True)
class Recognised:
    """A folder of images and the release that it is of.

    Attributes:
        release: Release; of Kvasir's two, which have the same classes, the one with this number of
            images in each class, else the first.
        listing: Files of known classes, labelled by their folders.
        classes: Facts on each class, by the name of its folder here.
        missing: Names of the classes that are not here.
        notes: Sentences on what differs from the release.
    """

    release: Release
    listing: Listing
    classes: Mapping[str, ClassFact]
    missing: tuple[str, ...]
    notes: tuple[str, ...]


def recognise(directory: Path) -> Recognised:
    """Find out which release the images of a folder are of.

    Of HyperKvasir some classes may be missing, as most studies leave out the small ones; of
    Kvasir all eight are needed.

    Args:
        directory: Folder with the class folders in it, at any depth.

    Raises:
        DataError: It is of no known release (what was looked for and what is there is said), of
            Kvasir a class is missing, or a class is there twice.
    """
    directory = Path(directory)
    try:
        # The classes are known, so that a folder's name says whether it is one.
        listing = list_images(directory, levels="class")
    except DataError as error:
        if not directory.is_dir():
            raise
        names = tuple(sorted(entry.name for entry in directory.iterdir()))
        raise _no_release(directory, {}, names) from error
    counts = Counter(file.label for file in listing.files)
    release = _closest(counts)
    classes = _known(counts, release)
    if len(classes) < 2:
        raise _no_release(listing.root, counts, tuple(counts))
    _refuse_doubles(listing, classes)
    missing = tuple(fact.name for fact in release.classes if fact not in set(classes.values()))
    unknown = tuple(label for label in counts if label not in classes)
    if missing and not release.folds:
        raise _missing(listing.root, release, missing, unknown)
    kept = replace(listing, files=tuple(file for file in listing.files if file.label in classes))
    return Recognised(
        release=release,
        listing=kept,
        classes=classes,
        missing=missing,
        notes=tuple(_notes(release, kept, missing, unknown)),
    )


def plain(name: str) -> str:
    """Return the name of a class in the form that names are compared in."""
    return re.sub(r"[\s_-]+", "-", name.strip().casefold())


def names_of(release: Release) -> dict[str, ClassFact]:
    """Return the classes of a release by all their names, in the form of `plain`."""
    return {plain(name): fact for fact in release.classes for name in (fact.name, *fact.aliases)}


def _closest(counts: Mapping[str, int]) -> Release:
    """Return the release of which the largest share of classes is here."""

    def fit(release: Release) -> tuple[int, float, bool]:
        present = {id(fact) for fact in _known(counts, release).values()}
        files = sum(counts[label] for label in _known(counts, release))
        right = all(counts[label] == release.images_per_class for label in counts)
        return files, len(present) / len(release.classes), right

    return max(RELEASES.values(), key=fit)


def _known(counts: Mapping[str, int], release: Release) -> dict[str, ClassFact]:
    names = names_of(release)
    return {label: names[plain(label)] for label in counts if plain(label) in names}


def _refuse_doubles(listing: Listing, classes: Mapping[str, ClassFact]) -> None:
    """Refuse a class in two folders, unless these are someone's train and test."""
    folders: defaultdict[str, dict[str, None]] = defaultdict(dict)
    for file in listing.files:
        if file.label in classes:
            folders[classes[file.label].name][_folder_of(file)] = None
    for name, places in folders.items():
        if len(places) > 1:
            first, second, *_ = places
            raise DataError(
                f"the class {name!r} is in two folders of {listing.root}, {first} and {second}: "
                "name the folder of one data set, or remove the copy."
            )


def _folder_of(file: ImageFile) -> str:
    """Return the folder of a file without levels that are named after roles."""
    levels = PurePosixPath(file.path).parent.parts
    return "/".join(level for level in levels if level.casefold() not in PARTS)


def _no_release(root: Path, counts: Mapping[str, int], seen: tuple[str, ...]) -> DataError:
    kinds = (("Kvasir", RELEASES["kvasir-v1"]), ("HyperKvasir", RELEASES["hyperkvasir"]))
    wanted = "; ".join(
        f"{title} ({', '.join(fact.name for fact in release.classes[:4])}, …, "
        f"{len(release.classes)} folders)"
        for title, release in kinds
    )
    shown = [f"{name} ({counts[name]})" if name in counts else name for name in seen]
    return DataError(
        f"{root} is no folder of Kvasir or HyperKvasir. Looked for class folders of: {wanted}. "
        f"Seen: {some(shown) if shown else 'nothing'}. Name the folder that was unpacked, or get "
        "one with `endoexit data`. For other images: endoexit audit, split and train."
    )


def _missing(
    root: Path, release: Release, missing: tuple[str, ...], unknown: tuple[str, ...]
) -> DataError:
    hints = [
        f"{near[0]!r} may be {name!r}"
        for name in missing
        if (near := difflib.get_close_matches(name, unknown, n=1, cutoff=0.5))
    ]
    hint = f" ({'; '.join(hints)})" if hints else ""
    return DataError(
        f"{root} has {len(release.classes) - len(missing)} of the {len(release.classes)} classes "
        f"of Kvasir; missing: {', '.join(missing)}{hint}. Unpack the archive again, or rename the "
        "folders as the authors do."
    )


def _notes(
    release: Release, listing: Listing, missing: tuple[str, ...], unknown: tuple[str, ...]
) -> Iterator[str]:
    if missing:
        here = len(release.classes) - len(missing)
        yield (
            f"{here} of {len(release.classes)} classes of {release.title}; missing: "
            f"{some(missing)}."
        )
    if unknown:
        yield f"Left out, no class of {release.title}: {some(unknown)}."
    if listing.parts:
        yield (
            f"Folders {', '.join(listing.parts)} are someone's own split, not the authors': they "
            "are read as one."
        )
    yield from _count_notes(release, listing, complete=not missing)
    renamed = [file.path for file in listing.files if not _is_original(file.path)]
    if len(renamed) > _RENAMED * len(listing.files):
        yield (
            f"{counted(len(renamed), 'image')} of {len(listing.files)} do not have the names of "
            f"the authors (such as {renamed[0]}): tables of theirs do not fit them."
        )


def _count_notes(release: Release, listing: Listing, *, complete: bool) -> Iterator[str]:
    each = release.images_per_class
    counts = Counter(file.label for file in listing.files)
    if each is not None:
        differing = [f"{label} {count}" for label, count in counts.items() if count != each]
        if differing:
            yield (
                f"The authors' Kvasir has 500 images of each class (version 1) or 1000 (version "
                f"2), here: {some(differing)}."
            )
    elif complete and len(listing.files) != release.images:
        yield (
            f"The authors' {release.title} has {release.images} images, here are "
            f"{len(listing.files)}."
        )


def _is_original(path: str) -> bool:
    """Return whether an image is named as the authors name them: by a UUID."""
    try:
        uuid.UUID(PurePosixPath(path).stem)
    except ValueError:
        return False
    return True
