"""Single images: what every exit answers, and what it looked at."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from endoexit.errors import ImageError, UsageError
from endoexit.evaluation.figures import probability
from endoexit.files import replacing, write_text
from endoexit.images.reference import ImageRef
from endoexit.policy import ExitPolicy
from endoexit.policy.distance import Features
from endoexit.policy.referral import Reason, reason_of
from endoexit.reporting.cards import Card, Cards, GalleryImage, exit_probabilities
from endoexit.reporting.material import Absent
from endoexit.reporting.opening import attention_of
from endoexit.reporting.page import render
from endoexit.reporting.words import by_the_clock
from endoexit.runtime.exits import all_exits
from endoexit.runtime.session import Session
from endoexit.tables import Column, Table

PAGE, PICTURES = "explain.html", "images"
MOST = 200  # images of one page
_BATCH = 16
_CLASSES = 12  # of more, the most probable ones are listed


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


def explain(session: Session, images: Sequence[ImageRef]) -> Explained:
    """Write `explain.html` on some images, and its pictures as files, among the results.

    Where the network looks is always computed in f32.

    Args:
        session: Network; its policy decides which exit answers.
        images: Images; the page names those that cannot be read.

    Raises:
        UsageError: More images than a page holds.
        EndoexitError: A file cannot be written; the network or its policy cannot be used.
    """
    if len(images) > MOST:
        raise UsageError(
            f"{len(images)} images are more than the {MOST} of one page: name fewer, or use "
            "`endoexit predict` for answers without pictures."
        )
    attention = attention_of(session.source, lambda: session.network)
    out, policy = session.results, session.engine.policy
    no_masks = Absent("There are no outlines of these images.")
    maker = Cards(session.classes, _names(session), session.preprocessing, attention, no_masks)
    cards: list[Card] = []
    failed: list[tuple[str, str]] = []
    with session.track("explaining", len(images)) as bar:
        for start in range(0, len(images), _BATCH):
            some = images[start : start + _BATCH]
            cards += maker.make(_entries(session, some, failed))
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
        session=session,
        name=session.source.path.resolve().name,
        entries=[(card, _probabilities(session, card)) for card in cards],
        failed=failed,
        clock=by_the_clock(policy),
        unseen=attention.reason if isinstance(attention, Absent) else "",
    )
    write_text(out / PAGE, html)
    return Explained(out / PAGE, tuple(pictures), tuple(cards), tuple(failed))


def _entries(
    session: Session, images: Sequence[ImageRef], failed: list[tuple[str, str]]
) -> list[GalleryImage]:
    """Return the answers to a few images; what cannot be read is added to `failed`."""
    readable, seen = [], []
    for image in images:
        try:
            seen.append(session.preprocessing.load(image))
            readable.append(image)
        except (ImageError, OSError) as error:
            failed.append((_name(image), str(error)))
    if not readable:
        return []
    policy = session.engine.policy
    batch = np.stack(seen)
    logits = all_exits(session.backend)(session.preprocessing.normalise(batch))
    predicted = logits.argmax(axis=2)
    ends = _ends(policy, logits, lambda: session.features(batch))
    probabilities = exit_probabilities(policy, logits)
    return [
        GalleryImage(
            name=_name(image),
            title=_title(session, *ends[place], predicted[:, place].tolist()),
            image=image,
            truth=None,
            exit=ends[place][0],
            probabilities=probabilities[:, place],
            predicted=predicted[:, place].tolist(),
            referred=ends[place][1],
        )
        for place, image in enumerate(readable)
    ]


def _ends(
    policy: ExitPolicy, logits: NDArray[np.float32], features: Features
) -> list[tuple[int | None, Reason | None]]:
    """Return the exit of each image and why it is referred there.

    Under a deadline the clock decides the exit, but exit 1 always runs: what it refers is known.
    """
    exits = policy.assign(logits, features)
    reasons = [reason_of(code) for code in policy.referred(logits, exits, features).tolist()]
    ends = zip(exits.tolist(), reasons, strict=True)
    if policy.deadline_ms is None:
        return list(ends)
    return [(at, reason) if reason and at == 1 else (None, None) for at, reason in ends]


def _names(session: Session) -> tuple[str, ...]:
    """Return the names of the exits."""
    return (*(f"exit {number}" for number in range(1, session.backend.num_stages)), "final")


def _title(
    session: Session, left_at: int | None, referred: Reason | None, predicted: Sequence[int]
) -> str:
    classes = session.classes
    if left_at is None:
        names = " or ".join(dict.fromkeys(classes[label] for label in predicted))
        return f"{names}, up to the clock" if len(set(predicted)) > 1 else f"{names}, at every exit"
    last = left_at == session.backend.num_stages
    by = "the final exit" if last else f"exit {left_at}"
    label = classes[predicted[left_at - 1]]
    if referred is not None:
        return f"referred to a human ({referred}) by {by}, leans to {label}"
    return f"{label}, answered by {by}"


def _name(image: ImageRef) -> str:
    """Return an image as text, also where its bytes are not UTF-8."""
    return str(image).encode("utf-8", "replace").decode("utf-8")


def _probabilities(session: Session, card: Card) -> Table:
    """Return the probability of each class at each exit."""
    order = np.argsort(-card.probabilities.max(axis=0), kind="stable")[:_CLASSES]
    shown = sorted(order.tolist())
    left_out = len(session.classes) - len(shown)
    more = f"; {left_out} less probable classes left out" if left_out else ""
    return Table(
        f"Probability of each class at each exit{more}",
        (Column("class"), *(Column(name, form=probability) for name in _names(session))),
        tuple((session.classes[index], *card.probabilities[:, index]) for index in shown),
    )
