"""Borders and insets that tell a class: what a network would learn instead of the tissue."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from endoexit.auditing.document import Shortcut
from endoexit.data.facts import ImageFacts
from endoexit.data.frame import BORDERED

ONLY_SHARE = 0.05  # "only one class has it": at least this share of that class,
OTHERS_SHARE = 0.005  # and less than this of every other
SPREAD = 0.25  # or: the shares of two classes differ by this much
AREA_SPREAD = 0.10  # or: their mean border area does
MIN_IMAGES = 3  # fewer images than this prove nothing


@dataclass(frozen=True, slots=True)
class FrameShares:
    """How the images of one class are framed.

    Attributes:
        images: Number of images.
        border: Mean share of the image that is black border.
        bordered: Share of the images with a border of at least `BORDERED`.
        inset: Share of the images with a position inset.
    """

    images: int
    border: float
    bordered: float
    inset: float


def frame_shares(images: Sequence[ImageFacts]) -> dict[str, FrameShares]:
    """Return how each class is framed, by label in sorted order."""
    frames_of = defaultdict(list)
    for image in images:
        frames_of[image.file.label].append(image.frame)
    return {
        label: FrameShares(
            images=len(frames),
            border=sum(frame.border for frame in frames) / len(frames),
            bordered=sum(frame.border >= BORDERED for frame in frames) / len(frames),
            inset=sum(bool(frame.inset) for frame in frames) / len(frames),
        )
        for label, frames in sorted(frames_of.items())
    }


def find_shortcuts(images: Sequence[ImageFacts]) -> tuple[Shortcut, ...]:
    """Return the features of the frame that one class has and another lacks."""
    shares = frame_shares(images)
    if len(shares) < 2:
        return ()
    bordered = {label: share.bordered for label, share in shares.items()}
    inset = {label: share.inset for label, share in shares.items()}
    shortcuts = []
    for feature, values in (("black border", bordered), ("position inset", inset)):
        label = max(values, key=lambda name: values[name])
        text = _uneven(values, label)
        if text and round(values[label] * shares[label].images) >= MIN_IMAGES:
            text = f"{feature}: {text}; {_REMEDY[feature]}"
            shortcuts.append(Shortcut(feature=feature, label=label, text=text))
    area = {label: share.border for label, share in shares.items()}
    most, least = max(area, key=lambda name: area[name]), min(area, key=lambda name: area[name])
    if area[most] - area[least] >= AREA_SPREAD and shares[most].images >= MIN_IMAGES:
        text = (
            f"border area: {area[most]:.0%} of the image in {most}, {area[least]:.0%} in {least}; "
            f"{_REMEDY['black border']}"
        )
        shortcuts.append(Shortcut(feature="border area", label=most, text=text))
    return tuple(shortcuts)


_REMEDY = {
    "black border": "crop all images to the view, or paint one common border over all of them.",
    "position inset": "paint the same area black in all images, whatever their class.",
}


def _uneven(values: dict[str, float], label: str) -> str:
    elsewhere = [value for name, value in values.items() if name != label]
    if values[label] >= ONLY_SHARE and max(elsewhere) < OTHERS_SHARE:
        return f"{values[label]:.0%} of {label} have one, and no other class does"
    least = min(values, key=lambda name: values[name])
    if values[label] - values[least] >= SPREAD:
        return f"{values[label]:.0%} of {label} have one, {values[least]:.0%} of {least}"
    return ""
