import numpy as np
import pytest

from endoexit.errors import PolicyError
from endoexit.policy.folds import FOLDS, fold_numbers, require_enough_to_fit, splits, subset


def test_groups_stay_together_and_parts_are_even(make_data):
    groups = np.array([f"patient {n // 3}" for n in range(60)])
    numbers = fold_numbers(make_data(images=60, groups=groups))
    for group in np.unique(groups):
        assert len(set(numbers[groups == group])) == 1
    assert np.bincount(numbers, minlength=FOLDS).tolist() == [12] * FOLDS


def test_each_image_is_looked_at_once_and_not_fitted_on_then(make_data):
    looked = np.zeros(57, dtype=int)
    for fitting, looking in splits(make_data(images=57)):
        assert not (fitting & looking).any()
        assert (fitting | looking).all()
        looked += looking
    assert looked.tolist() == [1] * 57


def test_a_part_has_the_images_of_its_mask(make_data):
    data = make_data(images=20, groups=np.arange(20))
    part = subset(data, np.arange(20) % 2 == 1)
    assert part.groups.tolist() == list(range(1, 20, 2))
    assert np.array_equal(part.logits, data.logits[:, 1::2])
    assert np.array_equal(part.labels, data.labels[1::2])


@pytest.mark.parametrize(
    ("images", "groups", "message"),
    [
        (
            49,
            None,
            r"has 49 images, too few to fit a gate: it takes at least 50 images\. .*max_pro",
        ),
        (60, 4, r"has 60 images in 4 groups, too few .* at least 50 images in 5 groups\."),
    ],
)
def test_too_few_images_are_refused_with_both_numbers(make_data, images, groups, message):
    ids = None if groups is None else np.arange(images) % groups
    with pytest.raises(PolicyError, match=message):
        require_enough_to_fit(make_data(images=images, groups=ids))
    require_enough_to_fit(make_data(images=50, groups=np.arange(50) % 5))
