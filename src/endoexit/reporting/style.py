"""The one style of all figures: colours, markers, hatches, sizes; drawing without pyplot.

Colours are those of Okabe & Ito (2008), told apart with any colour vision. Nothing is told by
colour alone: lines have markers and dashes, areas have hatches, so that greyscale print works.
"""

import contextlib
import io
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from endoexit.evaluation.estimates import Estimate

INK, QUIET, FAINT = "#1a1a1a", "#6b6b6b", "#d0d0d0"
POLICY_COLOUR, TWIN_COLOUR = "#D55E00", "#1a1a1a"
_EXITS = ("#56B4E9", "#E69F00", "#009E73", "#0072B2", "#CC79A7", "#F0E442")
_MARKERS = ("o", "s", "^", "D", "v", "P")
_DASHES = ("-", (0, (5, 1.5)), (0, (1, 1)), (0, (5, 1, 1, 1)), (0, (8, 2)), (0, (2, 2)))
_HATCHES = ("", "////", "....", "xxxx", "\\\\\\\\", "oo")
SYNTHETIC = "Synthetic images."
SHARES = "Blues"  # from light to dark, for any colour vision and for greyscale

SVG_LIMIT = 200_000  # bytes; a larger drawing goes into the page as PNG
CSS_INCH = 96
PNG_DPI = 2 * CSS_INCH  # sharp on screens of twice the density

_RC: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 9.0,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 9.0,
    "axes.edgecolor": QUIET,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": False,
    "xtick.color": QUIET,
    "ytick.color": QUIET,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "grid.color": FAINT,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "lines.linewidth": 1.6,
    "lines.markersize": 6,
    "hatch.linewidth": 0.5,
    "text.color": INK,
    "text.parse_math": False,  # a class may be named $x$
    "svg.fonttype": "path",  # the same on a machine without the font
    "svg.hashsalt": "endoexit",  # the same file for the same figures
}


@dataclass(frozen=True)
class ExitStyle:
    """How one exit is drawn in every figure."""

    colour: str
    marker: str
    dash: str | tuple[int, tuple[float, ...]]
    hatch: str


def exit_style(number: int) -> ExitStyle:
    """Return the style of exit `number`, from 1; they repeat after six."""
    index = (number - 1) % len(_EXITS)
    return ExitStyle(_EXITS[index], _MARKERS[index], _DASHES[index], _HATCHES[index])


@dataclass(frozen=True)
class Picture:
    """A figure, drawn.

    Attributes:
        name: Name of its files, without the suffix.
        svg: Content as SVG.
        png: Content as PNG.
        width: Width in CSS pixels, as it is to be shown.
        height: Height in CSS pixels.
        alt: What it shows, in numbers.
        caption: What the reader must know to read it.
        source: File that its numbers come from.
    """

    name: str
    svg: bytes
    png: bytes
    width: int
    height: int
    alt: str
    caption: str
    source: str


def draw(
    name: str,
    size: tuple[float, float],
    paint: Callable[[Figure], None],
    *,
    alt: str,
    caption: str,
    source: str,
    synthetic: bool,
) -> Picture:
    """Draw a figure.

    Args:
        name: See `Picture`.
        size: Width and height in inches of 96 CSS pixels.
        paint: What draws into the figure.
        alt: See `Picture`.
        caption: See `Picture`.
        source: See `Picture`.
        synthetic: Whether the images are rendered ones; the drawing itself says so, because it may
            be shown without its caption.
    """
    if synthetic:
        alt, caption = f"{SYNTHETIC} {alt}", f"{SYNTHETIC} {caption}"
    svg, png = io.BytesIO(), io.BytesIO()
    with _own_settings(), warnings.catch_warnings():
        # A class name in a script that the font lacks: the tables have it in full.
        warnings.filterwarnings("ignore", message=r"Glyph \d+")
        figure = Figure(figsize=size, layout="constrained")
        if synthetic:
            figure.supxlabel(SYNTHETIC, x=0.99, ha="right", fontsize=8, color=QUIET, style="italic")
        paint(figure)
        figure.savefig(svg, format="svg", metadata={"Date": None, "Creator": None})
        figure.set_layout_engine("none")  # the places found for the SVG are those of the PNG
        figure.savefig(png, format="png", dpi=PNG_DPI, metadata={"Software": None})
    width, height = (round(inches * CSS_INCH) for inches in size)
    return Picture(name, svg.getvalue(), png.getvalue(), width, height, alt, caption, source)


@contextlib.contextmanager
def _own_settings() -> Iterator[None]:
    """Draw with matplotlib's defaults and our style, whatever a `matplotlibrc` has set."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_RC)
        yield


def percent_axis(axes: Axes, which: str = "y") -> None:
    """Write the ticks of an axis whose values are percent already, with faint lines."""
    axis = axes.yaxis if which == "y" else axes.xaxis
    axis.grid(visible=True)
    axis.set_tick_params(length=0)


def percent_and_ends(estimate: Estimate) -> tuple[float, float, float]:
    """Return a share and the ends of its interval in percent; all the same where it has none."""
    value, interval = 100 * (estimate.value or 0.0), estimate.interval
    if interval is None:
        return value, value, value
    return value, 100 * interval.low, 100 * interval.high
