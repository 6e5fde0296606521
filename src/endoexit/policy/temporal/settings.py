"""Which rules of the temporal policy are on, with their numbers."""

from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import Field

from endoexit.documents import Worded
from endoexit.errors import UsageError, unknown_name
from endoexit.files import read_json

RuleName = Literal["evidence", "blind", "reuse", "exit_memory"]
RULES: tuple[RuleName, ...] = get_args(RuleName)

_Count = Annotated[int, Field(ge=1)]
_Share = Annotated[float, Field(ge=0.0, le=1.0)]
_Levels = Annotated[float, Field(ge=0.0, le=255.0)]


class _Asked(Worded):
    fault = UsageError
    remedy = "Correct the file of temporal rules."


class Evidence(_Asked):
    """Evidence over frames, with hysteresis: the shown label changes when another one is ahead.

    Each answer adds the logarithms of its probabilities. A change needs a lead on consecutive
    frames, so a single frame changes nothing, and two changes are at least `frames` answers apart.

    Attributes:
        keep: Share of the evidence that the next answer keeps.
        lead: Distance in evidence by which another label must be ahead.
        frames: Number of consecutive answers on which it must be.
    """

    keep: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.5
    lead: Annotated[float, Field(ge=0.0)] = 0.2
    frames: _Count = 3


class Blind(_Asked):
    """Frames that show nothing to decide on: they are not computed and count as no evidence.

    Attributes:
        dark: Mean brightness, in grey levels, below which a frame is dark.
        body: Share of pixels in the colours of tissue below which the scope is out of the body.
            Dyes and narrow-band light have other colours: set it to 0 for them.
        blur: Detail, see `Sight.detail`, below which a frame is blurred.
        hold_s: Seconds that the shown label outlasts the last frame that was not blind.
    """

    dark: _Levels = 20.0
    body: _Share = 0.15
    blur: Annotated[float, Field(ge=0.0)] = 5.0
    hold_s: Annotated[float, Field(ge=0.0)] = 1.0


class Reuse(_Asked):
    """Frames like the last computed one get its answer.

    Attributes:
        distance: Distance, in grey levels, below which a frame is like the last computed one.
        frames: Number of frames after which one is computed in any case.
    """

    distance: _Levels = 0.6
    frames: _Count = 25


class ExitMemory(_Asked):
    """Within one view an image may exit where the one before did, with a lower threshold.

    It may exit at any exit from one before the last one on, if the label stays the same.

    Attributes:
        slack: Amount by which the thresholds of the exit policy are lowered.
        frames: Number of frames after which one follows the exit policy alone.
    """

    slack: _Share = 0.1
    frames: _Count = 25


class TemporalSettings(_Asked):
    """The rules of the temporal policy; a rule that is None is off.

    Attributes:
        evidence: Evidence over frames with hysteresis.
        blind: Blind frames are told apart.
        reuse: Reuse of answers.
        exit_memory: Memory of exits.
        cut: Distance, in grey levels, to the frame before from which a frame shows another view.
            Evidence and memory begin anew there.
    """

    evidence: Evidence | None = Evidence()
    blind: Blind | None = Blind()
    reuse: Reuse | None = None
    exit_memory: ExitMemory | None = None
    cut: _Levels = 15.0

    @property
    def changes_answers(self) -> bool:
        """Whether answers may differ from those of the exit policy on single images."""
        return self.reuse is not None or self.exit_memory is not None

    def switched(self, switches: dict[str, bool]) -> "TemporalSettings":
        """Return the settings with rules switched on (numbers kept, else defaults) or off.

        Args:
            switches: Whether a rule is on, by its name; rules without a switch stay as they are.

        Raises:
            UsageError: There is no such rule.
        """
        changes: dict[str, Any] = {}
        for name, on in switches.items():
            if name not in RULES:
                raise unknown_name("temporal rule", name, RULES)
            if not on:
                changes[name] = None
            elif getattr(self, name) is None:
                changes[name] = _DEFAULTS[name]
        return self.replaced(**changes)


_DEFAULTS: dict[str, Evidence | Blind | Reuse | ExitMemory] = {
    "evidence": Evidence(),
    "blind": Blind(),
    "reuse": Reuse(),
    "exit_memory": ExitMemory(),
}
ALL_OFF = TemporalSettings(evidence=None, blind=None)


def read_settings(path: Path) -> TemporalSettings:
    """Read temporal rules from JSON.

    Raises:
        UsageError: The file cannot be read, or does not fit.
    """
    fields = read_json(path, UsageError)
    if not isinstance(fields, dict):
        raise UsageError(f"{path} is not an object of temporal rules: see the guide's page.")
    try:
        return TemporalSettings.model_validate(fields)
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from error
