"""What stands in the way of the targets of `cpu_runtime.py` that are not met, in figures."""

from collections.abc import Iterator
from typing import Any

PRODUCTS = "convolutions and linear layers"


def obstacles(found: dict[str, Any]) -> Iterator[str]:
    """Yield paragraphs, as far as what they are about was measured."""
    networks, profiles = found.get("networks", {}), found.get("profiles", {})
    if "ee_hifuse_small" in networks and "ee_hifuse_small" in profiles:
        yield _eager(networks["ee_hifuse_small"], profiles["ee_hifuse_small"])
    names = [name for name in networks if name in profiles]
    shares = [
        f"`{name}` in {variant.removeprefix('openvino-')} {_rest(profile['stages'][:1])} "
        f"against {_rest(profile['stages'][1:])}"
        for name in names
        for variant, profile in profiles[name].items()
    ]
    if shares:
        yield (
            "**Exit 1 over the final exit.** Stage 1 works on the largest maps with the fewest "
            "channels, so that more of its time goes into what is no product (attention's softmax, "
            "normalisation, gates, moving data), of which a multiply-add count knows nothing: "
            f"{'; '.join(shares)} in the later stages. The coarser the numbers of the products, "
            "the more the rest weighs. To it come normalising the image and deciding, once."
        )
    pairs = [
        f"`{name}` in {variant}: the cut {cut:.2f}, with the heads of the early exits {whole:.2f}"
        for name in names
        for variant in ("f32", "bf16")
        if (cut := _ratio(networks[name], variant, "all exits"))
        and (whole := _ratio(networks[name], variant, "one piece"))
    ]
    if pairs:
        yield (
            "**All stages in sequence over one piece.** Medians' ratios: "
            f"{'; '.join(pairs)}. States are handed on in place, in the layout and the precision "
            "that the next stage works in; what is left of the cut are calls, and lost fusions at "
            "the edges. The rest is what the exits themselves compute."
        )


def _eager(network: dict[str, Any], profiles: dict[str, Any]) -> str:
    times, limits = network["milliseconds"], network["limits"]["openvino-f32"]
    limit, eager = limits["limits"][-1]["ms"], times["eager"]["p50"]
    products = 100 - int(_rest(profiles["openvino-f32"]["stages"]).removesuffix(" %"))
    return (
        "**f32 over eager PyTorch.** Both take most of their time for the same products in the "
        f"same numbers: of OpenVINO's, {products} % goes into convolutions and linear layers. At "
        f"the rate of a large matrix product on this machine they would take {limit:.0f} ms, "
        f"{limit / eager:.2f} of eager PyTorch's {eager:.0f} ms, if nothing else took time and "
        "the last stage's weights, which are read once for few positions, were there already."
    )


def _rest(stages: list[dict[str, Any]]) -> str:
    """Return the share of these stages' time that is no product."""
    whole = sum(sum(stage["ms"].values()) for stage in stages)
    products = sum(stage["ms"][PRODUCTS] for stage in stages)
    return f"{100 * (1 - products / whole):.0f} %"


def _ratio(network: dict[str, Any], variant: str, other: str) -> float | None:
    times = network["milliseconds"]
    ours, theirs = (
        times.get(f"openvino-{variant} final exit"),
        times.get(f"openvino-{variant} {other}"),
    )
    return ours["p50"] / theirs["p50"] if ours and theirs else None
