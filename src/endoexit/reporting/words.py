"""Signs of print; names at a length that fits."""

import re

from endoexit.policy import ExitPolicy

_HYPHEN_AS_MINUS = re.compile(r"(?<![\w.])-(?= ?\d)")


def elided(name: str, length: int) -> str:
    """Return a name cut in its middle, so that both ends still tell it from its neighbours."""
    if len(name) <= length:
        return name
    tail = (length - 1) // 3
    return f"{name[: length - 1 - tail].rstrip()}…{name[len(name) - tail :].lstrip()}"


def by_the_clock(policy: ExitPolicy | None) -> list[str]:
    """Return a sentence on what the clock decides; none for a policy without a deadline."""
    if policy is None or policy.deadline_ms is None:
        return []
    beside = "" if policy.rule.kind == "fixed" else " as well"
    return [
        f"The clock decides{beside}: an image has the answer of the last exit that finishes within "
        f"{policy.deadline_ms:g} ms."
    ]


def in_print(text: str) -> str:
    """Return a goal or a figure with the signs of print: `accuracy ≥ 0.9`, `−2.1 [−4.0, +0.3]`."""
    return _HYPHEN_AS_MINUS.sub("−", text.replace("<=", "≤").replace(">=", "≥"))
