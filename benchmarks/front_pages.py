"""The tables, the figure and the opening sentence that `front.py` writes."""

from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from endoexit.reporting.style import Picture, draw, percent_axis
from front_measure import NEAR, WITHIN
from front_networks import CANDIDATES
from front_points import FINAL
from tables import ROOT, markdown_table, replace_between

PAGE = ROOT / "docs" / "front.md"
OPENING = (ROOT / "README.md", ROOT / "docs" / "index.md")  # pages that begin with a sentence of it
FAR = 5.0  # points: so much more accurate is another class of network
STATIC, OURS = "lite0-128", "lite0-moved-128"  # what the sentence compares
POLICY = "at most 1 points lost on calibrate"
FIGURE = ROOT / "docs" / "images" / "front.svg"
SIZE = (6.6, 4.8)  # inches
DECODED = "to_baseline_with_decoding"
PRECISION = "f32"  # of the figure; the tables have both
COLOURS = [f"C{number}" for number in range(10) if number != 7]  # grey is for static networks


def write(results: dict[str, Any]) -> None:
    """Write the tables and the figure."""
    mpl.rcdefaults()  # settings of the machine's user have no effect on a published figure
    replace_between(PAGE, "front", f"{points_table(results)}\n\n{_note(results)}")
    replace_between(PAGE, "comparisons", comparisons_table(results))
    if {STATIC, OURS} <= {row["network"] for row in results["rows"]}:
        for page in OPENING:
            replace_between(page, "why", sentence(results))
    picture = figure(results)
    FIGURE.write_bytes(picture.svg)
    print(points_table(results), comparisons_table(results), sep="\n\n")


def sentence(results: dict[str, Any]) -> str:
    """Return in one sentence what early exits gain on the network that the guide starts with."""
    rows = {
        (row["network"], row["policy"]): row
        for row in results["rows"]
        if row["precision"] == PRECISION
    }
    whole, policy = rows[STATIC, FINAL], rows[OURS, POLICY]
    return (
        f"**Measured on {results['test_images']} test images of colonoscopy with "
        f"{results['threads']} CPU threads, mean of {len(policy['seeds'])} trainings: "
        f"EfficientNet-Lite0 takes {whole['ms']['median']:.1f} ms for an image, and "
        f"{100 * whole['accuracy']:.1f} % of its answers are right. With early exits it takes "
        f"{policy['ms']['median']:.1f} ms, and {100 * policy['accuracy']:.1f} % are right.**"
    )


def _early(row: dict[str, Any]) -> bool:
    return CANDIDATES[row["network"]].exits


def points_table(results: dict[str, Any]) -> str:
    """Return accuracy and time of every network and policy."""
    decoded = all(DECODED in row for row in results["rows"])  # an earlier result has none
    rows = [
        (
            row["network"],
            row["policy"] if _early(row) else "–",
            row["precision"],
            f"{len(row['seeds'])}",
            f"{100 * row['accuracy']:.1f}",
            f"{row['ms']['median']:.2f}",
            f"1/{1 / row['to_baseline']['median']:.0f}",
            *([f"1/{1 / row[DECODED]['median']:.0f}"] if decoded else []),
        )
        for row in results["rows"]
    ]
    header = ("network", "policy", "precision", "seeds", "accuracy on test, %", "ms an image",
              "time / paper's baseline",
              *(["the same with decoding"] if decoded else []))  # fmt: skip
    return markdown_table(header, rows)


def comparisons_table(results: dict[str, Any]) -> str:
    """Return the table of static networks, each with its rival."""
    rows = []
    for comparison in results["comparisons"]:
        best = comparison["best"]
        shown = ("none is as accurate", "–", "–", "–", "no")
        if best is not None:
            ratio = best["ratio"]
            shown = (
                f"{best['network']}, {best['policy']}",
                f"{best['seeds']}",
                f"{100 * best['accuracy']:.1f}",
                f"{ratio['median']:.2f} ({ratio['low']:.2f}–{ratio['high']:.2f})",
                "yes" if best["met"] else "no",
            )
        rows.append(
            (
                _name(comparison),
                f"{100 * comparison['accuracy']:.1f}",
                *shown,
            )
        )
    header = ("static network", "accuracy, %", "fastest with early exits", "seeds", "accuracy, %",
              "time / static", f"at most {WITHIN}")  # fmt: skip
    failed = [f"- {_name(each)}: {_why(each)}" for each in results["comparisons"]
              if each["best"] is None or not each["best"]["met"]]  # fmt: skip
    reasons = "\n\nWhere early exits do not save enough:\n\n" + "\n".join(failed)
    return markdown_table(header, rows) + (reasons if failed else "")


def _name(comparison: dict[str, Any]) -> str:
    return f"{comparison['network']}, {comparison['precision']}"


def _why(comparison: dict[str, Any]) -> str:
    """Say why no network with early exits is as accurate in so little time."""
    best = comparison["best"]
    if best is None:
        return "no network with early exits is as accurate with the same seeds."
    more = 100 * (best["accuracy"] - comparison["accuracy"])
    if more > FAR:
        return (
            f"it is {more:.0f} points less accurate. No policy here may lose more than a point, so "
            "none trades that accuracy for time."
        )
    words = "the exits of the fastest that is as accurate save too little."
    if CANDIDATES[best["network"]].members:
        words = (
            "the fastest that is as accurate is a cascade, and an image that reaches its large "
            "network pays for both."
        )
    return words + (" One seed alone is compared." if best["seeds"] == 1 else "")


def _note(results: dict[str, Any]) -> str:
    missing = _seeds_by_network(results["not_trained"])
    return (
        f"Times are medians of {results['rounds']} rounds with {results['threads']} threads on "
        f"{results['machine']['processor']}, one image at a time, without decoding. The paper's "
        f"baseline (HiFuse-Small, 224×224, eager PyTorch) took "
        f"{results['baseline_ms']['median']:.0f} ms. A point with early exits may be "
        f"{100 * NEAR:g} points below a static network. Made by `{results['command']}`."
        + (f" Not trained yet: {missing}." if missing else "")
    )


def _seeds_by_network(runs: Sequence[str]) -> str:
    """Return runs, "name, seed 0" each, as words: each network once, with its seeds."""
    seeds: dict[str, list[str]] = {}
    for run in runs:
        name, _, seed = run.partition(", seed ")
        seeds.setdefault(name, []).append(seed)
    return "; ".join(
        f"{name} ({'seed' if len(numbers) == 1 else 'seeds'} {', '.join(numbers)})"
        for name, numbers in seeds.items()
    )


def figure(results: dict[str, Any]) -> Picture:
    """Draw accuracy against time: static networks, final exits, policies.

    What is far below the best is named in a corner: drawn, it would press all else together.
    """
    measured = [row for row in results["rows"] if row["precision"] == PRECISION]
    lowest = 100 * max(row["accuracy"] for row in measured) - FAR
    rows = [row for row in measured if 100 * row["accuracy"] >= lowest]
    below = "\n".join(
        f"{row['network']}, {row['ms']['median']:.2f} ms: {100 * row['accuracy']:.1f} %"
        for row in measured
        if row not in rows
    )

    def paint(page: Figure) -> None:
        axes, outline = page.subplots(), withStroke(linewidth=3, foreground="white")
        early = list(dict.fromkeys(row["network"] for row in rows if _early(row)))
        colours = dict(zip(early, COLOURS[: len(early)], strict=True))
        for name, colour in colours.items():
            places = sorted(_place(row) for row in rows if row["network"] == name)
            axes.plot(*zip(*places, strict=True), color=colour, linewidth=1, zorder=1, label=name)
        for row in rows:
            policy = _early(row) and row["policy"] != FINAL
            axes.plot(*_place(row), linestyle="none", color=colours.get(row["network"], "#808080"),
                      marker="*" if policy else "o", markersize=11 if policy else 7,
                      markeredgecolor="#1a1a1a", zorder=2)  # fmt: skip
            if not _early(row):
                axes.annotate(row["network"], _place(row), xytext=(0, 7), ha="center", fontsize=8,
                              textcoords="offset points", zorder=3,
                              path_effects=[outline])  # fmt: skip
        axes.set_ylim(bottom=lowest)
        _scales(axes)
        if below:
            axes.text(0.01, 0.02, f"below:\n{below}", transform=axes.transAxes, fontsize=8)

    words = "; ".join(
        f"{row['network']} {row['policy']} {row['ms']['median']:.2f} ms, "
        f"{100 * row['accuracy']:.1f} %"
        for row in measured
    )
    return draw(FIGURE.stem, SIZE, paint, alt=words, caption="", source="results", synthetic=False)


def _place(row: dict[str, Any]) -> tuple[float, float]:
    return row["ms"]["median"], 100 * row["accuracy"]


def _scales(axes: Axes) -> None:
    axes.set(xscale="log", xlabel="mean time of an image (ms)", ylabel="accuracy on test (%)")
    ticks = (0.4, 0.6, 1, 2, 3, 5)
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.set_xticks([], minor=True)
    axes.legend(fontsize=8, loc="lower right")
    percent_axis(axes)
