"""Records of figures: a value with its interval, scores of a class, scores of all answers."""

from endoexit.documents import Record, unless_none


class Interval(Record):
    """A 95 % interval.

    Attributes:
        low: Lower end.
        high: Upper end.
        method: How it was computed.
    """

    low: float
    high: float
    method: str


class Estimate(Record):
    """One figure of a cohort.

    Attributes:
        value: Figure itself; None where the cohort does not define it.
        interval: 95 % interval, where there is one.
        reason: Reason why the value or its interval is missing, or what it leaves out.
    """

    value: float | None
    interval: Interval | None = None
    reason: str | None = None


class ClassScores(Record):
    """One class against all others.

    Attributes:
        name: Name of the class.
        images: Number of images of this class in the cohort.
        sensitivity: Share of its images that get the right answer.
        specificity: Share of the other images that are not taken for it.
    """

    name: str
    images: int
    sensitivity: Estimate
    specificity: Estimate


class Scores(Record):
    """How good the answers to one cohort are.

    Attributes:
        accuracy: Share of right answers.
        macro_f1: Mean F1 of the classes that occur.
        mcc: Matthews correlation coefficient of all classes.
        ece: Expected calibration error of the largest probability, 15 bins of equal width.
        auroc: Area under the ROC curve, one class against the rest; mean over the classes that
            occur.
        confidence_auroc: Area under the ROC curve of the largest probability, right answers
            against wrong ones: how well it ranks the right ones first.
        classes: Scores of each class, in the order of the logits.
        confusion: Numbers of images (C, C); rows are the true class, columns the answer.
    """

    accuracy: Estimate
    macro_f1: Estimate
    mcc: Estimate
    ece: Estimate
    auroc: Estimate
    confidence_auroc: Estimate
    classes: tuple[ClassScores, ...]
    confusion: tuple[tuple[int, ...], ...]


class CoverageRow(Record):
    """What referral does on the images of one class, or on all.

    Attributes:
        name: Name of the class, or "all images".
        images: Number of images.
        unsure: Number of images referred because the final exit is unsure.
        unlike: Number of images referred because they look unlike those of calibrate.
        coverage: Share of the images that are answered.
        risk: Share of the answers that are wrong.
    """

    name: str
    images: int
    unsure: int
    unlike: int
    coverage: Estimate
    risk: Estimate


class RiskCurve(Record):
    """Risk among the surest images, for more and more of them.

    Attributes:
        name: Name of what answers: "policy" or "final".
        coverage: Shares of the images that are answered, rising to 1.
        risk: Share of wrong answers among them.
        area: Area under the curve over all coverages (AURC).
    """

    name: str
    coverage: tuple[float, ...]
    risk: tuple[float, ...]
    area: float


class Referrals(Record):
    """What referral does on a cohort.

    Attributes:
        rows: All images, then each class that occurs.
        curves: Curves of the policy and of the final exit.
    """

    rows: tuple[CoverageRow, ...]
    curves: tuple[RiskCurve, ...]


class Foreign(Record):
    """Images from elsewhere, which the network cannot know.

    Attributes:
        name: Name of their folder.
        images: Number of images that could be read.
        failed: Number of images that could not.
        unsure: Number of images referred because the final exit is unsure.
        unlike: Number of images referred because they look unlike those of calibrate.
        exit_shares: Share (M,) of the images that exit, or are referred, at each exit.
        macs: Mean multiply-adds of an image.
        auroc: Area (M,) under the ROC curve of the energy of each exit, foreign images against
            those of the cohort.
        distance_auroc: The same of the distance of features at exit 1; None for a policy that
            does not refer by it.
    """

    name: str
    images: int
    failed: int
    unsure: int
    unlike: int
    exit_shares: tuple[float, ...]
    macs: float
    auroc: tuple[float, ...]
    distance_auroc: float | None = unless_none
