"""The table of data sets."""

from pathlib import Path

import pytest

from endoexit.datasets.catalog import RELEASES, find_release, known_facts
from endoexit.datasets.layouts import names_of, plain
from endoexit.errors import UsageError
from endoexit.phantom.render import CLASSES

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "kvasir.md").read_text(encoding="utf-8")


def test_the_numbers_of_images_and_classes_fit():
    for release in RELEASES.values():
        each = release.images_per_class
        assert each is None or each * len(release.classes) == release.images
        assert release.max_members > release.images
        reported = release.archive.reported
        assert reported is None or reported.size < release.archive.max_bytes
    assert [len(release.classes) for release in RELEASES.values()] == [8, 8, 23]
    assert {fact.name for fact in RELEASES["kvasir-v1"].classes} == set(CLASSES)


@pytest.mark.parametrize("release", RELEASES.values(), ids=lambda release: release.name)
def test_no_name_means_two_classes(release):
    names = [plain(name) for fact in release.classes for name in (fact.name, *fact.aliases)]
    assert len(names) == len(set(names)) == len(names_of(release))


@pytest.mark.parametrize("release", RELEASES.values(), ids=lambda release: release.name)
def test_the_guide_has_the_table(release):
    for text in (release.name, release.archive.urls[0], release.archive.announced, release.page,
                 release.citation.rpartition("doi:")[2]):  # fmt: skip
        assert text in PAGE


def test_a_misspelt_name_gets_the_nearest():
    with pytest.raises(UsageError, match="did you mean 'hyperkvasir'"):
        find_release("hyper-kvasir")


def test_facts_travel_as_json():
    facts = known_facts(RELEASES["hyperkvasir"])
    assert facts["classes"]["polyps"] == {
        "kind": "finding", "tract": "lower", "also_called": ["polyp"],
    }  # fmt: skip
    assert "near-copies are in different folds" in facts["folds"]
    assert "no folds" in known_facts(RELEASES["kvasir-v1"])["folds"]
