"""The targets from a file to its answer as one table, for `cpu_runtime.py`.

Every row names its target, the figure of a committed result, whether it is met, and what limits
it. A row without a result says so.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from endoexit.errors import counted
from endoexit.evaluation.figures import significant
from endoexit.files import read_json
from runtime_convolutions import in_words
from tables import RESULTS, markdown_table

NETWORKS = ("efficientnet_lite0", "ee_hifuse_nano")
VARIANTS = ("openvino-f32", "openvino-int8")
NOT_MEASURED = "not measured"
POINTS = 0.5


@dataclass(frozen=True)
class Row:
    """One target.

    Attributes:
        what: What is measured, with its unit.
        limit: Bound.
        limited_by: What limits it.
        part: Part of the results that it is from, for the machine; None if not measured.
        measured: Median and quartiles, or one figure three times; None if not measured.
        at_least: Whether the bound is a lower one.
    """

    what: str
    limit: float
    limited_by: str
    part: Mapping[str, Any] | None = None
    measured: Mapping[str, float] | None = None
    at_least: bool = False

    @property
    def cells(self) -> tuple[str, ...]:
        """Cells of the table."""
        sign = "≥" if self.at_least else "≤"
        bound = f"{sign} {significant(self.limit)}"
        if self.part is None or self.measured is None:
            return (self.what, bound, NOT_MEASURED, "–", self.limited_by, "–")
        median, low, high = (self.measured[key] for key in ("median", "low", "high"))
        figure = significant(median)
        if low != high:
            figure += f" [{significant(low)}, {significant(high)}]"
        worst, best = (low, high) if self.at_least else (-high, -low)
        limit = self.limit if self.at_least else -self.limit
        met = "met" if worst >= limit else "missed" if best < limit else "unclear"
        return (self.what, bound, figure, met, self.limited_by, _machine(self.part))


def way_targets(results: dict[str, Any]) -> Iterator[str]:
    """Yield the table and what it is about."""
    yield "## Targets from the file to the answer"
    rows = [*_int8(), *_products(results), *_cut(results), *_around(results), *_reading(results),
            *_answers(results), *_tail(results), *_start(results)]  # fmt: skip
    yield (
        "A figure with quartiles is “unclear” where the target is between them. Accuracies are "
        "those of the images of test."
    )
    header = ("what", "target", "measured [quartiles]", "result", "what limits it", "machine")
    yield markdown_table(header, [row.cells for row in rows])


def _int8() -> Iterator[Row]:
    """Yield what int8 loses of the accuracy."""
    networks = read_json(RESULTS / "int8.json")["networks"]
    for name in NETWORKS:
        part = networks.get(name)
        for variant in ("int8", "int8 within the bound", "int8, trained for it"):
            row = None if part is None else part["variants"].get(variant)
            about = f"`{name}` 128, {variant}: points lost"
            if part is None or row is None:
                refused = part is not None and variant in part["refused"]
                reason = "no mixture of layers is within the bound" if refused else "–"
                if refused or variant == "int8":  # the others are for networks that need them
                    yield Row(f"{about}, largest of all exits", POINTS, reason)
                continue
            runs = row["runs"]
            exact = part["variants"]["f32"]["runs"][: len(runs)]
            limited_by = (
                f"one image of {part['test_images']} is {100 / part['test_images']:.2f} points; "
                f"mean of {counted(len(runs), 'seed')}"
            )
            lost = max(_lost(exact, runs, "exits"))
            yield Row(f"{about}, largest of all exits", POINTS, limited_by, part, _one(lost))
            for drop, points in zip(part["goals"], _lost(exact, runs, "policies"), strict=True):
                words = f"{about}, under the policy that may lose {100 * drop:g} on calibrate"
                reason = f"{limited_by}; each policy is found again"
                yield Row(words, POINTS, reason, part, _one(points))


def _lost(exact: list[dict[str, Any]], runs: list[dict[str, Any]], key: str) -> list[float]:
    """Return the points that int8 loses against the same runs in f32, mean over the runs."""
    before, after = (map(fmean, zip(*(run[key] for run in each), strict=True))
                     for each in (exact, runs))  # fmt: skip
    return [100 * (was - now) for was, now in zip(before, after, strict=True)]


def _products(results: dict[str, Any]) -> Iterator[Row]:
    """Yield what int8 saves of the time."""
    what = "`efficientnet_lite0` 128, whole network, int8 / f32"
    variants = results.get("roads", {}).get("efficientnet_lite0", {})
    part = variants.get("openvino-int8", {})
    limited_by = in_words(part["convolutions"]) if part else "–"
    yield _row(f"{what}, processor with VNNI", 0.5, limited_by, part, "whole network, int8 / f32")
    narrow = results.get("narrow", {})
    if narrow:
        beyond = narrow["layers"]["int8"]["avx512"]
        limited_by = (
            "without VNNI a product of int8 takes three instructions: "
            f"{in_words(narrow['convolutions'])}. Layers that OpenVINO does not hold to AVX2: "
            f"{beyond}"
        )
    yield _row(f"{what}, convolutions held to AVX2", 0.7, limited_by, narrow,
               "whole network, int8 / f32, convolutions held to AVX2")  # fmt: skip


def _cut(results: dict[str, Any]) -> Iterator[Row]:
    for name in NETWORKS:
        for variant in VARIANTS:
            yield _row(
                f"`{name}` 128, {variant}, batch 1: all stages in sequence / one piece with all "
                "exits", 1.05,
                "a call for each stage, and fusions of operations across its edges",
                results.get("roads", {}).get(name, {}).get(variant, {}),
                "all stages in sequence / one piece with all exits",
            )  # fmt: skip


def _around(results: dict[str, Any]) -> Iterator[Row]:
    for name in NETWORKS:
        for variant in (*VARIANTS, "onnx-f32"):
            part = results.get("roads", {}).get(name, {}).get(variant, {})
            limited_by = "lines of Python between the stages"
            if "bookkeeping_by_itself_ms" in part:
                alone = part["bookkeeping_by_itself_ms"]["median"]
                limited_by += f", which take {alone:.3f} ms where no stage computes"
            yield _row(
                f"`{name}` 128, {variant}: policy, gathering and bookkeeping, ms an image", 0.10,
                limited_by, part, "policy, gathering and bookkeeping, ms an image",
            )  # fmt: skip


def _reading(results: dict[str, Any]) -> Iterator[Row]:
    for side in ("128", "224"):
        part = results.get("reading", {}).get(side, {})
        what = f"JPEG of 1280×1024 to the network's square of {side}×{side}, ms on one core"
        limited_by = "the decoder"
        if part:
            least = part["milliseconds"]["brightness at an eighth alone"]["p50"]
            limited_by = f"the decoder: to read the compressed data alone takes {least:.2f} ms"
        yield _row(what, 2.0, limited_by, part, what)


def _answers(results: dict[str, Any]) -> Iterator[Row]:
    part = results.get("answers", {})
    name = f"trained `{part.get('network', 'efficientnet_lite0')}` 128, int8, "
    whole = "the same network whole, f32, from the same file"
    eager = "eager PyTorch `hifuse_small` 224 from the same file"
    stream = "images a second in batches of 32, int8, policy / whole without exits"
    both = "both decode the file"
    if part:
        least = part["limits"]
        both += (
            f", which is {part['decoding_to_whole']['median']:.2f} of it; with all images at exit "
            f"1 the ratio is {least['all at exit 1']:.2f}, and with the exits of this policy at "
            f"least {least['these exits']:.2f}"
        )
    first = "file to answer under the policy"
    yield _row(f"{name}{first} / {whole}", 0.5, both, part,
               f"{first}, int8 / {whole}")  # fmt: skip
    yield _row(f"{name}{first} / {eager}", 1 / 150, "decoding the file", part,
               f"{first}, int8 / {eager}")  # fmt: skip
    limited_by = "stage 1, which every image needs, and more so in full batches"
    if part:
        limits = part["streams"]["limits"]
        limited_by += (
            f": with all images at exit 1 it is {limits['all at exit 1']:.2f}, and with the exits "
            f"of this policy at most {limits['these exits']:.2f}"
        )
    yield _row(f"{name}{stream.replace(', int8', '')}", 1.7, limited_by, part, stream)


def _tail(results: dict[str, Any]) -> Iterator[Row]:
    for busy, limit in (("2 busy", 2.2), ("4 busy", 3.3)):
        for key in ("openvino-int8 1", "openvino-int8 2"):
            variant, threads = key.split()
            what = f"{variant}, {threads} threads: mean next to {busy} processes / idle"
            fair = (int(busy[0]) + int(threads)) / 2
            yield _row(
                f"`efficientnet_lite0` 128, {what.replace(' 1 threads', ' 1 thread')}", limit,
                f"the scheduler: a fair share of 2 cores makes it {fair:.1f}",
                results.get("tails", {}).get(key, {}), what,
            )  # fmt: skip


def _start(results: dict[str, Any]) -> Iterator[Row]:
    part = results.get("start", {})
    what = "`endoexit predict BUNDLE one.jpg`, start to end, s"
    imports = next((target["median"] for target in part.get("targets", ())
                    if target["what"].startswith("of which imports")), None)  # fmt: skip
    limited_by = "–" if imports is None else f"imports: {imports:.2f} s of it"
    yield _row(what, 1.0, limited_by, part, what)


def _row(what: str, limit: float, limited_by: str, part: Mapping[str, Any], target: str) -> Row:
    """Return the row of a target in a part of the results; not measured without it."""
    kept = next((each for each in part.get("targets", ()) if each["what"] == target), None)
    at_least = kept is not None and "at_least" in kept
    return Row(what, limit, limited_by, part or None, kept, at_least)


def _one(value: float) -> dict[str, float]:
    return {"median": value, "low": value, "high": value}


def _machine(part: Mapping[str, Any]) -> str:
    machine: Mapping[str, Any] = part["machine"]
    return f"{machine['processor']}, {machine['cores']} cores"
