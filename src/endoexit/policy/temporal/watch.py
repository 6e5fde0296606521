"""`Watch`: the state of the temporal policy over one clip, frame by frame."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from endoexit.policy.policy import ExitPolicy
from endoexit.policy.temporal.evidence import Gathered
from endoexit.policy.temporal.exit_memory import Remembered
from endoexit.policy.temporal.settings import Blind, TemporalSettings
from endoexit.policy.temporal.sight import BlindKind, Sight, blindness, see


@dataclass(frozen=True, slots=True)
class Look:
    """What the policy says of a frame before the network has seen it.

    Attributes:
        blind: Why the frame is blind, and not to be computed; None where it is not.
        reuse: Whether the answer to the last computed frame is its answer.
        cut: Whether it shows another view than the frame before.
        change: Distance to the frame before, in grey levels; None for the first.
        distance: Distance to the last computed frame; None where there is none.
    """

    blind: BlindKind | None
    reuse: bool
    cut: bool
    change: float | None
    distance: float | None


class Watch:
    """Decides over the frames of one clip, in their order.

    For each frame: `look`; then, unless it is blind, the answer, computed with `lets_exit` or
    reused, goes to `answered`; `referred` is told that the exit policy gave none. What is shown
    depends on the frames alone, not on the time that anything takes. With all rules off nothing is
    ever reused, blind or let out early, and the label of each answer is shown.

    Args:
        settings: Rules of the temporal policy.
        policy: Exit policy of the network.

    Raises:
        UsageError: The exit policy does not go with a rule.
    """

    def __init__(self, settings: TemporalSettings, policy: ExitPolicy) -> None:
        self.settings = settings
        memory = settings.exit_memory
        self._memory = None if memory is None else Remembered(memory, policy)
        self._gathered = None if settings.evidence is None else Gathered(settings.evidence)
        self._before: Sight | None = None
        self._computed: Sight | None = None
        self._since_computed = 0
        self._now_s = self._seen_s = 0.0
        self._shown: int | None = None
        self._is_new_view = False

    def look(self, pixels: npt.NDArray[np.uint8], time_s: float) -> Look:
        """Look at the next frame.

        Args:
            pixels: Frame as the network takes it, uint8 (S, S, 3).
            time_s: Time of the frame in the clip, in seconds.
        """
        sight = see(pixels)
        change = None if self._before is None else sight.distance(self._before)
        distance = None if self._computed is None else sight.distance(self._computed)
        cut = change is not None and change >= self.settings.cut
        self._before, self._now_s = sight, time_s
        self._is_new_view |= cut  # until an answer comes: that frame may be blind or referred
        blind = None if self.settings.blind is None else blindness(sight, self.settings.blind)
        if blind is not None:
            self._since_computed += 1
            self._show_on()
            return Look(blind, False, cut, change, distance)
        reuse = self._is_like_computed(distance)
        if reuse:
            self._since_computed += 1
        else:
            self._computed, self._since_computed = sight, 0
        if cut and self._memory is not None:
            self._memory.forget()
        return Look(None, reuse, cut, change, distance)

    def lets_exit(
        self, exit_number: int, logits: npt.NDArray[Any], previous: npt.NDArray[Any]
    ) -> bool:
        """Tell whether an image may exit that the exit policy lets continue."""
        if self._memory is None or (self._gathered is not None and self._gathered.undecided):
            return False
        return self._memory.lets_exit(exit_number, logits, previous)

    def answered(
        self,
        look: Look,
        label: int,
        probabilities: npt.NDArray[np.float64],
        exit_number: int,
        *,
        helped: bool = False,
    ) -> int:
        """Take in the answer to a frame; return the label that is shown for it.

        Args:
            look: What `look` said of the frame.
            label: Label of the answer.
            probabilities: Its probabilities (C,).
            exit_number: Exit that answered.
            helped: Whether `lets_exit` let it exit.
        """
        if self._memory is not None and not look.reuse:
            self._memory.note(label, exit_number, helped=helped)
        gathered = self._gathered
        shown = label if gathered is None else gathered.add(probabilities, cut=self._is_new_view)
        self._is_new_view = False
        self._shown, self._seen_s = shown, self._now_s
        return shown

    def referred(self) -> None:
        """Learn that the frame has no answer: it is no evidence, as if it were blind."""
        if self._gathered is None:
            self._shown = None
        self._show_on()

    @property
    def shown(self) -> int | None:
        """Label that is shown now; None where nothing is."""
        return self._shown

    def _is_like_computed(self, distance: float | None) -> bool:
        rule = self.settings.reuse
        if rule is None or distance is None:
            return False
        return distance < rule.distance and self._since_computed + 1 < rule.frames

    def _show_on(self) -> None:
        """Keep what is shown, unless the last answer is too long ago."""
        if self._now_s - self._seen_s > (self.settings.blind or Blind()).hold_s:
            self._shown = None
            if self._gathered is not None:
                self._gathered.forget()
        if self._memory is not None:
            self._memory.forget()
