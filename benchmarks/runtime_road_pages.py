"""The page's part on the road of one image from its file to its answer, for `cpu_runtime.py`."""

from collections.abc import Iterator
from typing import Any

from tables import markdown_table

STEPS = ("read the file", "decode", "resize", "normalise")
STAGES = ("stage 1", "stage 2", "stage 3", "stage 4")
WAYS = (
    "file to answer", "square to answer", "all stages in sequence", "one piece, all exits",
    "one piece, final exit only", "one piece, final exit only, from the file",
)  # fmt: skip


def road(roads: dict[str, Any]) -> Iterator[str]:
    """Yield the paragraphs and tables."""
    first = next(iter(next(iter(roads.values())).values()))
    rows = [(name, variant, measured) for name, variants in roads.items()
            for variant, measured in variants.items()]  # fmt: skip
    yield "## From the file to the answer"
    yield (
        f"One JPEG of 1280×1024 pixels after another through networks with random weights at "
        f"{first['size']}×{first['size']}, on {first['machine']['processor']}: milliseconds, "
        f"medians of {first['rounds']} rounds. Each step is timed on its own, in the order of "
        "prediction. EfficientNet-Lite0 has exits behind its groups 3, 5 and 6."
    )
    header = ("network", "computes in", "threads", *STEPS, *STAGES)
    yield markdown_table(
        header,
        [
            (f"`{name}`", variant, str(part["threads"]), *_cells(part["steps_ms"], STEPS + STAGES))
            for name, variant, part in rows
        ],
    )
    yield (
        "The same images whole, in turns with each other. No image exits early. “One piece” is "
        "made of the same files as the stages, so it is quantised where they are. “Around the "
        "stages” is what an answer takes from the decoded square, less its stages: normalising, "
        "deciding, bookkeeping, and the wait for threads that fell asleep meanwhile."
    )
    header = (
        "network",
        "computes in",
        *WAYS,
        "sequence / one piece, all exits",
        "around the stages",
    )
    yield markdown_table(
        header,
        [
            (
                f"`{name}`",
                variant,
                *_cells(part["milliseconds"], WAYS),
                _spread(part.get("cut_to_one_piece")),
                _spread(part["around_the_stages_ms"]),
            )
            for name, variant, part in rows
        ],
    )


def _cells(times: dict[str, dict[str, float]], names: tuple[str, ...]) -> list[str]:
    return [f"{times[name]['p50']:.3g}" if name in times else "–" for name in names]


def _spread(values: dict[str, Any] | None) -> str:
    if values is None:
        return "–"
    return f"{values['median']:.3g} [{values['low']:.3g}, {values['high']:.3g}]"
