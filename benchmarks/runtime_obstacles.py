"""Why targets of `cpu_runtime.py` are missed, in figures."""

from collections.abc import Iterator
from typing import Any

from tables import markdown_table

LARGEST = "ee_hifuse_small"
PRODUCTS = "convolutions and linear layers"


def obstacles(results: dict[str, Any]) -> Iterator[str]:
    """Yield paragraphs, as far as what they are about was measured."""
    networks, profiles = results.get("networks", {}), results.get("profiles", {})
    if LARGEST in networks and LARGEST in profiles:
        yield _eager(networks[LARGEST], profiles[LARGEST])
    names = [name for name in networks if name in profiles]
    shares = [
        (f"`{name}`", variant.removeprefix("openvino-"), _rest(profile["stages"][:1]),
         _rest(profile["stages"][1:]))
        for name in names
        for variant, profile in profiles[name].items()
    ]  # fmt: skip
    if shares:
        yield (
            "**Why exit 1 saves less time than its multiply-adds suggest.** Stage 1 works on the "
            "largest feature maps with the fewest channels. Much of its time therefore goes into "
            "operations that a multiply-add count ignores: the softmax of attention, "
            "normalisation, gates, moving data. The share grows as the arithmetic gets cheaper. "
            "Normalising the image and the first decision are added to it."
        )
        header = ("share of such operations", "computes in", "stage 1", "later stages")
        yield markdown_table(header, shares)
    pairs = [
        (f"`{name}`", variant, f"{cut:.2f}", f"{whole:.2f}")
        for name in names
        for variant in ("f32", "bf16")
        if (cut := _ratio(networks[name], variant, "all exits"))
        and (whole := _ratio(networks[name], variant, "one piece"))
    ]
    if pairs:
        yield (
            "**Why all stages in sequence take longer than one piece.** Each stage hands its state "
            "on in place, in the layout and the precision of the next stage. The cut still costs "
            "the calls, and fusions of operations across its edges. The rest is what the early "
            "exits compute."
        )
        header = ("ratio of medians", "computes in", "the cut alone", "with the early exits' heads")
        yield markdown_table(header, pairs)


def _eager(network: dict[str, Any], profiles: dict[str, Any]) -> str:
    times, limits = network["milliseconds"], network["limits"]["openvino-f32"]
    limit, eager = limits["limits"][-1]["ms"], times["eager"]["p50"]
    products = 100 - int(_rest(profiles["openvino-f32"]["stages"]).removesuffix(" %"))
    return (
        f"**Why `{LARGEST}` gains no more over eager PyTorch in f32.** Both spend most of their "
        f"time on the same multiply-adds: {products} % of OpenVINO's time goes into convolutions "
        "and linear layers. At the rate of a large matrix product on this machine these take "
        f"{limit:.0f} ms, which is {limit / eager:.2f} of eager PyTorch's {eager:.0f} ms. "
        "That limit ignores all other operations, and the reading of the last stage's many weights."
    )


def _rest(stages: list[dict[str, Any]]) -> str:
    """Return the share of these stages' time outside convolutions and linear layers."""
    whole = sum(sum(stage["ms"].values()) for stage in stages)
    products = sum(stage["ms"][PRODUCTS] for stage in stages)
    return f"{100 * (1 - products / whole):.0f} %"


def _ratio(network: dict[str, Any], variant: str, reference: str) -> float | None:
    times = network["milliseconds"]
    ours, theirs = (
        times.get(f"openvino-{variant} final exit"),
        times.get(f"openvino-{variant} {reference}"),
    )
    return ours["p50"] / theirs["p50"] if ours and theirs else None
