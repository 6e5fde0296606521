"""Near-copies and the user's groups belong together; labels that contradict each other do not."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from endoexit.data.facts import ImageFacts
from endoexit.data.folders import ImageFile, list_images
from endoexit.data.frame import Frame
from endoexit.data.grouping import GroupRules, Pool, gather, group_names
from endoexit.data.matching import read_column
from endoexit.errors import DataError
from pictures import near_copy, picture, picture_folder, save


def gathered(folder: Path, **rules: object) -> Pool:
    return gather(list_images(folder), GroupRules(**rules))


def groups(pool: Pool) -> dict[str, str]:
    return {image.file.path: group for image, group in zip(pool.images, pool.groups, strict=True)}


def dropped(pool: Pool) -> list[str]:
    return [image.file.path for image in pool.mixed]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Ten unlike pictures of each of two classes: seeds 0 to 19."""
    return picture_folder(tmp_path / "data", {"a": 10, "b": 10})


def test_near_copies_share_a_group_up_to_the_threshold(folder: Path) -> None:
    save(near_copy(4), folder / "a" / "near.png")
    assert groups(gathered(folder))["a/near.png"] == groups(gathered(folder))["a/4.png"]
    assert len(set(gathered(folder, threshold=0).groups)) == 21


def test_groups_of_folders_are_joined_by_near_copies() -> None:
    """Images 0 and 2 are near-copies of two patients; image 3 has no patient."""
    images = [
        ImageFacts(ImageFile(f"a/{n}.jpg", "a", group=group), "0", 8, 8, b"", Frame(0.0, ""))
        for n, group in enumerate(("p1", "p1", "p2", "", "p3"))
    ]
    names = group_names(images, np.array([0, 1, 0, 2, 3]))
    assert names == ["p1+1", "p1+1", "p1+1", "near-copies 2", "p3"]
    plain = [ImageFacts(ImageFile("a/1.jpg", "a"), "0", 8, 8, b"", Frame(0.0, ""))] * 2
    assert group_names(plain, np.array([7, 7])) == ["7", "7"]


class TestContradictingLabels:
    """Near-copies and identical files with different labels."""

    @pytest.fixture
    def mixed(self, folder: Path) -> Path:
        save(near_copy(0, 1), folder / "a" / "near-0.png")
        save(near_copy(0, 2), folder / "b" / "near-0.png")  # two a against one b
        save(near_copy(1), folder / "b" / "near-1.png")  # one against one
        return folder

    def test_the_minority_is_dropped_and_both_of_a_tie(self, mixed: Path) -> None:
        pool = gathered(mixed)
        assert dropped(pool) == ["a/1.png", "b/near-0.png", "b/near-1.png"]
        assert {"a/0.png", "a/near-0.png"} <= set(groups(pool))

    def test_or_kept_together(self, mixed: Path) -> None:
        pool = gathered(mixed, mixed="keep")
        assert pool.mixed == ()
        assert groups(pool)["a/1.png"] == groups(pool)["b/near-1.png"]
        assert groups(pool)["a/0.png"] == groups(pool)["b/near-0.png"]

    def test_or_refused(self, mixed: Path) -> None:
        with pytest.raises(
            DataError, match=r"2 groups .* as a/0.png and b/near-0.png: correct .* --mixed keep"
        ):
            gathered(mixed, mixed="refuse")

    @pytest.mark.parametrize("mixed", ["drop", "keep"])
    def test_identical_files_with_different_labels_are_all_dropped(
        self, folder: Path, mixed: str
    ) -> None:
        shutil.copy(folder / "a" / "3.png", folder / "b" / "same.png")
        assert dropped(gathered(folder, mixed=mixed)) == ["a/3.png", "b/same.png"]


class TestUsersGroups:
    """Patients or videos from a column."""

    def column(self, folder: Path, patients: dict[str, str]) -> dict[str, object]:
        table = folder.parent / "patients.csv"
        lines = [f"{file.path},{patients.get(file.path, file.path)}"
                 for file in list_images(folder).files]  # fmt: skip
        table.write_text("path,patient\n" + "\n".join(lines) + "\n")
        return {"column": read_column(table, list_images(folder).files, ("patient",))}

    def test_a_patient_is_one_group_whatever_the_labels(self, folder: Path) -> None:
        patients = {f"{label}/{n}.png": f"p{n // 2}" for label in "ab" for n in range(10)}
        pool = gathered(folder, **self.column(folder, patients))
        assert groups(pool) == patients
        assert pool.mixed == ()

    def test_near_copies_of_two_patients_are_refused_or_joined(self, folder: Path) -> None:
        save(near_copy(0), folder / "a" / "near.png")
        patients = {"a/0.png": "p1", "a/near.png": "p2", "b/1.png": "p2", "a/1.png": "p1"}
        column = self.column(folder, patients)
        with pytest.raises(
            DataError,
            match=r"1 group of .* of 'patient', as a/0.png \(p1\) and a/near.png \(p2\): .*--merge",
        ):
            gathered(folder, **column)
        joined = groups(gathered(folder, merge=True, **column))
        assert {joined[path] for path in patients} == {"p1+1"}
        assert joined["a/2.png"] == "a/2.png"

    def test_identical_files_of_two_patients_are_refused(self, folder: Path) -> None:
        shutil.copy(folder / "a" / "3.png", folder / "a" / "copy.png")
        with pytest.raises(DataError, match=r"across several groups of 'patient'"):
            gathered(folder, threshold=0, **self.column(folder, {}))

    def test_images_without_a_group_are_refused(self, folder: Path) -> None:
        column = self.column(folder, {})
        save(picture(77), folder / "a" / "new.png")
        with pytest.raises(DataError, match=r"no 'patient' for 1 of 21 images, such as a/new"):
            gathered(folder, **column)
