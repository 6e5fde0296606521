import numpy as np
import pytest

from endoexit.errors import PolicyError, UsageError
from endoexit.policy.logits import LogitSet
from endoexit.policy.risks import Risk, loss_table, parse_risk, split_label

CLASSES = ("normal", "polyp", "snare")
#                    image:   0  1  2  3  4
ANSWERS = np.array([[1, 0, 1, 0, 2], [1, 1, 0, 0, 1]])
LABELS = np.array([1, 1, 0, 1, 2])
DATA = LogitSet("certify", np.eye(3)[ANSWERS], LABELS)


@pytest.mark.parametrize(
    ("text", "losses", "counted"),
    [
        # Final: right, right, right, wrong, wrong. Exit 1: right, wrong, wrong, wrong, right.
        ("disagreement<=0.1", [0, 1, 1, 0, 1], [1, 1, 1, 1, 1]),
        ("accuracy_loss<=0.1", [0, 1, 1, 0, -1], [1, 1, 1, 1, 1]),
        ("missed[polyp]<=0.1", [0, 1, 0, 0, 0], [1, 1, 0, 1, 0]),
        ("missed[snare]<=0.1", [0, 0, 0, 0, 0], [0, 0, 0, 0, 1]),
        ("accuracy_loss[snare]<=0.1", [0, 0, 0, 0, -1], [0, 0, 0, 0, 1]),
        ("disagreement[polyp]<=0.1", [0, 1, 0, 0, 0], [1, 1, 0, 1, 0]),
    ],
)
def test_losses_by_hand(text, losses, counted):
    table = loss_table(parse_risk(text), DATA, CLASSES)
    assert table.losses.tolist() == [losses, [0] * 5]
    assert table.counted.tolist() == [bool(value) for value in counted]
    assert table.num_images == sum(counted)
    at_exits = table.of(np.array([1, 2, 1, 1, 1]))
    expected = [loss for n, loss in enumerate(losses) if counted[n]]
    if counted[1]:
        expected[sum(counted[:1])] = 0
    assert at_exits.tolist() == expected


@pytest.mark.parametrize(
    ("text", "first", "final", "counted"),
    [
        ("error<=0.1", [0, 1, 1, 1, 0], [0, 0, 0, 1, 1], [1, 1, 1, 1, 1]),
        ("error[polyp]<=0.1", [0, 1, 0, 1, 0], [0, 0, 0, 1, 0], [1, 1, 0, 1, 0]),
        ("sensitivity[polyp]>=0.9", [0, 1, 0, 1, 0], [0, 0, 0, 1, 0], [1, 1, 0, 1, 0]),
        ("specificity[polyp]>=0.9", [0, 0, 1, 0, 0], [0, 0, 0, 0, 1], [0, 0, 1, 0, 1]),
    ],
)
def test_losses_against_the_labels_by_hand(text, first, final, counted):
    table = loss_table(parse_risk(text), DATA, CLASSES)
    assert table.losses.tolist() == [first, final]
    assert table.counted.tolist() == [bool(value) for value in counted]


def test_a_floor_is_a_risk_of_what_is_missing():
    risk = parse_risk("sensitivity[polyp] >= 0.95")
    assert risk == Risk(name="sensitivity", tolerance=0.05, of_class="polyp")
    assert (risk.words, str(risk)) == ("sensitivity[polyp] >= 0.95", "sensitivity[polyp]>=0.95")
    assert parse_risk(risk.option) == risk
    assert (risk.as_named(0.02), parse_risk("error<=0.1").as_named(0.02)) == (0.98, 0.02)
    assert (risk.binary, risk.absolute, parse_risk("missed[polyp]<=0.1").absolute) == (
        True, True, False,
    )  # fmt: skip


def test_specificity_needs_an_image_of_another_class():
    polyps = LogitSet("certify", DATA.logits[:, :2], DATA.labels[:2])
    with pytest.raises(PolicyError, match="no image of another class than 'polyp'"):
        loss_table(parse_risk("specificity[polyp]>=0.9"), polyps, CLASSES)
    with pytest.raises(PolicyError, match="no image of class 'snare'"):
        loss_table(parse_risk("sensitivity[snare]>=0.9"), polyps, CLASSES)


def test_accuracy_loss_is_the_accuracy_given_up(golden):
    data = golden("test")
    classes = tuple(map(str, range(data.num_classes)))
    table = loss_table(parse_risk("accuracy_loss<=0.1"), data, classes)
    accuracy = data.correct.mean(axis=1)
    for k in range(4):
        exits = np.full(data.num_images, k + 1)
        assert table.of(exits).mean() == pytest.approx(accuracy[-1] - accuracy[k])


def test_relabelling_classes_changes_nothing(golden):
    data = golden("val")
    order = np.random.default_rng(0).permutation(data.num_classes)
    names = tuple(f"class {c}" for c in range(data.num_classes))
    renamed = LogitSet("val", data.logits[..., order], np.argsort(order)[data.labels])
    for text in ("disagreement<=0.1", "accuracy_loss<=0.1", "missed[class 1]<=0.1"):
        first = loss_table(parse_risk(text), data, names)
        second = loss_table(parse_risk(text), renamed, tuple(names[c] for c in order))
        assert np.array_equal(first.losses, second.losses)
        assert np.array_equal(first.counted, second.counted)


def test_parsing():
    assert parse_risk("disagreement<=0.02") == Risk(name="disagreement", tolerance=0.02)
    assert parse_risk(" missed[ulcerative-colitis] <= 1e-2 ") == Risk(
        name="missed", tolerance=0.01, of_class="ulcerative-colitis"
    )
    assert str(parse_risk("missed[viêm loét [độ 2]]<=0.01")) == "missed[viêm loét [độ 2]]<=0.01"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("disagreement", r'cannot read the guarantee .*"disagreement<=0\.02"'),
        ("disagreement<0.02", "cannot read"),
        ("disagreement<=0.0.2", "cannot read"),
        ("disagrement<=0.02", "did you mean 'disagreement'"),
        ("disagreement<=0", "between 0 and 1, got 0"),
        ("sensitivity[polyp]>=1.5", "between 0 and 1, got 1.5"),
        ("sensitivity[polyp]<=0.95", r"has to be large: write 'sensitivity\[polyp\]>=0.95'"),
        ("error>=0.05", "has to be small: write 'error<=0.05'"),
        ("error>=0.95", "has to be small: write 'error<=0.05'"),
        ("sensitivity[polyp]<=0.05", r"has to be large: write 'sensitivity\[polyp\]>=0.95'"),
        ("specificity>=0.9", r"needs a class, such as .specificity\[polyp\]>=0\.95"),
        ("disagreement<=1.5", "between 0 and 1"),
        ("missed<=0.01", r"needs a class, such as .missed\[polyp\]<=0\.01"),
    ],
)
def test_parsing_refuses(text, message):
    with pytest.raises(UsageError, match=message):
        parse_risk(text)


@pytest.mark.parametrize("text", ["disagreement<=0.02", "missed[viêm loét [độ 2]]<=0.01"])
def test_labels_come_apart_again(text):
    risk = parse_risk(text)
    assert split_label(risk.label) == (risk.name, risk.of_class)


def test_a_risk_made_in_python_is_checked_as_a_typed_one():
    with pytest.raises(UsageError, match="not a valid Risk: name: Input should be 'disagree"):
        Risk(name="nonsense", tolerance=0.1)
    with pytest.raises(UsageError, match=r"between 0 and 1, got 2\.0: 0\.02 means 2 %"):
        Risk(name="disagreement", tolerance=0.1).replaced(tolerance=2.0)


def test_refusals_of_a_cohort():
    with pytest.raises(UsageError, match="unknown class 'polip': did you mean 'polyp'"):
        loss_table(parse_risk("missed[polip]<=0.01"), DATA, CLASSES)
    without = LogitSet("certify", DATA.logits[:, :4], LABELS[:4])
    with pytest.raises(PolicyError, match=r"certify has no image of class 'snare'.*endoexit split"):
        loss_table(parse_risk("missed[snare]<=0.01"), without, CLASSES)
    with pytest.raises(PolicyError, match="2 class names for logits of 3 classes"):
        loss_table(parse_risk("disagreement<=0.01"), DATA, CLASSES[:2])
