"""Records of figures: a value with its interval, scores of a class, scores of all answers."""

from endoexit.documents import Record


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
