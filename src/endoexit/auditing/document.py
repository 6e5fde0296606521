"""The schema of `audit.json`, as it is written and read."""

from typing import Annotated, Any

from pydantic import ConfigDict, Field

from endoexit.documents import Document, Record
from endoexit.errors import DataError

Count = Annotated[int, Field(ge=0)]
Share = Annotated[float, Field(ge=0.0, le=1.0)]


class _Part(Record):
    """A part of the document; what a newer version adds to it is passed over."""

    model_config = ConfigDict(extra="ignore")


class File(_Part):
    """One labelled file.

    Attributes:
        path: Path in the audited folder.
        label: Class.
        part: Folder train, val or test that it is in; empty for none.
    """

    path: str
    label: str
    part: str


class Broken(File):
    """A file that cannot be used.

    Attributes:
        kind: Kind of fault.
        reason: Reason in words.
    """

    kind: str
    reason: str


class Files(_Part):
    """What was read and what was not.

    Attributes:
        found: Number of files with a label.
        readable: Number of them that can be read.
        broken: Those that cannot.
        beside_images: Names next to a folder `images`, of which only that folder was read.
        excluded: Paths that the user left out.
        outside_a_class: Images outside any class folder.
        empty_classes: Class folders without an image.
        passed_over: Files that are no images by their suffix, counted.
    """

    found: Count
    readable: Count
    broken: tuple[Broken, ...]
    beside_images: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()
    outside_a_class: tuple[str, ...] = ()
    empty_classes: tuple[str, ...] = ()
    passed_over: tuple[dict[str, Any], ...] = ()


class ClassFacts(_Part):
    """The images of one class.

    Attributes:
        images: Number of images that can be read.
        sizes: Number of images of each size, "width×height".
        border_area: Mean share of the area that is black border; None without an image.
        bordered_share: Share of the images with a border; None without an image.
        inset_share: Share of the images with a position inset; None without an image.
    """

    images: Count
    sizes: dict[str, Count]
    border_area: Share | None
    bordered_share: Share | None
    inset_share: Share | None


class ExactCopies(_Part):
    """Contents that occur more than once, and how they are spread.

    Attributes:
        distinct_contents: Number of different contents.
        repeated_contents: Number of contents that occur more than once.
        in_several_folders: Number of these in more than one of train, val and test.
        with_several_labels: Number of these with more than one label.
        sets: Paths of the files with the same content.
    """

    distinct_contents: Count
    repeated_contents: Count
    in_several_folders: Count
    with_several_labels: Count
    sets: tuple[tuple[str, ...], ...]


class LabelPairs(_Part):
    """Attributes: two labels, and the number of pairs of near-copies that have them."""

    labels: tuple[str, str]
    pairs: Count


class ClosePair(_Part):
    """Attributes: paths of two near-copies with different labels, and the bits that differ."""

    paths: tuple[str, str]
    bits: Count


class NearCopies(_Part):
    """Images that are nearly the same.

    Attributes:
        pairs: Number of pairs.
        images: Number of images with a near-copy.
        groups: Number of groups of near-copies; an image without any is a group.
        largest_group: Number of images of the largest group.
        groups_with_several_labels: Number of groups with more than one label.
        pairs_with_different_labels: Number of pairs with different labels.
        by_labels: The same for each two labels.
        closest_with_different_labels: Closest pairs with different labels.
    """

    pairs: Count
    images: Count
    groups: Count
    largest_group: Count
    groups_with_several_labels: Count
    pairs_with_different_labels: Count
    by_labels: tuple[LabelPairs, ...]
    closest_with_different_labels: tuple[ClosePair, ...]


class Leak(_Part):
    """Images of one folder with a near-copy in another.

    Attributes:
        of: Folder of the images that are counted.
        near_copy_in: Folder of their near-copies.
        images_within_bits: Number of images, by the bits that may differ.
    """

    of: str
    near_copy_in: str
    images_within_bits: dict[str, Count]


class Folders(_Part):
    """Attributes: numbers of images in the folders train, val and test; leaks between them."""

    images: dict[str, Count]
    leaks: tuple[Leak, ...]


class FoldShares(_Part):
    """Attributes: share of all images, and of those of each class."""

    all: Share
    classes: dict[str, Share] = Field(default_factory=dict)


class Folds(_Part):
    """Published folds, and the near-copies that cross them.

    Attributes:
        table: File of the folds.
        column: Column of the file.
        images: Number of images of each fold.
        images_without_fold: Number of images that the table does not have.
        rows_without_image: Number of rows that fit no image.
        with_another_label: Images with another label in the table than their folder.
        share_with_near_copy_in_another_fold: Shares, by the bits that may differ.
    """

    table: str
    column: str
    images: dict[str, Count]
    images_without_fold: Count
    rows_without_image: Count
    with_another_label: tuple[str, ...]
    share_with_near_copy_in_another_fold: dict[str, FoldShares]


class Shortcut(_Part):
    """Something other than the tissue that reveals a class.

    Attributes:
        feature: "black border", "position inset" or "border area".
        label: The class with the most of it.
        text: Sentence with the finding and its remedy.
    """

    feature: str
    label: str
    text: str


class GroupOfCopies(_Part):
    """Attributes: number of a group of near-copies, its labels, and the paths of its images."""

    group: Count
    labels: tuple[str, ...]
    paths: tuple[str, ...]


class ImageEntry(File):
    """One image that can be read.

    Attributes:
        group: Number of its group of near-copies.
        sha256: Hash of the file.
        hash: Difference hash, hexadecimal.
        width: Width in pixels.
        height: Height in pixels.
        border: Share of the area that is black border.
        inset: Place of its position inset, such as "green lower left"; empty for none.
        bits_to_other_folder: Bits to the nearest image of another folder; None for none near.
        fold: Fold of the image in a table of folds; None for none.
        bits_to_other_fold: Bits to the nearest image of another fold; None for none near.
    """

    group: Count
    sha256: str
    hash: str
    width: Count
    height: Count
    border: Share
    inset: str
    bits_to_other_folder: Count | None = None
    fold: str | None = None
    bits_to_other_fold: Count | None = None


class AuditDocument(Document):
    """The document `audit.json`.

    Attributes:
        endoexit: Version that wrote it.
        root: Folder that was audited, absolute.
        hash: Hash by which near-copies are known.
        threshold_bits: Bits up to which two images are near-copies.
        files: What was read and what was not.
        levels: Meaning of the levels of folders.
        classes: Images of each class.
        exact_copies: Copies of whole files.
        near_copies: Near-copies of images.
        folders: Leaks between folders; None for a folder that is not divided.
        folds: Leaks between folds; None where no table of folds was checked.
        shortcuts: Borders and insets that tell a class.
        groups: Groups of more than one image; absent from what a command prints.
        images: All images that can be read; absent from what a command prints.
    """

    model_config = ConfigDict(extra="ignore")  # what a newer version adds is passed over
    fault = DataError
    remedy = "Name an audit.json of `endoexit audit`, or make it again."

    endoexit: str
    root: str
    hash: str
    threshold_bits: Count
    files: Files
    levels: str | None = None
    classes: dict[str, ClassFacts]
    exact_copies: ExactCopies
    near_copies: NearCopies
    folders: Folders | None = None
    folds: Folds | None = None
    shortcuts: tuple[Shortcut, ...]
    groups: tuple[GroupOfCopies, ...] = ()
    images: tuple[ImageEntry, ...] = ()

    def values(self) -> dict[str, Any]:
        """Return the document as JSON values; what was never set is left out."""
        return self.model_dump(mode="json", exclude_unset=True)
