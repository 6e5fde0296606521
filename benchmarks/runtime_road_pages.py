"""The page's part on the road of one image from its file to its answer, for `cpu_runtime.py`."""

from collections.abc import Iterable, Iterator
from typing import Any

from endoexit.errors import counted
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
        "prediction. EfficientNet-Lite0 has exits behind its groups 3, 5 and 6. "
        f"{_others(part for _, _, part in rows)}"
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


def road_targets(results: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the targets of these parts, each with what it is about."""
    for name, variants in results.get("roads", {}).items():
        for variant, part in variants.items():
            about = f"`{name}` {part['size']}, {variant}: "
            yield from ((about, target) for target in part.get("targets", ()))
    if "answers" in results:
        part = results["answers"]
        about = f"trained `{part['network']}`, {part['size']}×{part['size']}, "
        yield from ((about, target) for target in part["targets"])
    for part in results.get("tails", {}).values():
        yield from (("`efficientnet_lite0` 128, ", target) for target in part["targets"])
    for part in results.get("reading", {}).values():
        yield from (("", target) for target in part["targets"])


def answers(part: dict[str, Any]) -> Iterator[str]:
    """Yield what is said of a trained run from its files."""
    yield f"## A trained `{part['network']}` from its files"
    exits = ", ".join(f"{count} at exit {number}" for number, count in part["exit_at"].items())
    threads = counted(part["threads"], "thread")
    yield (
        f"Run of `{part['training'].partition(' --out ')[0]}`, {threads}, on "
        f"{part['machine']['processor']}: {part['files']} of {part['test_images']} test images, "
        f"one after another. Policy: {part['goal']}; {exits}. Milliseconds an image, medians of "
        f"{part['rounds']} rounds. The baseline is `hifuse_small` at 224×224 in eager PyTorch. "
        f"{_others([part])}"
    )
    precision, least = part["precision"], part["limits"]
    names = {
        "policy": f"{precision} under the policy",
        **{
            name: f"{precision}, all at {name}"
            for name in part["milliseconds"]
            if name.startswith("exit ")
        },
        "whole": "whole, OpenVINO f32",
        "decoding": "decoding and resizing alone",
        "baseline": "baseline",
    }
    rows = [(words, _spread(part["milliseconds"][name])) for name, words in names.items()]
    yield markdown_table(("from the file", "ms [quartiles]"), rows)
    share = part["decoding_to_whole"]["median"]
    yield (
        f"**What limits the ratio to the whole network.** Both must decode the file. That alone "
        f"takes {share:.2f} of the time of the whole network from its file, so no policy and no "
        "precision can get below it. If every image exited at exit 1, the ratio would be "
        f"{least['all at exit 1']:.2f}; with the exits of this policy it cannot be below "
        f"{least['these exits']:.2f}."
    )
    streams, accuracy = part["streams"], part["accuracy"]
    rows = [(f"all at {name}" if name != "policy" else "under the policy", f"{time:.0f}")
            for name, time in streams["microseconds_an_image"].items()]  # fmt: skip
    exits = ", ".join(f"{count} at exit {number}" for number, count in streams["exit_at"].items())
    yield (
        f"**What limits the gain in streams.** All {part['test_images']} test images in full "
        f"batches, under the policy: {exits}. Of these {100 * accuracy['policy']:.1f} % are "
        f"answered correctly, and {100 * accuracy['final exit']:.1f} % by the final exit. If every "
        "image exited at exit 1, "
        f"the gain would be {streams['limits']['all at exit 1']:.2f}. With the exits of this "
        f"policy it cannot exceed {streams['limits']['these exits']:.2f}: deciding, and gathering "
        "full batches again behind each exit, take the rest."
    )
    yield markdown_table(("in full batches", "microseconds an image"), rows)


def tails(parts: dict[str, Any]) -> Iterator[str]:
    """Yield what is said of busy machines."""
    first = next(iter(parts.values()))
    yield "## On a busy machine"
    yield (
        f"EfficientNet-Lite0 with exits at {first['size']}×{first['size']}, random weights: one "
        "image at a time from its square through all stages, next to a process that decodes JPEGs "
        "without end, or to processes that compute without end. Milliseconds over "
        f"{first['rounds']} visits of {first['images']} images, on {first['machine']['processor']} "
        f"with {first['machine']['cores']} cores. A fair share of n cores with b such processes "
        "and t threads takes (b + t) / n times as long. "
        f"{_others(parts.values())}"
    )
    loads = list(first["milliseconds"])
    rows = []
    for key, part in parts.items():
        variant, threads = key.split()
        cells = [
            " / ".join(f"{part['milliseconds'][load][name]:.3g}" for name in ("mean", "p50", "p99"))
            for load in loads
        ]
        rows.append((variant, threads, *cells))
    header = ("computes in", "threads", *(f"{load}: mean / p50 / p99" for load in loads))
    yield markdown_table(header, rows)


def reading(parts: dict[str, Any]) -> Iterator[str]:
    """Yield what is said of JPEGs."""
    first = next(iter(parts.values()))
    yield "## From JPEG to the network's square"
    yield (
        f"{first['image']}, on one core of {first['machine']['processor']}: milliseconds of "
        "processor time. Most of the time goes into the compressed data, which must be read whole: "
        "the row “brightness” decodes as little as can be. simplejpeg is kept: it has wheels for "
        "Linux, macOS and Windows, and it tells of damage. OpenCV takes a little less, because "
        "it resizes in another way. It is silent about missing data, and every pixel that policies "
        "and caches rest on would change. PyTurboJPEG needs libjpeg-turbo from the system. "
        "kornia-rs and imagecodecs decode at full size only."
    )
    rows = []
    for size, part in parts.items():
        for name, values in part["milliseconds"].items():
            levels = part["mean_grey_levels"].get(name)
            cells = ("–", "–") if levels is None else tuple(f"{v:.2f}" for v in levels.values())
            rows.append(
                (f"{size}×{size}", name, f"{values['p50']:.2f}", f"{values['p95']:.2f}", *cells)
            )
    header = ("square", "reader", "ms", "p95", "grey levels from endoexit, mean", "from full size")
    yield markdown_table(header, rows)


def _cells(times: dict[str, dict[str, float]], names: tuple[str, ...]) -> list[str]:
    return [f"{times[name]['p50']:.3g}" if name in times else "–" for name in names]


def _others(parts: Iterable[dict[str, Any]]) -> str:
    shares = [100 * part["work_of_others_before"] for part in parts
              if "work_of_others_before" in part]  # fmt: skip
    taken = f" Other work took up to {max(shares):.0f} % of the cores before." if shares else ""
    return f"What is compared took turns.{taken}"


def _spread(values: dict[str, Any] | None) -> str:
    if values is None:
        return "–"
    return f"{values['median']:.3g} [{values['low']:.3g}, {values['high']:.3g}]"
