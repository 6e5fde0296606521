"""A folder of a reproduction keeps what was asked for."""

import pytest

from endoexit.datasets.layouts import recognise
from endoexit.errors import RunError, UsageError
from endoexit.reproduction.settings import SHARES, Settings, both_networks, fingerprint
from endoexit.training.recipe import read_recipe
from endoexit.training.start import network_of
from kvasir_folders import kvasir_files, write


def settings(**changes):
    values = {
        "data": "d", "images_sha256": "0", "recipe": "paper", "seed": 0, "near_bits": 15,
        "splits": ("random", "groups"), "exclude": (),
        **both_networks("ee_hifuse_nano", read_recipe("paper")),
    }  # fmt: skip
    return Settings(**values | changes)


def test_the_shares_are_the_papers_8_to_2():
    assert SHARES["test"] == 0.2
    assert sum(SHARES.values()) == pytest.approx(1)


def test_the_same_settings_continue_and_others_are_refused(tmp_path):
    settings().keep(tmp_path)
    settings().keep(tmp_path)
    with pytest.raises(UsageError, match=r"other settings \(seed; seed was 0, now 1\)"):
        settings(seed=1).keep(tmp_path)
    changed = both_networks("ee_hifuse_nano", read_recipe("paper", ["epochs=3"]))
    with pytest.raises(UsageError, match="choose another --out"):
        settings(**changed).keep(tmp_path)


def test_damaged_settings_are_said(tmp_path):
    (tmp_path / "study.json").write_text("{}")
    with pytest.raises(RunError, match="choose another --out"):
        settings().keep(tmp_path)


def test_a_changed_folder_has_another_fingerprint(tmp_path):
    files = kvasir_files()
    before = fingerprint(recognise(write(files, tmp_path / "d")))
    assert fingerprint(recognise(write(files, tmp_path / "d"))) == before
    files[next(iter(files))] += b"x"
    assert fingerprint(recognise(write(files, tmp_path / "d"))) != before


def test_settings_take_the_exits_away_where_no_name_does():
    both = both_networks("efficientnet_lite0", read_recipe("fine-tune"), "pip:lite0")
    early, baseline = both["early"], both["baseline"]
    assert baseline.label == "efficientnet_lite0-without-exits"
    assert baseline.weights == early.weights == "pip:lite0"
    exits = [network_of(each.model, 5, each.training).num_exits for each in (early, baseline)]
    assert exits[0] > exits[1] == 1


def test_a_network_without_early_exits_is_refused():
    both = both_networks("ee_hifuse_small", read_recipe("paper"))
    assert [network.label for network in both.values()] == ["ee_hifuse_small", "hifuse_small"]
    with pytest.raises(UsageError, match=r"hifuse_nano has no early exits: .* ee_hifuse_nano"):
        both_networks("hifuse_nano", read_recipe("paper"))
