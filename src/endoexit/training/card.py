"""The model card that a training writes at its end, and the place in it for figures."""

from pathlib import Path

from endoexit.data.manifest import Manifest
from endoexit.files import write_text
from endoexit.runs import CARD, Run

TEMPLATE = Path(__file__).with_name("model_card.md.jinja")
BEGIN, END = "<!-- figures:begin -->", "<!-- figures:end -->"


def write_training_card(
    run: Run, manifest: Manifest, history: list[dict[str, float]], best_epoch: int
) -> Path:
    """Write `model_card.md`: what the model is, from which images, and what it is not."""
    from jinja2 import Environment, StrictUndefined  # noqa: PLC0415  (needed at the end only)

    environment = Environment(  # noqa: S701  (Markdown, not HTML)
        undefined=StrictUndefined, trim_blocks=True, keep_trailing_newline=True
    )
    environment.filters["cell"] = table_cell
    text = environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(
        config=run.config,
        weights_sha256=run.weights_sha256,
        manifest_sha256=manifest.sha256,
        counts=manifest.counts(),
        epochs=len(history),
        best_epoch=best_epoch,
        chosen=manifest.has("val"),
        begin=BEGIN,
        end=END,
    )
    path = run.path / CARD
    write_text(path, text)
    return path


def put_figures(run: Run, text: str) -> None:
    """Put figures into the card of a run, in place of those that were there.

    A run without a card, or with a card that has no place for them, is left as it is.
    """
    path = run.path / CARD
    if not path.is_file():
        return
    before, begin, rest = path.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if begin and end:
        write_text(path, f"{before}{BEGIN}\n\n{text.strip()}\n\n{END}{after}")


def table_cell(text: str) -> str:
    """Return text as it can stand in a cell of a Markdown table."""
    return " ".join(text.split()).replace("|", r"\|")
