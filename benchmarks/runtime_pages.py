"""The pages of `cpu_runtime.py`: the README's table of targets and docs/cpu-runtime.md."""

from collections.abc import Iterator
from typing import Any

from endoexit.bench.document import Spread
from endoexit.files import write_text
from runtime_networks import OVERHEAD_MS, verdict
from runtime_obstacles import obstacles
from tables import ROOT, markdown_table, replace_between

PAGE = ROOT / "docs" / "cpu-runtime.md"
EXITS = ("exit 1", "exit 2", "exit 3", "final exit", "one piece", "all exits")


def write_pages(found: dict[str, Any]) -> None:
    """Write the README's table, and the page with every time."""
    link = (
        "ONNX Runtime, every time, what stands in the way of what is not met, and how far each is "
        "from the machine's limit: [docs/cpu-runtime.md](docs/cpu-runtime.md)."
    )
    table = f"{_target_table(found, short=True)}\n\n{link} {_made(found)}"
    replace_between(ROOT / "README.md", "runtime", table)
    write_text(PAGE, "\n\n".join(_page(found)) + "\n")


def _target_table(found: dict[str, Any], *, short: bool = False) -> str:
    rows = [
        (
            f"{subject}{target['what']}",
            f"≥ {target['at_least']:g}" if "at_least" in target else f"≤ {target['at_most']:g}",
            f"{target['median']:.3g} [{target['low']:.3g}, {target['high']:.3g}]",
            target["met"],
        )
        for subject, target in _targets(found)
        if not (short and _is_detail(target["what"]))
    ]
    return markdown_table(("what", "target", "measured [quartiles]", "met"), rows)


def _is_detail(what: str) -> bool:
    """Tell what the README leaves to the page: ONNX Runtime, and overheads in the slower floats."""
    overhead = what.startswith("policy, gathering") and ", openvino-" in what
    return "onnx" in what or (overhead and not what.endswith("bf16"))


def _targets(found: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, network in found.get("networks", {}).items():
        yield from ((f"`{name}`: ", target) for target in network["targets"])
        for variant, overhead in network["overhead_ms"].items():
            what = f"policy, gathering and bookkeeping, ms an image, {variant}"
            met = verdict(Spread(**overhead), OVERHEAD_MS)
            yield f"`{name}`: ", {"what": what, "at_most": OVERHEAD_MS, **overhead, "met": met}
    for precision in found.get("trained", {}).get("precisions", {}).values():
        name, size = found["trained"]["network"], found["trained"]["size"]
        yield from (
            (f"trained `{name}`, {size}×{size}, ", target) for target in precision["targets"]
        )
    for part in ("preprocessing", "start"):
        yield from (("", target) for target in found.get(part, {}).get("targets", ()))


def _made(found: dict[str, Any]) -> str:
    parts = [*found.get("networks", {}).values()]
    parts += [found[name] for name in ("trained", "preprocessing", "start") if name in found]
    machines = {
        f"{part['machine']['processor']}, {part['machine']['cores']} cores" for part in parts
    }
    return f"Measured on {'; '.join(sorted(machines))}. Made by `python benchmarks/cpu_runtime.py`."


def _page(found: dict[str, Any]) -> Iterator[str]:
    yield "# Times on a CPU"
    yield (
        "What leaving early, exporting and quantising save in milliseconds. Everything that is "
        "compared took turns in one process, so ratios hold, though times are those of one "
        "machine. `endoexit bench` measures the same of a run or a bundle of your own."
    )
    yield _made(found)
    yield "## Targets"
    yield _target_table(found)
    yield (
        "“Unclear” says that the target lies between the quartiles of what was measured. "
        "Overheads with random weights are those of an image that no exit lets go: it is decided "
        "on four times. They grow with the network, because its weights drive the decision's code "
        "and data out of the processor's caches in between."
    )
    yield from obstacles(found)
    for name, network in found.get("networks", {}).items():
        yield from _network(name, network, found.get("profiles", {}).get(name, {}))
    if "trained" in found:
        yield from _trained(found["trained"])
    if "preprocessing" in found:
        yield from _preprocessing(found["preprocessing"])
    if "start" in found:
        yield from _start(found["start"])


def _network(name: str, found: dict[str, Any], profiles: dict[str, Any]) -> Iterator[str]:
    yield f"## `{name}`, random weights"
    yield (
        f"{found['size']}×{found['size']}, one image at a time, {found['threads']} threads: "
        f"milliseconds, medians of {found['rounds']} rounds. The cut network's final exit runs all "
        "stages in sequence; “one piece” is the uncut network with its final exit only, “all "
        "exits” the uncut network with all of them, which multiplies as much as the cut one."
    )
    times = found["milliseconds"]
    rows = []
    for variant in dict.fromkeys(key.split()[0] for key in times if not key.startswith("product")):
        if variant in times:  # eager PyTorch is one piece
            cells = ["–"] * 4 + [f"{times[variant]['p50']:.1f}", "–"]
        else:
            cells = [_ms(times.get(f"{variant} {column}")) for column in EXITS]
        rows.append((variant, *cells))
    yield markdown_table(("computes in", *EXITS), rows)
    rows = []
    for variant, product in found["limits"].items():
        rate = product["gmacs_per_second"]["median"]
        shares = [f"{100 * limit['reached']['median']:.0f} %" for limit in product["limits"]]
        rows.append((variant, f"{rate:.0f}", f"{product['limits'][-1]['ms']:.2f}", *shares))
    yield (
        "The limit: the multiply-adds of the final exit at the rate of a large matrix product of "
        "the same precision, and the share of that rate that each exit reaches."
    )
    header = ("computes in", "GMACs a second", "limit of the final exit, ms", *EXITS[:4])
    yield markdown_table(header, rows)
    if profiles:
        yield from _profiles(profiles)


def _profiles(profiles: dict[str, Any]) -> Iterator[str]:
    yield (
        "Where a stage's time goes, by OpenVINO's own counters (medians of each layer; counting "
        "costs a little time itself), and the layers that take longest."
    )
    rows = []
    for variant, profile in profiles.items():
        for number, stage in enumerate(profile["stages"], start=1):
            whole = sum(stage["ms"].values())
            shares = [f"{100 * ms / whole:.0f} %" for ms in stage["ms"].values()]
            largest = ", ".join(f"`{one['layer']}` {one['ms']:.2g}" for one in stage["largest"])
            head = f"{100 * stage['of_it_exit_head_ms'] / whole:.0f} %"
            rows.append((variant, str(number), f"{whole:.2f}", *shares, head, largest))
    kinds = next(iter(profiles.values()))["stages"][0]["ms"]
    header = ("computes in", "stage", "ms", *kinds, "of it exit head, at least", "longest, ms")
    yield markdown_table(header, rows)


def _ms(found: dict[str, float] | None) -> str:
    return "–" if found is None else f"{found['p50']:.1f}"


def _trained(found: dict[str, Any]) -> Iterator[str]:
    yield f"## A trained `{found['network']}` under its policy"
    eager = found["milliseconds"]["eager"]["p50"]
    yield (
        f"{found['run']}, {found['size']}×{found['size']}, {found['test_images']} test images, "
        f"{found['threads']} threads. Policy: {found['goal']}, found again at each precision. "
        f"Final exit in PyTorch, f32: accuracy {100 * found['accuracy_final_pytorch_f32']:.1f} %, "
        f"{eager:.1f} ms."
    )
    rows = []
    precisions = list(found["precisions"].values())
    for one in precisions:
        leave = [str(one["leave_at"].get(str(number), 0)) for number in range(1, 5)]
        streams = [
            f"{(stream['per_second'] or stream['per_second_without'])['median']:.0f} / "
            f"{stream['per_second_without']['median']:.0f}"
            for stream in one["throughput"]
        ]
        rows.append(
            (
                one["precision"],
                f"{100 * one['accuracy_policy']:.1f} / {100 * one['accuracy_final']:.1f}",
                " / ".join(leave),
                f"{one['mean_ms']['median']:.2f}",
                *streams,
            )
        )
    batches = [f"images a second, batch {number}" for number in (1, 8, 32)]
    header = ("computes in", "accuracy, %", "leave at 1 / 2 / 3 / final", "mean ms", *batches)
    yield markdown_table(header, rows)
    yield "Accuracy and images a second: under the policy / all at the final exit."
    gains = [f"{one['largest_gain']:.2f}× ({one['precision']})" for one in precisions]
    yield (
        f"In full batches of 32, with images leaving where they do, the stages alone allow a gain "
        f"of {' and '.join(gains)}: a batch shares the reading of the deep stages' many weights, "
        "so that stage 1, which all images need, is a larger share of the whole than for one image."
    )


def _preprocessing(found: dict[str, Any]) -> Iterator[str]:
    yield "## From JPEG to tensor"
    yield f"{found['image']}, to {found['to']}, on one core."
    differences = found["mean_grey_levels_from_full_size"]
    rows = [
        (name, f"{values['p50']:.1f}", f"{values['p95']:.1f}", f"{differences[name]:.2f}")
        for name, values in found["milliseconds"].items()
    ]
    yield markdown_table(("reader", "ms", "p95", "grey levels from full decoding, mean"), rows)


def _start(found: dict[str, Any]) -> Iterator[str]:
    yield "## Start"
    torch = "imports" if found["imports_torch"] else "does not import"
    first, imports = (target["median"] for target in found["targets"])
    yield (
        f"`endoexit predict BUNDLE one.jpg` with {found['network']}, {found['bundle']}: "
        f"{first:.2f} s in a new process, files in the cache, of which {imports:.2f} s for "
        f"imports (with Python's own clock of imports on). It {torch} torch."
    )
