import numpy as np
import pytest

from endoexit.errors import PolicyError
from endoexit.policy.logits import LogitSet, require_disjoint

LOGITS = np.zeros((2, 3, 2), dtype=np.float32)
LABELS = np.array([0, 1, 1])


@pytest.mark.parametrize(
    ("logits", "labels", "groups", "message"),
    [
        (LOGITS[0], LABELS, None, r"shape \(3, 2\), but must be \(exits, images, classes\)"),
        (LOGITS[:, :0], LABELS[:0], None, "at least one image"),
        (LOGITS[..., :1], LABELS, None, "two classes"),
        (LOGITS, LABELS[:2], None, "3 images need as many labels"),
        (LOGITS, LABELS, np.array([1, 2]), "as many labels and groups"),
        (LOGITS, np.array([0, 1, 2]), None, "class indices 0 to 1"),
        (LOGITS, np.array([0, 1, -1]), None, "class indices 0 to 1"),
        (LOGITS, LABELS.astype(float), None, "class indices 0 to 1"),
        (LOGITS * np.nan, LABELS, None, "NaN or infinity"),
    ],
)
def test_refusals_name_the_cohort(logits, labels, groups, message):
    with pytest.raises(PolicyError, match=rf"^certify: .*{message}"):
        LogitSet("certify", logits, labels, groups)


def test_a_group_in_both_roles_is_refused(make_data):
    first = make_data(groups=np.arange(60), seed=1)
    second = make_data(groups=np.arange(57, 117), seed=2, name="certify")
    with pytest.raises(PolicyError, match=r"3 groups are in calibrate .*57.*endoexit split"):
        require_disjoint(first, second)
    require_disjoint(first, make_data(groups=np.arange(60, 120), seed=2))


def test_an_image_in_both_roles_is_refused_without_groups(make_data):
    first, second = make_data(seed=1), make_data(seed=2)
    require_disjoint(first, second)
    logits = second.logits.copy()
    logits[:, [4, 9]] = first.logits[:, [30, 31]]
    with pytest.raises(PolicyError, match=r"2 images of certify .*Drop duplicates"):
        require_disjoint(first, LogitSet("certify", logits, second.labels))


def test_two_networks_are_refused(make_data):
    with pytest.raises(PolicyError, match=r"calibrate has .* \(3, 3\), certify \(4, 3\)"):
        require_disjoint(make_data(exits=3), make_data(exits=4))


def test_an_image_without_a_group_is_refused():
    groups = np.array(["a", None], dtype=object)
    with pytest.raises(PolicyError, match=r"calibrate: an image has None for a group: name a"):
        LogitSet("calibrate", np.zeros((2, 2, 3)), np.zeros(2, dtype=int), groups)
