"""`summary.json`: what a clip showed, what it cost, and what may be said of it."""

from typing import Literal

from endoexit.documents import Record
from endoexit.images.video.decoding import Facts
from endoexit.policy import ExitPolicy
from endoexit.policy.temporal.settings import TemporalSettings


class Guarantee(Record):
    """What remains of the promises of the exit policy.

    Attributes:
        state: "none" without a promise, "single images" where answers are those of the exit
            policy, "void" where they may differ.
        words: The same in words.
    """

    state: Literal["none", "single images", "void"]
    words: str


class Lag(Record):
    """Time from when a frame was due to its answer, in milliseconds.

    Attributes:
        p50: Median.
        p99: 99th percentile.
        most: Longest.
    """

    p50: float
    p99: float
    most: float


class ClipFacts(Facts):
    """The clip.

    Attributes:
        name: Name of the clip, as it was asked to be named.
        seconds: Length: time of the last frame, and one interval.
        fault: What ended the clip early or is missing in it; None for a whole one.
    """

    name: str
    seconds: float
    fault: str | None


class Counts(Record):
    """Frames by what became of them.

    Attributes:
        frames: Number of frames.
        computed: Number of frames that the network answered.
        reused: Number of frames with the answer of an earlier one.
        remembered: Number of computed frames that the memory of exits let exit.
        referred: Number of computed and reused frames that the exit policy refers to a human.
        blind: Number of blind frames by their kind.
        dropped: Number of frames that were dropped to keep up with the clock.
        cuts: Number of frames that show another view than the one before.
        exits: Number of computed frames by the number of their exit.
        stages: Number of stages that ran.
        stages_share: Number of stages that ran, of all that all frames would have taken to the
            last exit.
    """

    frames: int
    computed: int
    reused: int
    remembered: int
    referred: int
    blind: dict[str, int]
    dropped: int
    cuts: int
    exits: dict[str, int]
    stages: int
    stages_share: float


class Summary(Record):
    """What a clip showed.

    Attributes:
        format: Version of the document.
        source: Run or bundle.
        model: Name of the network.
        weights_sha256: Identity of the weights.
        precision: What the network computed in.
        threads: Number of threads of the network.
        stages: Number of stages M of the network.
        decided_by: What decides where images exit, in words.
        clip: The clip.
        live: Whether frames came by the clock.
        rules: Rules of the temporal policy.
        least_delay_s: Time from a true change to the earliest frame that can show it: k − 1 median
            intervals.
        guarantee: What remains of the promises of the exit policy.
        counts: Frames by what became of them.
        shown_s: Seconds for which each label was shown.
        segments: Number of segments.
        answer_changes_a_minute: Changes of the answered label, a minute of the clip.
        shown_changes_a_minute: Changes of the shown label, a minute of the clip.
        network_ms: Mean time of a computed frame in the network, in milliseconds.
        wall_s: Time that it all took, in seconds.
        frames_a_second: Frames of the clip in a second of that time.
        lag: Lag of the answers; None unless the clip is live.
    """

    format: Literal["endoexit-video-1"] = "endoexit-video-1"
    source: str
    model: str
    weights_sha256: str
    precision: str
    threads: int
    stages: int
    decided_by: str
    clip: ClipFacts
    live: bool
    rules: TemporalSettings
    least_delay_s: float
    guarantee: Guarantee
    counts: Counts
    shown_s: dict[str, float]
    segments: int
    answer_changes_a_minute: float
    shown_changes_a_minute: float
    network_ms: float | None
    wall_s: float
    frames_a_second: float
    lag: Lag | None


def guarantee_under(policy: ExitPolicy, settings: TemporalSettings) -> Guarantee:
    """Return what remains of the promises of an exit policy under a temporal policy.

    A promise is proven for images that go through the exit policy one by one. Reuse and the memory
    of exits answer otherwise, so it is void under them, unless it were certified on whole videos
    with these rules, which no promise of an exit policy is.
    """
    if not policy.promises:
        return Guarantee(state="none", words="The exit policy makes no promise.")
    if settings.changes_answers:
        return Guarantee(
            state="void",
            words="The promise of the exit policy is void here: it was proven on single images, "
            "and reuse or memory of exits answers otherwise. Only a certificate on whole videos "
            "with these rules could replace it.",
        )
    return Guarantee(
        state="single images",
        words="The promise of the exit policy is about the answer to single images like those of "
        "certify. It says nothing about the label that is shown over time.",
    )
