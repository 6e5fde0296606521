"""The page: everything that a material holds, drawn, worded and put into the template."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from endoexit import __version__
from endoexit.errors import some
from endoexit.evaluation.figures import probability
from endoexit.evaluation.promise_tables import promise_table
from endoexit.evaluation.referral_tables import foreign_table, referral_table
from endoexit.evaluation.robustness import robustness_tables
from endoexit.evaluation.tables import (
    class_table,
    difference_table,
    exit_table,
    reference_table,
    score_table,
    share_table,
)
from endoexit.images.reference import ImageRef
from endoexit.progress import Track, silent
from endoexit.reporting.audit import audit_facts
from endoexit.reporting.cards import Card, Cards, GalleryImage, exit_probabilities
from endoexit.reporting.changed import changed_images
from endoexit.reporting.classes import class_figures, confusion_matrix
from endoexit.reporting.commands import report_command
from endoexit.reporting.coverage import risk_against_coverage
from endoexit.reporting.gallery import ERROR, REFERRED, Choice, choose_images
from endoexit.reporting.headline import headline, origin, title
from endoexit.reporting.masks import Masks, find_masks, mask_figure, study_masks
from endoexit.reporting.material import Absent, Material
from endoexit.reporting.pictures import data_uri
from endoexit.reporting.provenance import provenance
from endoexit.reporting.reliability import (
    measure_reliability,
    no_temperatures,
    reliability_diagrams,
)
from endoexit.reporting.sections import (
    absent_classes,
    cautions,
    kept_apart,
    licence,
    never_answered,
    policy_rule,
    split_facts,
    unused_exits,
)
from endoexit.reporting.shares import exit_shares
from endoexit.reporting.style import SVG_LIMIT, Picture
from endoexit.reporting.tables import mask_table, reliability_table, role_table
from endoexit.reporting.tradeoff import tradeoff
from endoexit.reporting.training import training_curves
from endoexit.reporting.words import in_print

TEMPLATES = Path(__file__).with_name("templates")


@dataclass(frozen=True)
class Page:
    """A page and the figures in it.

    Attributes:
        html: HTML of the page, which needs no other file.
        pictures: Figures of the page.
        notes: What is missing on it, and why.
    """

    html: str
    pictures: tuple[Picture, ...]
    notes: tuple[str, ...]


def report_page(
    material: Material, *, masks: Path | None = None, out: Path | None = None, track: Track = silent
) -> Page:
    """Make the report.

    Args:
        material: What there is to show.
        masks: Folder of masks of the finding; by default `masks` in or next to the folder of the
            images.
        out: Folder of the page, for the command that makes it; None for the one in the run.
        track: What shows progress.

    Raises:
        DataError: The folder of masks is not there.
    """
    command = report_command(material.path, {**material.named, "masks": masks, "out": out})
    outlines = find_masks(masks, material.images, material.evaluation.images.paths)
    figures: dict[str, Sequence[Picture]] = {}
    with track("drawing figures", 8) as bar:
        figures["tradeoff"] = [tradeoff(material)]
        bar.advance()
        figures["shares"] = [picture for picture in [exit_shares(material)] if picture]
        figures["coverage"] = [picture for picture in [risk_against_coverage(material)] if picture]
        bar.advance()
        exits = measure_reliability(material)
        figures["reliability"] = reliability_diagrams(material, exits)
        bar.advance(2)
        evaluation = material.evaluation
        rows = [evaluation.row("final")]
        rows += [evaluation.row("adaptive")] if evaluation.adaptive else []
        figures["confusion"] = [confusion_matrix(material, row) for row in rows]
        bar.advance(2)
        figures["classes"] = class_figures(material)
        bar.advance()
        figures["training"] = training_curves(material)
        bar.advance()
    robustness = material.robustness
    figures["changed"] = (
        [changed_images(robustness, synthetic=material.synthetic)]
        if robustness is not None and robustness.has_corruptions
        else []
    )
    referred = None if isinstance(material.referred, Absent) else material.referred
    chosen = choose_images(evaluation, referred)
    cards = _cards(material, outlines, list(chosen.all()), track)
    by_class = {
        name: [cards[choice] for choice in choices] for name, choices in chosen.by_class.items()
    }
    study = outlines if isinstance(outlines, Absent) else study_masks(material, outlines, track)
    figures["masks"] = [] if isinstance(study, Absent) else [mask_figure(material, study)]
    pictures = tuple(picture for drawn in figures.values() for picture in drawn)
    why_not_scaled = no_temperatures(material)
    html = render(
        "report.html",
        title=title(material),
        origin=origin(material),
        material=material,
        evaluation=evaluation,
        figures=figures,
        licence=licence(material),
        apart=kept_apart(material.split),
        tiles=headline(material),
        cautions=list(cautions(material)),
        policy_rule=policy_rule(material),
        tables={
            "exits": exit_table(evaluation),
            "scores": score_table(evaluation),
            "differences": difference_table(evaluation),
            "references": reference_table(evaluation),
            "promises": promise_table(evaluation),
            "referral": referral_table(evaluation),
            "foreign": foreign_table(evaluation),
            "shares": share_table(evaluation),
            "reliability": reliability_table(exits, scaled=why_not_scaled is None),
            "classes": class_table(evaluation),
            "roles": role_table(material),
            "masks": None if isinstance(study, Absent) else mask_table(study),
        },
        changed=[] if robustness is None else robustness_tables(robustness),
        why_not_scaled=why_not_scaled,
        remarks={
            "shares": unused_exits(material),
            "confusion": never_answered(material),
            "classes": absent_classes(material),
        },
        split=None if isinstance(material.split, Absent) else split_facts(material.split),
        audit=None if isinstance(material.audit, Absent) else list(audit_facts(material.audit)),
        gallery=chosen,
        left_out=some(chosen.classes_left_out, 20),
        by_class=by_class,
        errors=[cards[choice] for choice in chosen.errors],
        referred=[cards[choice] for choice in chosen.referred],
        study=study,
        provenance=provenance(material, command, pictures),
        probabilities_at="T = 1" if why_not_scaled else "the policy’s temperatures",
    )
    return Page(html, pictures, tuple(_notes(material, cards.values())))


def _cards(
    material: Material, masks: Masks | Absent, choices: Sequence[Choice], track: Track
) -> dict[Choice, Card]:
    evaluation = material.evaluation
    names = tuple(material.exit_name(number) for number in range(1, material.num_exits + 1))
    maker = Cards(evaluation.classes, names, material.preprocessing, material.attention, masks)
    entries = [_entry(material, choice) for choice in choices]
    made: list[Card] = []
    with track("gallery", len(entries)) as bar:
        for start in range(0, len(entries), 16):
            some = entries[start : start + 16]
            made += maker.make(some)
            bar.advance(len(some))
    return dict(zip(choices, made, strict=True))


def _entry(material: Material, choice: Choice) -> GalleryImage:
    evaluation = material.evaluation
    exits = [row for row in evaluation.rows if row.kind == "exit"]
    predicted = [row.predicted[choice.index] for row in exits]
    if isinstance(material.logits, Absent):
        # The evaluation keeps the probability of each answer, not those of the other classes.
        probabilities = np.full((len(exits), len(evaluation.classes)), np.nan)
        for number, row in enumerate(exits):
            probabilities[number, predicted[number]] = row.confidence[choice.index]
    else:
        logits = material.logits[:, choice.index : choice.index + 1]
        probabilities = exit_probabilities(material.policy, logits)[:, 0]
    name = evaluation.images.paths[choice.index]
    truth = evaluation.images.labels[choice.index]
    taken = evaluation.adaptive.exits[choice.index] if evaluation.adaptive else len(exits)
    title = f"{choice.kind}, at {material.exit_name(taken)}"
    reason = None
    if choice.kind == REFERRED and not isinstance(material.referred, Absent):
        reason = material.referred[choice.index]
    if choice.kind == ERROR:
        answer = evaluation.row(material.answers).predicted[choice.index]
        title = f"{evaluation.classes[truth]}, taken for {evaluation.classes[answer]}"
    image = None
    if not isinstance(material.images, Absent):
        image = ImageRef.parse(name).under(material.images)
    return GalleryImage(
        name=name,
        title=title,
        image=image,
        truth=truth,
        exit=taken,
        probabilities=probabilities,
        predicted=predicted,
        referred=reason,
    )


def _notes(material: Material, cards: Collection[Card]) -> list[str]:
    parts = (material.logits, material.history, material.split, material.audit, material.images,
             material.attention)  # fmt: skip
    notes = list(dict.fromkeys(part.reason for part in parts if isinstance(part, Absent)))
    gone = sum(bool(card.missing) for card in cards)
    if gone and not isinstance(material.images, Absent):
        notes.append(f"{gone} of {len(cards)} images of the gallery are gone or cannot be read.")
    return notes


def picture_address(picture: Picture) -> str:
    """Return a figure as an address that carries it: SVG, or PNG where that is too large."""
    if len(picture.svg) <= SVG_LIMIT:
        return data_uri(picture.svg, "image/svg+xml")
    return data_uri(picture.png, "image/png")


def with_code(text: str) -> Markup:
    """Return text with the parts between backticks as code; everything is escaped."""
    parts = [escape(part) for part in text.split("`")]
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if index % 2 else part
        for index, part in enumerate(parts)
    )


def render(template: str, **values: Any) -> str:
    """Fill a template; every value is escaped, a name that is missing is an error."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["address"] = picture_address
    environment.filters["code"] = with_code
    environment.filters["in_print"] = in_print
    environment.filters["probability"] = probability
    common: Mapping[str, Any] = {
        "style": Markup((TEMPLATES / "style.css").read_text(encoding="utf-8")),  # noqa: S704  (ours)
        "version": __version__,
    }
    return environment.get_template(template).render(**common, **values)
