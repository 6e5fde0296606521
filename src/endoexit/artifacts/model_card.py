"""The model card that a run gets at its end, and the place in it for figures."""

from pathlib import Path
from typing import Any

from endoexit.artifacts.run import Run
from endoexit.artifacts.source import CARD
from endoexit.data.manifest import LICENCE, SOURCE, Manifest, sidecar_path
from endoexit.errors import DataError
from endoexit.files import read_json, write_text
from endoexit.phantom.origin import all_rendered
from endoexit.tables import markdown_cell

TEMPLATE = Path(__file__).with_name("model_card.md.jinja")
BEGIN, END = "<!-- figures:begin -->", "<!-- figures:end -->"


def write_training_card(
    run: Run, manifest: Manifest, history: list[dict[str, float]], best_epoch: int
) -> Path:
    """Write `model_card.md`: what the model is, from which images, and what it is not."""
    return write_card(run, manifest, epochs=len(history), best_epoch=best_epoch)


def write_card(run: Run, manifest: Manifest, *, epochs: int = 0, best_epoch: int = 0) -> Path:
    """Write `model_card.md` of a training, or of a cascade, which names its members."""
    from jinja2 import Environment, StrictUndefined  # noqa: PLC0415  (needed at the end only)

    environment = Environment(  # noqa: S701  (Markdown, not HTML)
        undefined=StrictUndefined, trim_blocks=True, keep_trailing_newline=True
    )
    environment.filters["cell"] = markdown_cell
    text = environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(
        config=run.config,
        weights_sha256=run.weights_sha256,
        manifest_sha256=manifest.sha256,
        terms=_terms(manifest),
        counts=manifest.counts(),
        epochs=epochs,
        best_epoch=best_epoch,
        chosen=manifest.has("val"),
        begin=BEGIN,
        end=END,
    )
    path = run.path / CARD
    write_text(path, text)
    return path


def _terms(manifest: Manifest) -> str:
    """Return the terms of the images, which hold for the weights too."""
    if all_rendered([manifest.root / row.path for row in manifest.rows]):
        return (
            "**These images are synthetic**: a phantom rendered by endoexit, of no patient. They "
            "are free to\nuse, and say nothing about what a network does on real images."
        )
    sidecar = sidecar_path(manifest.path)
    facts = read_json(sidecar, DataError) if sidecar.is_file() else {}
    source, licence = (_said(facts, name) for name in (SOURCE, LICENCE))
    come_from = f"The images come from: {source}\n" if source else ""
    if licence:
        return f"{come_from}Terms of the images: {licence}\nThey hold for the weights as well."
    return (
        f"{come_from}The manifest does not give the terms of the images. Check them "
        "where the images\ncome from before you pass on the weights: they hold for the weights as "
        "well."
    )


def _said(facts: Any, name: str) -> str:
    text = facts.get(name) if isinstance(facts, dict) else None
    return " ".join(text.split()) if isinstance(text, str) else ""


def put_figures(folder: Path, text: str) -> None:
    """Put figures into the card in a folder, in place of those that were there.

    A folder without a card, or with a card that has no place for them, is left as it is.
    """
    path = folder / CARD
    if not path.is_file():
        return
    before, begin, rest = path.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if begin and end:
        write_text(path, f"{before}{BEGIN}\n\n{text.strip()}\n\n{END}{after}")
