"""Where images exit: the share of the images that exit at each exit, over all and by class."""

from matplotlib.figure import Figure

from endoexit.evaluation.figures import percent
from endoexit.reporting.material import Material
from endoexit.reporting.style import INK, Picture, draw, exit_style
from endoexit.reporting.words import elided

_ROW, _NAME = 0.27, 26  # inches of a bar; characters of a class name next to it
_SAID = 9  # bars that the alternative text tells
_WRITTEN = 7.0  # a segment of so many percent has room for its number


def exit_shares(material: Material) -> Picture | None:
    """Draw a bar for all images and one for each class; None for a network with one exit."""
    adaptive = material.evaluation.adaptive
    if adaptive is None:
        return None
    exits = range(1, material.num_exits + 1)
    bars = [("all images", adaptive.shares), *adaptive.shares_by_class.items()]
    said = [
        f"{name}: "
        + ", ".join(f"{material.exit_name(k)} {percent(shares[k - 1])} %" for k in exits)
        for name, shares in bars[:_SAID]
    ]
    more = "." if len(bars) <= _SAID else "; the table has all classes."
    alt = f"Share of the images that exit at each exit. {'; '.join(said)}{more}"

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        places = [0.0, *(1.5 + index for index in range(len(bars) - 1))]
        starts = [0.0] * len(bars)
        for number in exits:
            style = exit_style(number)
            widths = [100 * shares[number - 1] for _, shares in bars]
            axes.barh(
                places, widths, left=starts, height=0.74, color=style.colour, hatch=style.hatch,
                edgecolor="white", linewidth=0.8, label=material.exit_name(number),
            )  # fmt: skip
            for place, start, width in zip(places, starts, widths, strict=True):
                if width >= _WRITTEN:
                    axes.text(
                        start + width / 2, place, f"{width:.0f}", ha="center", va="center",
                        fontsize=8, color=INK, bbox={"boxstyle": "round,pad=0.15", "fc": "white",
                        "ec": "none", "alpha": 0.85},
                    )  # fmt: skip
            starts = [start + width for start, width in zip(starts, widths, strict=True)]
        axes.set_yticks(places, [elided(name, _NAME) for name, _ in bars])
        axes.set_ylim(places[-1] + 0.6, -0.6)
        axes.set_xlim(0, 100)
        axes.set_xlabel("share of the images (%)")
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        figure.legend(loc="outside upper left", ncols=min(6, len(exits)), columnspacing=1.2)

    return draw(
        "exit-shares", (5.4, 1.25 + _ROW * (len(bars) + 0.5)), paint, alt=alt,
        caption="Share of the images that exit at each exit under the policy, over all and by "
        "true class.",
        source=material.evaluation_file.name, synthetic=material.synthetic,
    )  # fmt: skip
