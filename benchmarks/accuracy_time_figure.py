"""The measured sentence and the figure of accuracy against time, from committed results.

    python benchmarks/accuracy_time_figure.py

Measures nothing. Reads benchmarks/results/cpu_runtime.json (the exported network) and
real_policies_colonoscopy.json (the same network in PyTorch), writes the sentence into README.md and
docs/index.md, and the figure to docs/images/accuracy-against-time.svg.
"""

import argparse
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from endoexit.files import read_json
from endoexit.reporting.style import POLICY_COLOUR, Picture, draw, exit_style, percent_axis
from tables import RESULTS, ROOT, replace_between

OUT = ROOT / "docs" / "images" / "accuracy-against-time.svg"
PAGES = (ROOT / "README.md", ROOT / "docs" / "index.md")
GOAL = "accuracy >= final exit - 0.01"
SIZE = (6.6, 3.4)  # inches


def read_results() -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the times of the trained network as a bundle, and its study in PyTorch."""
    runtime = read_json(RESULTS / "cpu_runtime.json")["trained"]
    return runtime, read_json(RESULTS / "real_policies_colonoscopy.json")


def sentence(runtime: dict[str, Any]) -> str:
    """Return in one sentence what early exits gain, measured."""
    bundle, times = runtime["precisions"]["bf16"], runtime["milliseconds"]
    return (
        f"**Measured on {runtime['test_images']} test images of colonoscopy with "
        f"{runtime['threads']} CPU threads: early exits cut the mean time of an image from "
        f"{times['bf16 final exit']['p50']:.1f} ms to {bundle['mean_ms']['median']:.1f} ms, while "
        f"accuracy goes from {100 * bundle['accuracy_final']:.1f} % to "
        f"{100 * bundle['accuracy_policy']:.1f} %.**"
    )


def points(runtime: dict[str, Any], study: dict[str, Any]) -> dict[str, list[tuple[float, float]]]:
    """Return milliseconds and accuracy in percent: exits and policy in PyTorch and OpenVINO."""
    costs = study["costs"]["ms"]["values"]
    (chosen,) = (row["on_test"] for row in study["rows"]
                 if row["goal"] == GOAL and row["table"] == "plain")  # fmt: skip
    bundle = runtime["precisions"]["bf16"]
    return {
        "exits": [(ms, 100 * exit_["accuracy"])
                  for ms, exit_ in zip(costs, study["exits"], strict=True)],
        "policy": [(chosen["ms"], 100 * chosen["accuracy"])],
        "bundle final": [(runtime["milliseconds"]["bf16 final exit"]["p50"],
                          100 * bundle["accuracy_final"])],
        "bundle policy": [(bundle["mean_ms"]["median"], 100 * bundle["accuracy_policy"])],
    }  # fmt: skip


def figure(runtime: dict[str, Any], study: dict[str, Any]) -> Picture:
    """Draw the figure."""
    places_by_name = points(runtime, study)

    def paint(page: Figure) -> None:
        axes = page.subplots()
        axes.plot(
            *zip(*places_by_name["exits"], strict=True), color="#b0b0b0", linewidth=1, zorder=1
        )
        last = len(places_by_name["exits"])
        for number, place in enumerate(places_by_name["exits"], start=1):
            name = "final exit" if number == last else f"exit {number}"
            look = exit_style(number)
            right = 26 if number == 2 else 0  # the line to exit 3 is above
            _mark(axes, place, name, colour=look.colour, marker=look.marker, offset=(right, -8))
        star: dict[str, Any] = {"colour": POLICY_COLOUR, "marker": "*"}
        _mark(axes, places_by_name["policy"][0], "policy, PyTorch f32", **star, offset=(44, 8))
        (final,), (policy,), look = (
            places_by_name["bundle final"],
            places_by_name["bundle policy"],
            exit_style(last),
        )
        axes.plot(*zip(policy, final, strict=True), color=POLICY_COLOUR, linewidth=1, zorder=1)
        _mark(axes, policy, "policy, OpenVINO bf16", **star, offset=(0, -8))
        _mark(axes, final, "final exit, OpenVINO bf16", colour=look.colour, marker=look.marker,
              offset=(0, 8))  # fmt: skip
        axes.set(xlim=(0, 24.5), ylim=(72, 92), xlabel="mean time of an image (ms)",
                 ylabel="accuracy on test (%)")  # fmt: skip
        percent_axis(axes)

    words = "; ".join(
        f"{name} {ms:.1f} ms, {percent:.1f} %"
        for name, places in places_by_name.items()
        for ms, percent in places
    )
    return draw(OUT.stem, SIZE, paint, alt=words, caption=GOAL, source="results", synthetic=False)


def _mark(
    axes: Axes,
    place: tuple[float, float],
    name: str,
    *,
    colour: str,
    marker: str,
    offset: tuple[int, int],
) -> None:
    """Draw one point, and its name and figures at an offset in typographic points."""
    size = 13 if marker == "*" else 7
    axes.plot(*place, marker=marker, markersize=size, color=colour, markeredgecolor="#1a1a1a",
              markeredgewidth=0.6, linestyle="none", zorder=2)  # fmt: skip
    axes.annotate(
        f"{name}\n{place[1]:.1f} % in {place[0]:.1f} ms",
        place,
        xytext=offset,
        textcoords="offset points",
        ha="center",
        va="bottom" if offset[1] > 0 else "top",
        fontsize=8,
    )


def main() -> None:
    """Write the sentence and the figure; `--png` also writes a picture to look at."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--png", type=Path, help="also write the figure there, as PNG")
    arguments = parser.parse_args()
    mpl.rcdefaults()  # settings of the machine's user have no effect on a published figure
    runtime, study = read_results()
    for page in PAGES:
        replace_between(page, "why", sentence(runtime))
    picture = figure(runtime, study)
    OUT.write_bytes(picture.svg)
    if arguments.png:
        arguments.png.write_bytes(picture.png)
    print(sentence(runtime), picture.alt, f"Written: {OUT}", sep="\n")


if __name__ == "__main__":
    main()
