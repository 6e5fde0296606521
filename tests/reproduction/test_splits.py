"""The two splits, and the leak of the random one."""

from collections import Counter

import pytest

from endoexit.auditing.findings import audit_images
from endoexit.data.manifest import read_manifest
from endoexit.datasets.layouts import recognise
from endoexit.errors import DataError
from endoexit.files import read_json
from endoexit.reproduction.settings import SHARES
from endoexit.reproduction.splits import make_manifest, measure_leak, split_at_random
from kvasir_folders import kvasir_files, write

PER_CLASS = 20


@pytest.fixture(scope="module")
def recognised(tmp_path_factory):
    """Images of Kvasir, the first of each class three times."""
    files = kvasir_files(per_class=PER_CLASS)
    first = {path.split("/")[1]: path for path in reversed(files)}
    for path in first.values():
        for copy in range(2):
            files[path.replace(".jpg", f"-{copy}.jpg")] = files[path]
    return recognise(write(files, tmp_path_factory.mktemp("kvasir") / "d"))


@pytest.fixture(scope="module")
def hashes(recognised):
    return {image.file.path: image.hash for image in audit_images(recognised.listing).images}


def test_the_random_split_has_8_to_2_of_each_class_and_every_copy(recognised):
    rows = split_at_random(recognised.listing, SHARES)
    assert len(rows) == 8 * (PER_CLASS + 2)
    assert len({row.group for row in rows}) == len(rows)
    for label in recognised.classes:
        roles = Counter(row.role for row in rows if row.label == label)
        assert abs(roles["test"] - 0.2 * (PER_CLASS + 2)) <= 1
    assert rows == split_at_random(recognised.listing, SHARES)


def test_both_splits_leave_out_what_cannot_be_read(recognised):
    broken = recognised.listing.files[0].path
    assert broken not in {row.path for row in split_at_random(recognised.listing, SHARES, [broken])}


def test_the_split_by_groups_does_not_leak_and_the_random_one_does(recognised, hashes, tmp_path):
    leaks = {}
    for name in ("random", "groups"):
        path = tmp_path / f"{name}.csv"
        manifest = make_manifest(path, name, recognised, broken=[], near_bits=15)
        assert read_manifest(path).sha256 == manifest.sha256
        leaks[name] = measure_leak(manifest, hashes, 15)
        facts = read_json(tmp_path / f"{name}.csv.json")
        assert facts["licence"] == recognised.release.licence
        assert facts["source"] == recognised.release.citation
    assert leaks["groups"].near == 0
    assert leaks["random"].near > 0
    assert len(leaks["random"].paths) == leaks["random"].near <= leaks["random"].images


def test_a_leak_is_counted_by_hand(recognised, hashes, tmp_path):
    """Copies of one image in train and test; a near-copy inside test is none."""
    manifest = make_manifest(tmp_path / "r.csv", "random", recognised, broken=[], near_bits=15)
    role = {row.path: row.role for row in manifest.rows}
    copies = {}
    for path in role:
        copies.setdefault(hashes[path], []).append(path)
    wanted = {path for same in copies.values() for path in same if role[path] == "test"
              and any(role[copy] != "test" for copy in same)}  # fmt: skip
    assert set(measure_leak(manifest, hashes, 0).paths) == wanted


def test_too_few_images_of_a_class_are_refused(recognised, tmp_path):
    small = recognise(write(kvasir_files(per_class=3), tmp_path / "d"))
    with pytest.raises(DataError):
        split_at_random(small.listing, SHARES)
