"""Where exits go."""

import pytest
import torch
from torch import nn

from endoexit.errors import UsageError
from endoexit.models.cut import with_exits
from endoexit.models.efficientnet_lite import EfficientNetLite
from endoexit.models.placement import Place, choose_exits, groups_of, places, read_exits


@pytest.fixture(scope="module")
def lite() -> EfficientNetLite:
    with torch.device("meta"):
        return EfficientNetLite(0, 5)


def test_groups_are_counted_from_1(lite):
    assert groups_of(lite)[:2] == ["blocks.0", "blocks.1"]
    assert read_exits("3, 5,6", lite, 128) == ("blocks.2", "blocks.4", "blocks.5")


def test_names_are_taken_as_they_are(lite):
    assert read_exits("blocks.1,blocks.4.2", lite, 128) == ("blocks.1", "blocks.4.2")


@pytest.mark.parametrize("number", ["0", "7", "12"])
def test_a_group_that_does_not_exist_is_refused(lite, number):
    with pytest.raises(UsageError, match=rf"behind group {number}: .* can be behind 1 to 6"):
        read_exits(number, lite, 128)


def test_auto_gives_stages_of_about_a_quarter_each(lite):
    names = read_exits("auto", lite, 128)
    shares = {place.layer: place.share for place in places(lite, 128)}
    assert [shares[name] for name in names] == pytest.approx([0.25, 0.5, 0.75], abs=0.06)
    assert with_exits(lite, names, 5, size=128).num_stages == 4


def test_the_share_of_a_place_is_its_part_of_the_products():
    with torch.device("meta"):
        chain = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Conv2d(4, 9, 1), nn.AdaptiveAvgPool2d(1),
                              nn.Flatten(), nn.Linear(9, 2))  # fmt: skip
    by_layer = {place.layer: place for place in places(chain, 8)}
    total = 64 * (12 + 36) + 18
    assert by_layer["0"].share == pytest.approx(64 * 12 / total)
    assert (by_layer["0"].tensors, by_layer["0"].numbers) == (1, 4 * 64)


def test_the_narrower_of_two_near_places_is_taken():
    wide = Place("wide", 0.25, 1, 4000)
    narrow = Place("narrow", 0.29, 1, 1000)
    branching = Place("branching", 0.26, 2, 500)
    assert choose_exits([wide, branching, narrow]) == ("narrow",)


def test_a_network_without_a_sequence_asks_for_names():
    class Flat(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.last = nn.Conv2d(3, 4, 3), nn.Linear(4, 2)

    with pytest.raises(UsageError, match="name layers, such as those of first, last"):
        groups_of(Flat())
