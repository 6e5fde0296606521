"""Single images: what every exit answers, and what it looked at."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from endoexit.artifacts.bundle import open_source
from endoexit.errors import ImageError, UsageError
from endoexit.evaluation.figures import probability
from endoexit.files import replacing, write_text
from endoexit.images.preprocessing import Preprocessing
from endoexit.images.reference import ImageRef
from endoexit.phantom.render import is_phantom
from endoexit.policy import ExitPolicy
from endoexit.precision import FloatFormat
from endoexit.progress import Track, silent
from endoexit.report.cards import Card, Cards, Subject, exit_probabilities
from endoexit.report.material import Absent, Network
from endoexit.report.opening import network_of
from endoexit.report.page import render
from endoexit.report.words import by_the_clock
from endoexit.runtime.exits import AnswerAll, all_exits
from endoexit.runtime.session import choose_policy, open_backend
from endoexit.tables import Column, Table

PAGE, PICTURES = "explain.html", "images"
MOST = 200  # images of one page
_BATCH = 16
_CLASSES = 12  # of more, the most probable ones are listed


@dataclass(frozen=True)
class Explainable:
    """A network that can be asked about single images, wherever it comes from.

    Attributes:
        name: Name of its folder.
        model: Name of the network.
        classes: Names in the order of the logits.
        exits: M.
        preprocessing: Preprocessing from image to network input.
        logits: What computes the logits (M, B, C) of all exits from normalised images
            (B, 3, S, S).
        network: Network that shows where it looks.
        policy: Policy, which decides which exit answers.
        decided_by: Policy and its origin, in words.
    """

    name: str
    model: str
    classes: tuple[str, ...]
    exits: int
    preprocessing: Preprocessing
    logits: AnswerAll
    network: Network | Absent
    policy: ExitPolicy
    decided_by: str

    def exit_name(self, number: int) -> str:
        """Return the name of exit 1 to M."""
        return "final" if number == self.exits else f"exit {number}"


@dataclass(frozen=True)
class Explained:
    """A page on single images that was written.

    Attributes:
        page: File of the page.
        pictures: Files of its pictures.
        cards: Cards, one for each image that could be read.
        failed: Path and reason of the others.
    """

    page: Path
    pictures: tuple[Path, ...]
    cards: tuple[Card, ...]
    failed: tuple[tuple[str, str], ...]


def open_explainable(
    path: Path, *, threshold: float | None = None, precision: FloatFormat | None = None
) -> Explainable:
    """Open a run or a bundle for questions about single images.

    Args:
        path: Folder of the run or bundle.
        threshold: Threshold, as in `endoexit.runtime.session.open_engine`.
        precision: Floats that the answers are computed in; see
            `endoexit.runtime.session.computed_in`. Where the network looks is always computed in
            f32.

    Raises:
        RunError: It is neither, or has no weights.
        PolicyError: Its policy was fitted for other weights or another precision, or the
            threshold is out of range.
        UsageError: A precision that cannot be had here.
    """
    source = open_source(path)
    backend = open_backend(source, precision)
    policy, decided_by = choose_policy(source, backend, threshold)
    return Explainable(
        name=path.resolve().name,
        model=source.config.model,
        classes=source.classes,
        exits=backend.num_stages,
        preprocessing=source.config.preprocessing,
        logits=all_exits(backend),
        network=network_of(source),
        policy=policy,
        decided_by=decided_by,
    )


def explain(
    source: Explainable, images: Sequence[ImageRef], out: Path, *, track: Track = silent
) -> Explained:
    """Write `explain.html` on some images, and its pictures as files.

    Args:
        source: See `open_explainable`.
        images: Images; the page names those that cannot be read.
        out: Folder of the page.
        track: What shows progress.

    Raises:
        UsageError: More images than a page holds.
        EndoexitError: A file cannot be written.
    """
    if len(images) > MOST:
        raise UsageError(
            f"{len(images)} images are more than the {MOST} of one page: name fewer, or use "
            "`endoexit predict` for answers without pictures."
        )
    cards: list[Card] = []
    failed: list[tuple[str, str]] = []
    with track("explaining", len(images)) as bar:
        for start in range(0, len(images), _BATCH):
            some = images[start : start + _BATCH]
            cards += _cards(source, some, failed)
            bar.advance(len(some))
    pictures = []
    for number, card in enumerate(cards, start=1):
        for view in card.views:
            # Not named as the photograph: its name may be as long as a name can be.
            name = f"{number:03}-{view.name.replace(' ', '-')}.jpg"
            with replacing(out / PICTURES / name) as temporary:
                temporary.write_bytes(view.jpeg)
            pictures.append(out / PICTURES / name)
    html = render(
        "explain.html",
        source=source,
        entries=[(card, _probabilities(source, card)) for card in cards],
        failed=failed,
        synthetic={_name(image) for image in images if _is_synthetic(image.path)},
        clock=by_the_clock(source.policy),
        unseen=source.network.reason if isinstance(source.network, Absent) else "",
    )
    write_text(out / PAGE, html)
    return Explained(out / PAGE, tuple(pictures), tuple(cards), tuple(failed))


def _cards(
    source: Explainable, images: Sequence[ImageRef], failed: list[tuple[str, str]]
) -> list[Card]:
    """Return the cards of a few images; what cannot be read is added to `failed`."""
    readable, seen = [], []
    for image in images:
        try:
            seen.append(source.preprocessing.load(image))
            readable.append(image)
        except (ImageError, OSError) as error:
            failed.append((_name(image), str(error)))
    if not readable:
        return []
    logits = source.logits(source.preprocessing.normalise(np.stack(seen)))
    predicted = logits.argmax(axis=2)
    exits: list[int | None] = [None] * len(readable)
    if source.policy.deadline_ms is None:
        exits = source.policy.assign(logits).tolist()
    probabilities = exit_probabilities(source.policy, logits)
    subjects = [
        Subject(
            name=_name(image),
            title=_title(source, exits[place], predicted[:, place].tolist()),
            image=image,
            truth=None,
            exit=exits[place],
            probabilities=probabilities[:, place],
            predicted=predicted[:, place].tolist(),
        )
        for place, image in enumerate(readable)
    ]
    names = tuple(source.exit_name(number) for number in range(1, source.exits + 1))
    no_masks = Absent("There are no outlines of these images.")
    maker = Cards(source.classes, names, source.preprocessing, source.network, no_masks)
    return maker.make(subjects)


def _title(source: Explainable, taken: int | None, predicted: Sequence[int]) -> str:
    if taken is None:
        names = " or ".join(dict.fromkeys(source.classes[label] for label in predicted))
        return f"{names}, up to the clock" if len(set(predicted)) > 1 else f"{names}, at every exit"
    by = "the final exit" if taken == source.exits else source.exit_name(taken)
    return f"{source.classes[predicted[taken - 1]]}, answered by {by}"


def _name(image: ImageRef) -> str:
    """Return an image as text, also where its bytes are not UTF-8."""
    return str(image).encode("utf-8", "replace").decode("utf-8")


def _is_synthetic(path: Path) -> bool:
    """Tell whether an image is in a folder that endoexit rendered."""
    return any(is_phantom(folder) for folder in path.absolute().parents)


def _probabilities(source: Explainable, card: Card) -> Table:
    """Return the probability of each class at each exit."""
    order = np.argsort(-card.probabilities.max(axis=0), kind="stable")[:_CLASSES]
    shown = sorted(order.tolist())
    left_out = len(source.classes) - len(shown)
    more = f"; {left_out} less probable classes left out" if left_out else ""
    exits = (source.exit_name(number) for number in range(1, source.exits + 1))
    return Table(
        f"Probability of each class at each exit{more}",
        (Column("class"), *(Column(name, form=probability) for name in exits)),
        tuple((source.classes[index], *card.probabilities[:, index]) for index in shown),
    )
