"""A split keeps together what belongs together, and refuses or reports what does not."""

import functools
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from endoexit.data import grouping
from endoexit.data.facts import look_into
from endoexit.data.folders import list_images
from endoexit.data.grouping import GroupRules
from endoexit.data.manifest import write_manifest
from endoexit.data.roles import DEFAULT_ROLES, parse_roles
from endoexit.data.splits import Split, split_by_folders, split_by_groups
from endoexit.errors import DataError, UsageError
from pictures import near_copy, picture, picture_folder, save

SHARES = {"train": 0.5, "test": 0.5}


def split(folder: Path, *, seed: int = 0, **rules: object) -> Split:
    return split_by_groups(list_images(folder), SHARES, GroupRules(**rules), seed=seed)


def roles(made: Split) -> dict[str, str]:
    return {row.path: row.role for row in made.rows}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Ten unlike pictures of each of two classes: seeds 0 to 19."""
    return picture_folder(tmp_path / "data", {"a": 10, "b": 10})


def test_near_copies_share_a_group_and_a_role(folder: Path) -> None:
    for number in range(6):
        save(near_copy(number), folder / "a" / f"near-{number}.png")
    for seed in range(5):
        made = split(folder, seed=seed)
        rows = {row.path: row for row in made.rows}
        for number in range(6):
            original, copy = rows[f"a/{number}.png"], rows[f"a/near-{number}.png"]
            assert (original.group, original.role) == (copy.group, copy.role)
    assert sum(made.groups().values()) == 20


def test_identical_files_appear_once_and_the_first_stays(folder: Path) -> None:
    shutil.copy(folder / "a" / "3.png", folder / "a" / "3-copy.png")
    shutil.copy(folder / "a" / "3.png", folder / "a" / "0-copy.png")
    made = split(folder)
    assert made.copies == ("a/3-copy.png", "a/3.png")
    assert len(made.rows) == 20


def test_order_of_the_file_system_does_not_matter_and_the_seed_does(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = split(folder).rows
    assert split(folder, seed=1).rows != first
    genuine = Path.iterdir
    monkeypatch.setattr(Path, "iterdir", lambda self: sorted(genuine(self), reverse=True))
    assert split(folder).rows == first


def test_classes_are_halved(folder: Path) -> None:
    counts = Counter((row.label, row.role) for row in split(folder).rows)
    assert set(counts.values()) == {5}


def test_broken_files_are_left_out(folder: Path) -> None:
    (folder / "a" / "broken.jpg").write_text("text")
    made = split(folder)
    assert [broken.file.path for broken in made.broken] == ["a/broken.jpg"]
    assert len(made.rows) == 20


def test_groups_with_several_labels_are_counted_and_may_be_dropped(folder: Path) -> None:
    save(near_copy(1), folder / "b" / "near-1.png")
    kept = split(folder, mixed="keep")
    assert roles(kept)["a/1.png"] == roles(kept)["b/near-1.png"]
    assert (kept.mixed, kept.mixed_groups()) == ((), 1)
    dropped = split(folder)
    assert (dropped.mixed, dropped.mixed_groups()) == (("a/1.png", "b/near-1.png"), 0)


@pytest.mark.parametrize(
    ("counts", "shares", "message"),
    [
        ({"a": 5}, SHARES, r"has one class, 'a': a classifier needs two or more"),
        ({"a": 5, "b": 1}, SHARES, r"class 'b' .* has one usable image: add images, or leave"),
        ({"a": 5, "b": 4}, parse_roles(DEFAULT_ROLES),
         r"class 'b' form 4 groups, fewer than the 5 roles: ask for fewer roles"),
    ],
)  # fmt: skip
def test_too_little_to_split_is_refused(
    tmp_path: Path, counts: dict[str, int], shares: dict[str, float], message: str
) -> None:
    listing = list_images(picture_folder(tmp_path, counts))
    with pytest.raises(DataError, match=message):
        split_by_groups(listing, shares, GroupRules())


def test_a_class_of_broken_files_or_of_one_content_is_refused(folder: Path) -> None:
    for name in ("1.jpg", "2.jpg"):
        (folder / "c").mkdir(exist_ok=True)
        (folder / "c" / name).write_bytes(b"")
    with pytest.raises(DataError, match=r"class 'c' .* has no usable image"):
        split(folder)
    for name in ("1.jpg", "2.jpg"):
        save(picture(50), folder / "c" / name)
    with pytest.raises(DataError, match=r"class 'c' .* has one usable image"):
        split(folder)


class TestFromFolders:
    """Someone's own train, val and test."""

    @pytest.fixture
    def clean(self, tmp_path: Path) -> Path:
        picture_folder(tmp_path / "own" / "training", {"a": 6, "b": 6})  # seeds 0 to 11
        picture_folder(tmp_path / "own" / "valid", {"a": 2, "b": 2}, start=20)
        picture_folder(tmp_path / "own" / "test", {"a": 2, "b": 2}, start=30)
        return tmp_path / "own"

    @pytest.fixture
    def leaking(self, clean: Path) -> Path:
        save(picture(0), clean / "test" / "a" / "same.png")
        save(near_copy(1), clean / "test" / "a" / "near.png")
        save(near_copy(20), clean / "test" / "a" / "near-val.png")
        save(near_copy(2), clean / "training" / "a" / "near.png")  # within train: no leak
        return clean

    def by_folders(self, folder: Path, **options: object) -> Split:
        return split_by_folders(list_images(folder), GroupRules(), **options)

    def test_without_a_leak_folders_are_roles(self, clean: Path) -> None:
        made = self.by_folders(clean)
        assert made.leak is None
        assert Counter(row.role for row in made.rows) == {"train": 12, "val": 4, "test": 4}
        assert roles(made)["valid/a/0.png"] == "val"

    def test_a_leak_is_refused_with_its_size_and_the_ways_out(self, leaking: Path) -> None:
        with pytest.raises(DataError) as caught:
            self.by_folders(leaking)
        text = str(caught.value)
        assert "3 groups (6 images) in more than one folder" in text
        assert "2 of 7 images of test (28.6 %) with a near-copy (15 bits) in train, 1 of" in text
        assert "1 of 7 images of test (14.3 %) with a near-copy (15 bits) in val, 0 of" in text
        for remedy in ("--drop-leaks", "--accept-leak", "without --from-folders"):
            assert remedy in text

    def test_dropping_leaves_the_earlier_copies_out(self, leaking: Path, tmp_path: Path) -> None:
        made = self.by_folders(leaking, leaks="drop")
        assert made.leaking == ("training/a/0.png", "training/a/1.png", "valid/a/0.png")
        assert roles(made)["test/a/same.png"] == "test"
        write_manifest(tmp_path / "m.csv", made.rows, leaking)  # no group has two roles

    def test_accepting_keeps_all_and_cuts_the_groups(self, leaking: Path, tmp_path: Path) -> None:
        made = self.by_folders(leaking, leaks="accept")
        assert len(made.rows) == 24
        assert made.leak is not None
        groups = {row.path: row.group for row in made.rows}
        first, second = groups["training/a/0.png"], groups["test/a/same.png"]
        assert first.removesuffix("/train") == second.removesuffix("/test")
        assert groups["training/a/2.png"] == groups["training/a/near.png"]
        write_manifest(tmp_path / "m.csv", made.rows, leaking)

    def test_train_is_divided_and_the_rest_stays(self, leaking: Path) -> None:
        shares = {"train": 0.5, "calibrate": 0.5}
        made = self.by_folders(leaking, leaks="drop", train_shares=shares)
        counts = Counter(row.role for row in made.rows)
        assert counts["calibrate"] + counts["train"] == 11
        assert abs(counts["calibrate"] - counts["train"]) <= 1
        assert (counts["val"], counts["test"]) == (3, 7)
        assert roles(made)["training/a/2.png"] == roles(made)["training/a/near.png"]

    def test_what_does_not_fit_is_refused(self, clean: Path) -> None:
        with pytest.raises(UsageError, match=r"the role 'val' is a folder .* and in --roles too"):
            self.by_folders(clean, train_shares={"train": 0.5, "val": 0.5})
        with pytest.raises(DataError, match=r"has no two folders named after roles"):
            self.by_folders(clean / "test")
        shutil.rmtree(clean / "training")
        with pytest.raises(UsageError, match=r"divides the folder train, but there is none"):
            self.by_folders(clean, train_shares={"train": 1.0})
        save(picture(90), clean / "a" / "1.png")
        with pytest.raises(DataError, match=r"1 image outside of val, test, such as a/1"):
            self.by_folders(clean)


def deviation(made: Split, shares: dict[str, float]) -> float:
    """The largest difference, in images, between what a class has in a role and should have."""
    labels = Counter(row.label for row in made.rows)
    got = Counter((row.label, row.role) for row in made.rows)
    return max(
        abs(got[label, role] - share * count)
        for label, count in labels.items()
        for role, share in shares.items()
    )


@pytest.fixture(scope="module")
def look_once() -> Iterator[None]:
    """Decode each real folder once for all tests."""
    known = functools.cache(look_into)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(grouping, "look_into", lambda listing, _: known(listing))
        yield


@pytest.mark.parametrize(
    ("name", "threshold", "mixed", "rows", "groups"),
    [("colonoscopy", 15, "drop", 2135, 1803), ("colonoscopy", 15, "keep", 2150, 1804),
     ("otoscopy", 30, "drop", 811, 339)],
)  # fmt: skip
def test_real_folders_are_split_to_the_image(
    real_data: Path,
    look_once: None,
    *,
    name: str,
    threshold: int,
    mixed: str,
    rows: int,
    groups: int,
) -> None:
    shares = parse_roles(DEFAULT_ROLES)
    listing = list_images(real_data / name)
    made = split_by_groups(listing, shares, GroupRules(threshold, mixed=mixed))
    assert len(made.rows) == rows
    assert sum(made.groups().values()) == groups
    assert deviation(made, shares) <= 1.5
    by_group = {(row.group, row.role) for row in made.rows}
    assert len(by_group) == groups


def test_the_published_otoscopy_split_leaks_by_half_of_its_test(
    real_data: Path, look_once: None
) -> None:
    listing = list_images(real_data / "otoscopy")
    made = split_by_folders(listing, GroupRules(30), leaks="accept")
    assert made.leak is not None
    assert str(made.leak).startswith("70 groups (373 images) in more than one folder; 86 of ")
    assert len(made.rows) == 876
    crossing = made.leak.crossing
    assert np.mean([crossing.within("test", "train", bits) for bits in (0, 30)]) == (77 + 86) / 2


def test_patients_of_folders_keep_to_one_role(tmp_path: Path) -> None:
    for place, label in enumerate(("polyps", "cecum")):
        for patient in range(6):
            seeds = range(100 * place + 10 * patient, 100 * place + 10 * patient + 2)
            for seed in seeds:
                save(picture(seed), tmp_path / label / f"patient{patient}" / f"{seed}.png")
    made = split_by_groups(list_images(tmp_path), {"train": 0.5, "test": 0.5}, GroupRules())
    roles: dict[str, set[str]] = {}
    for row in made.rows:
        roles.setdefault(row.path.split("/")[1], set()).add(row.role)
        assert row.label in ("polyps", "cecum")
    assert len(roles) == 6
    assert all(len(roles_of_patient) == 1 for roles_of_patient in roles.values())
