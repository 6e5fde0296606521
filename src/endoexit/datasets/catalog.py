"""The public data sets: addresses, sizes, checksums, terms, what to cite, what is known of them.

What is written here was read on the authors' pages and in their repository
(`simula/hyper-kvasir`). The authors publish no checksum that could be found, and sizes in two
digits only. Byte counts and a checksum that others published are marked as theirs (`Reported`):
they are compared and named, but decide nothing.
"""

from dataclasses import dataclass
from typing import Literal

from endoexit.errors import unknown_name

Kind = Literal["landmark", "finding", "quality", "intervention"]
Tract = Literal["upper", "lower"]
GIB = 2**30


@dataclass(frozen=True)
class ClassFact:
    """One class of a data set.

    Attributes:
        name: Name of its folder in the authors' archive.
        kind: Kind of what it shows: an anatomical landmark, a pathological finding, the quality
            of the view, or a therapeutic intervention.
        tract: Part of the gastrointestinal tract.
        aliases: Other names that the authors or their tables give it.
    """

    name: str
    kind: Kind
    tract: Tract
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True)
class Reported:
    """What others counted of an archive that they downloaded.

    Attributes:
        size: Number of its bytes.
        sha256: SHA-256 of its content; None where nothing was found.
        source: Source of both, in words.
    """

    size: int
    sha256: str | None
    source: str


@dataclass(frozen=True)
class Archive:
    """A file of a data set at its authors'.

    Attributes:
        name: Name of the file.
        urls: Addresses, tried in this order where one of them has no such file.
        announced: Size that the authors name, in words; "" where they name none.
        max_bytes: Number of bytes that the file cannot have more than.
        reported: What others counted; None where nothing was found.
    """

    name: str
    urls: tuple[str, ...]
    announced: str
    max_bytes: int
    reported: Reported | None = None


@dataclass(frozen=True)
class Release:
    """One release of a data set.

    Attributes:
        name: Name on the command line.
        title: Name for people.
        page: Address of the authors' page.
        archive: File with the images.
        folds: Tables of the authors' folds, from their repository; empty where there are none.
        mirror: Further place that the authors name, or why there is none.
        licence: Terms in a few words, for manifests and reports.
        terms: Terms as the authors' page has them, in sentences.
        citation: What to cite.
        classes: The classes.
        images: Number of images.
        images_per_class: Number of images of each class; None where it differs.
        max_members: Number of files and folders that the archive cannot have more than.
        max_unpacked: Number of bytes that it cannot unpack to more than.
    """

    name: str
    title: str
    page: str
    archive: Archive
    folds: tuple[Archive, ...]
    mirror: str
    licence: str
    terms: str
    citation: str
    classes: tuple[ClassFact, ...]
    images: int
    images_per_class: int | None
    max_members: int
    max_unpacked: int


CHECKSUM = "none published by the authors"
"""What the table says of checksums: none was found on the authors' pages."""

INSET = (
    "Some classes have a green position inset (ScopeGuide) in a corner of some images; it tells "
    "the class."
)
NO_PATIENTS = (
    "No patient or video is named: near-copies are the only sign of images that belong together, "
    "and groups of them are the least that belongs together."
)
LEAKING_FOLDS = (
    "The authors' folds were drawn image by image, in the order of a folder, without regard to "
    "videos: near-copies are in different folds."
)

_KVASIR_TERMS = (
    "The authors restrict the use to research and education. Any other use, commercial use "
    "included, is forbidden without their written permission. Papers that use the images or report "
    "results on them must cite the data set's paper. Full terms: https://datasets.simula.no/kvasir"
)
_KVASIR_CITATION = (
    "Pogorelov et al.: KVASIR: A Multi-Class Image Dataset for Computer Aided Gastrointestinal "
    "Disease Detection. Proceedings of the 8th ACM on Multimedia Systems Conference (MMSys'17), "
    "2017, pages 164-169. doi:10.1145/3083187.3083212"
)
_NO_MIRROR = "none is named by the authors"

_KVASIR_CLASSES = (
    ClassFact("dyed-lifted-polyps", "intervention", "lower"),
    ClassFact("dyed-resection-margins", "intervention", "lower"),
    ClassFact("esophagitis", "finding", "upper", ("oesophagitis",)),
    ClassFact("normal-cecum", "landmark", "lower", ("cecum",)),
    ClassFact("normal-pylorus", "landmark", "upper", ("pylorus",)),
    ClassFact("normal-z-line", "landmark", "upper", ("z-line",)),
    ClassFact("polyps", "finding", "lower", ("polyp",)),
    ClassFact("ulcerative-colitis", "finding", "lower"),
)

_HYPERKVASIR_CLASSES = (
    ClassFact("barretts", "finding", "upper"),
    ClassFact("barretts-short-segment", "finding", "upper", ("short-segment-barretts",)),
    ClassFact("bbps-0-1", "quality", "lower"),
    ClassFact("bbps-2-3", "quality", "lower"),
    ClassFact("cecum", "landmark", "lower", ("normal-cecum",)),
    ClassFact("dyed-lifted-polyps", "intervention", "lower"),
    ClassFact("dyed-resection-margins", "intervention", "lower"),
    ClassFact("esophagitis-a", "finding", "upper", ("oesophagitis-a",)),
    ClassFact("esophagitis-b-d", "finding", "upper", ("oesophagitis-b-d",)),
    ClassFact("hemorrhoids", "finding", "lower", ("hemorroids",)),  # codespell:ignore
    ClassFact("ileum", "landmark", "lower"),
    ClassFact("impacted-stool", "quality", "lower"),
    ClassFact("polyps", "finding", "lower", ("polyp",)),
    ClassFact("pylorus", "landmark", "upper", ("normal-pylorus",)),
    ClassFact("retroflex-rectum", "landmark", "lower"),
    ClassFact("retroflex-stomach", "landmark", "upper"),
    ClassFact("ulcerative-colitis-grade-0-1", "finding", "lower", ("ulcerative-colitis-0-1",)),
    ClassFact("ulcerative-colitis-grade-1", "finding", "lower"),
    ClassFact("ulcerative-colitis-grade-1-2", "finding", "lower", ("ulcerative-colitis-1-2",)),
    ClassFact("ulcerative-colitis-grade-2", "finding", "lower"),
    ClassFact("ulcerative-colitis-grade-2-3", "finding", "lower", ("ulcerative-colitis-2-3",)),
    ClassFact("ulcerative-colitis-grade-3", "finding", "lower"),
    ClassFact("z-line", "landmark", "upper", ("normal-z-line",)),
)

_FOLDS = (
    "https://raw.githubusercontent.com/simula/hyper-kvasir/"
    "49c0d0f915b57ac0b6cb18b49776ffa61c5512e3/official_splits/"
)

RELEASES: dict[str, Release] = {
    release.name: release
    for release in (
        Release(
            name="kvasir-v1",
            title="Kvasir, version 1",
            page="https://datasets.simula.no/kvasir",
            archive=Archive(
                "kvasir-dataset.zip",
                ("https://datasets.simula.no/downloads/kvasir/kvasir-dataset.zip",),
                "1.2 GB",
                2 * GIB,
            ),
            folds=(),
            mirror=_NO_MIRROR,
            licence="research and education only (Simula, Kvasir)",
            terms=_KVASIR_TERMS,
            citation=_KVASIR_CITATION,
            classes=_KVASIR_CLASSES,
            images=4000,
            images_per_class=500,
            max_members=20_000,
            max_unpacked=4 * GIB,
        ),
        Release(
            name="kvasir-v2",
            title="Kvasir, version 2",
            page="https://datasets.simula.no/kvasir",
            archive=Archive(
                "kvasir-dataset-v2.zip",
                (
                    "https://datasets.simula.no/downloads/kvasir/kvasir-dataset-v2.zip",
                    "https://datasets.simula.no/kvasir/data/kvasir-dataset-v2.zip",
                ),
                "2.3 GB",
                4 * GIB,
                Reported(2_489_312_085, None, "a download of October 2023 that others logged"),
            ),
            folds=(),
            mirror=_NO_MIRROR,
            licence="research and education only (Simula, Kvasir)",
            terms=_KVASIR_TERMS,
            citation=_KVASIR_CITATION,
            classes=_KVASIR_CLASSES,
            images=8000,
            images_per_class=1000,
            max_members=40_000,
            max_unpacked=8 * GIB,
        ),
        Release(
            name="hyperkvasir",
            title="HyperKvasir, labelled images",
            page="https://datasets.simula.no/hyper-kvasir",
            archive=Archive(
                "hyper-kvasir-labeled-images.zip",
                (
                    "https://datasets.simula.no/downloads/hyper-kvasir/hyper-kvasir-labeled-images.zip",
                    "https://datasets.simula.no/hyper-kvasir/downloads/hyper-kvasir-labeled-images.zip",
                ),
                "3.9 GB",
                8 * GIB,
                Reported(
                    3_928_814_344,
                    "c603449b1bc0be86948b11d9aea8b2002058a11e6f5499e2a384b9ae9c8dbd3f",
                    "two projects that downloaded it (size), one of them (checksum)",
                ),
            ),
            folds=tuple(
                Archive(name, (f"{_FOLDS}{name}",), "", 16 * 2**20)
                for name in ("2_fold_split.csv", "5_fold_split.csv")
            ),
            mirror="https://osf.io/mh9sj/ (files to download by hand, then --from)",
            licence="research and education (Simula, HyperKvasir)",
            terms=(
                "The authors release the images fully open for research and education. Other "
                "purposes, such as competitions and commercial use, need their written permission. "
                "Papers that use the images or report results on them must cite the article. "
                "Copies name CC BY 4.0 as the licence; the stricter terms of the page are the ones "
                "that you accept here. Full terms: https://datasets.simula.no/hyper-kvasir"
            ),
            citation=(
                "Borgli et al.: HyperKvasir, a comprehensive multi-class image and video dataset "
                "for gastrointestinal endoscopy. Scientific Data 7, 283 (2020). "
                "doi:10.1038/s41597-020-00622-y"
            ),
            classes=_HYPERKVASIR_CLASSES,
            images=10_662,
            images_per_class=None,
            max_members=50_000,
            max_unpacked=16 * GIB,
        ),
    )
}


def find_release(name: str) -> Release:
    """Return the release of this name.

    Raises:
        UsageError: There is none; the nearest name is in the message.
    """
    if name not in RELEASES:
        raise unknown_name("data set", name, RELEASES)
    return RELEASES[name]


def known_facts(release: Release) -> dict[str, object]:
    """Return what is known of a release as JSON values, to be kept with its images."""
    return {
        "classes": {
            fact.name: {"kind": fact.kind, "tract": fact.tract, "also_called": list(fact.aliases)}
            for fact in release.classes
        },
        "images": release.images,
        "images_per_class": release.images_per_class,
        "inset": INSET,
        "groups": NO_PATIENTS,
        "folds": LEAKING_FOLDS if release.folds else "The authors publish no folds.",
    }
