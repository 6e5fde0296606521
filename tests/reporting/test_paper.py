"""The paper's measurements are those of its Table 3, and belong to its networks."""

from endoexit.reporting.paper import PAPER, is_papers


def test_the_papers_points_are_its_table():
    assert [point.name for point in PAPER] == ["exit 1", "exit 2", "exit 3", "final"]
    assert [round(point.time, 2) for point in PAPER] == [0.20, 0.34, 0.68, 1.03]
    assert [round(100 * point.gain, 1) for point in PAPER] == [-3.8, 1.5, 0.5, 1.5]


def test_the_papers_networks_are_those_of_its_family():
    assert is_papers("ee_hifuse_nano")
    assert is_papers("hifuse_small")
    assert not is_papers("a network of someone else")
