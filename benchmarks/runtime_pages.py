"""The pages of `cpu_runtime.py`: the README's table of targets and docs/cpu-runtime.md."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from endoexit.bench.document import Spread
from endoexit.evaluation.figures import significant
from endoexit.files import write_text
from runtime_edges import edges
from runtime_fused import fused
from runtime_networks import OVERHEAD_MS, verdict
from runtime_obstacles import obstacles
from runtime_road_pages import answers, reading, road, road_targets, tails
from runtime_targets import way_targets
from tables import ROOT, markdown_table, replace_between

PAGE = ROOT / "docs" / "cpu-runtime.md"
_MET = {"yes": "met", "no": "missed"}
EXITS = ("exit 1", "exit 2", "exit 3", "final exit", "one piece", "all exits")
README_ROWS = (  # those that users ask about first; one of them is not met
    "bf16: mean time under the policy / eager PyTorch f32",
    "bf16: accuracy on test, final exit less policy",
    "`ee_hifuse_nano`: exit 1 / final exit, openvino-bf16",
    "`endoexit predict BUNDLE one.jpg`, start to end, s",
)


def write_pages(results: dict[str, Any]) -> None:
    """Write the README's table, and the page with every time."""
    replace_between(ROOT / "README.md", "runtime", readme_block(results))
    write_text(PAGE, page(results))


def readme_block(results: dict[str, Any]) -> str:
    """Return four targets for the README, and how many of all are met."""
    verdicts = Counter(target["met"] for _, target in _targets(results))
    tally = (
        f"Of {verdicts.total()} targets {verdicts['yes']} are met, {verdicts['no']} are missed and "
        f"{verdicts['unclear']} are unclear: [docs/cpu-runtime.md](docs/cpu-runtime.md) lists "
        "them, and says what limits the runtime."
    )
    return f"{_target_table(results, README_ROWS)}\n\n{tally} {_made(results)}"


def page(results: dict[str, Any]) -> str:
    """Return docs/cpu-runtime.md."""
    return "\n\n".join(_page(results)) + "\n"


def _target_table(results: dict[str, Any], only: Sequence[str] | None = None) -> str:
    rows = [
        (
            f"{subject}{target['what']}",
            f"≥ {target['at_least']:g}" if "at_least" in target else f"≤ {target['at_most']:g}",
            "{} [{}, {}]".format(*(significant(target[key]) for key in ("median", "low", "high"))),
            _MET.get(target["met"], target["met"]),
        )
        for subject, target in _targets(results)
        if only is None or f"{subject}{target['what']}".endswith(tuple(only))
    ]
    return markdown_table(("what", "target", "measured [quartiles]", "result"), rows)


def _targets(results: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, network in results.get("networks", {}).items():
        yield from ((f"`{name}`: ", target) for target in network["targets"])
        for variant, overhead in network["overhead_ms"].items():
            what = f"policy, gathering and bookkeeping, ms an image, {variant}"
            met = verdict(Spread(**overhead), OVERHEAD_MS)
            yield f"`{name}`: ", {"what": what, "at_most": OVERHEAD_MS, **overhead, "met": met}
    for precision in results.get("trained", {}).get("precisions", {}).values():
        name, size = results["trained"]["network"], results["trained"]["size"]
        yield from (
            (f"trained `{name}`, {size}×{size}, ", target) for target in precision["targets"]
        )
    yield from road_targets(results)
    yield from (("", target) for target in results.get("start", {}).get("targets", ()))


def _made(results: dict[str, Any]) -> str:
    parts = [*results.get("networks", {}).values()]
    parts += [results[name] for name in ("trained", "answers", "start") if name in results]
    parts += [part for name in ("reading", "tails") for part in results.get(name, {}).values()]
    nested = [results.get(name, {}) for name in ("roads", "fused", "edges")]
    parts += [part for networks in nested for variants in networks.values()
              for part in variants.values()]  # fmt: skip
    machines = {
        f"{part['machine']['processor']}, {part['machine']['cores']} cores" for part in parts
    }
    return f"Measured on {'; '.join(sorted(machines))}. Made by `python benchmarks/cpu_runtime.py`."


def _page(results: dict[str, Any]) -> Iterator[str]:
    yield "# Times on a CPU"
    yield (
        "What early exits, export and quantisation save in milliseconds. Everything that is "
        "compared was measured alternately in one process. The times are those of one machine; "
        "the ratios carry over better. `endoexit bench` measures the same for your own run or "
        "bundle."
    )
    yield _made(results)
    yield from way_targets(results)
    yield "## Targets of stages, precisions and starts"
    yield _target_table(results)
    yield (
        "“Unclear” means that the target is between the quartiles of the measurements. Overheads "
        "with random weights are those of an image that continues to the final exit, so they "
        "include four decisions. They grow with the network: between two decisions its weights "
        "push the decision's code and data out of the processor's caches."
    )
    yield from obstacles(results)
    for name, network in results.get("networks", {}).items():
        yield from _network(name, network, results.get("profiles", {}).get(name, {}))
    if "roads" in results:
        yield from road(results["roads"])
    if "fused" in results:
        yield from fused(results["fused"])
    if "edges" in results:
        yield from edges(results["edges"])
    if "trained" in results:
        yield from _trained(results["trained"])
    if "answers" in results:
        yield from answers(results["answers"])
    if "tails" in results:
        yield from tails(results["tails"])
    if "reading" in results:
        yield from reading(results["reading"])
    if "start" in results:
        yield from _start(results["start"])


def _network(name: str, part: dict[str, Any], profiles: dict[str, Any]) -> Iterator[str]:
    yield f"## `{name}`, random weights"
    yield (
        f"{part['size']}×{part['size']}, one image at a time, {part['threads']} threads: "
        f"milliseconds, medians of {part['rounds']} rounds. The first four columns are the "
        "network cut at its exits; its final exit runs all stages in sequence. “One piece” is the "
        "uncut network with its final exit only. “All exits” is the uncut network with all of "
        "them; it does as many multiply-adds as the cut one."
    )
    times = part["milliseconds"]
    rows = []
    for variant in dict.fromkeys(key.split()[0] for key in times if not key.startswith("product")):
        if variant in times:  # eager PyTorch is one piece
            cells = ["–"] * 4 + [f"{times[variant]['p50']:.1f}", "–"]
        else:
            cells = [_ms(times.get(f"{variant} {column}")) for column in EXITS]
        rows.append((variant, *cells))
    yield markdown_table(("computes in", *EXITS), rows)
    rows = []
    for variant, product in part["limits"].items():
        rate = product["gmacs_per_second"]["median"]
        shares = [f"{100 * limit['reached']['median']:.0f} %" for limit in product["limits"]]
        rows.append((variant, f"{rate:.0f}", f"{product['limits'][-1]['ms']:.2f}", *shares))
    yield (
        "The limit is the time that the final exit's multiply-adds take at the rate of a large "
        "matrix product of the same precision. The columns of exits give the share of that rate "
        "that each exit reaches. Above 100 % its layers are faster than that product."
    )
    header = ("computes in", "GMACs a second", "limit of the final exit, ms", *EXITS[:4])
    yield markdown_table(header, rows)
    if profiles:
        yield from _profiles(profiles)


def _profiles(profiles: dict[str, Any]) -> Iterator[str]:
    yield (
        "Where the time of a stage goes, and its slowest layers. The times are medians of "
        "OpenVINO's counters for each layer; counting itself takes a little time."
    )
    rows = []
    for variant, profile in profiles.items():
        for number, stage in enumerate(profile["stages"], start=1):
            whole = sum(stage["ms"].values())
            shares = [f"{100 * ms / whole:.0f} %" for ms in stage["ms"].values()]
            largest = ", ".join(
                f"`{layer['layer']}` {layer['ms']:.2g}" for layer in stage["largest"]
            )
            head = f"{100 * stage['of_it_exit_head_ms'] / whole:.0f} %"
            rows.append((variant, str(number), f"{whole:.2f}", *shares, head, largest))
    kinds = next(iter(profiles.values()))["stages"][0]["ms"]
    header = ("computes in", "stage", "ms", *kinds, "exit head, at least", "longest, ms")
    yield markdown_table(header, rows)


def _ms(times: dict[str, float] | None) -> str:
    return "–" if times is None else f"{times['p50']:.1f}"


def _trained(part: dict[str, Any]) -> Iterator[str]:
    yield f"## A trained `{part['network']}` under its policy"
    eager = part["milliseconds"]["eager"]["p50"]
    yield (
        f"{part['run']}, {part['size']}×{part['size']}, {part['test_images']} test images, "
        f"{part['threads']} threads. Policy: {part['goal']}, found again at each precision. "
        f"Final exit in PyTorch, f32: accuracy {100 * part['accuracy_final_pytorch_f32']:.1f} %, "
        f"{eager:.1f} ms."
    )
    rows = []
    precisions = list(part["precisions"].values())
    for fitted in precisions:
        exits = [str(fitted["leave_at"].get(str(number), 0)) for number in range(1, 5)]
        streams = [
            f"{(stream['per_second'] or stream['per_second_without'])['median']:.0f} / "
            f"{stream['per_second_without']['median']:.0f}"
            for stream in fitted["throughput"]
        ]
        rows.append(
            (
                fitted["precision"],
                f"{100 * fitted['accuracy_policy']:.1f} / {100 * fitted['accuracy_final']:.1f}",
                " / ".join(exits),
                f"{fitted['mean_ms']['median']:.2f}",
                *streams,
            )
        )
    batches = [f"images a second, batch {number}" for number in (1, 8, 32)]
    exits_at = "images that exit at 1 / 2 / 3 / final"
    header = ("computes in", "accuracy, %", exits_at, "mean ms", *batches)
    yield markdown_table(header, rows)
    yield (
        "Accuracy and images a second are given twice: under the policy / all images at the final "
        "exit."
    )
    gains = [f"{fitted['largest_gain']:.2f}× ({fitted['precision']})" for fitted in precisions]
    yield (
        "In full batches of 32, with the exits that the policy chooses, the stages alone allow a "
        f"gain of {' and '.join(gains)}. The gain is smaller than for single images: a batch reads "
        "the many weights of the deep stages once for all its images, so stage 1, which every "
        "image needs, takes a larger share of the whole."
    )


def _start(part: dict[str, Any]) -> Iterator[str]:
    yield "## Start"
    torch = "imports" if part["imports_torch"] else "does not import"
    first, imports = (target["median"] for target in part["targets"][:2])
    yield (
        f"`endoexit predict BUNDLE one.jpg` with {part['network']}, {part['bundle']}: "
        f"{first:.2f} s in a new process, files in the cache, of which {imports:.2f} s for "
        f"imports (with Python's clock of imports on). It {torch} torch."
    )
