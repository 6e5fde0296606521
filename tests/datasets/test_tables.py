"""The authors' tables on images: folds and labels."""

import csv

import pytest

from endoexit.datasets.layouts import recognise
from endoexit.datasets.tables import find_folds, label_notes, read_folds
from endoexit.errors import DataError
from kvasir_folders import fold_file, hyperkvasir_files, kvasir_files, named, write


@pytest.fixture(scope="module")
def hyper(tmp_path_factory):
    files = hyperkvasir_files()
    folder = write(files, tmp_path_factory.mktemp("hyper") / "d")
    return files, recognise(folder)


def test_folds_are_read_under_the_authors_names_of_the_classes(hyper, tmp_path):
    files, recognised = hyper
    table = tmp_path / "2_fold_split.csv"
    table.write_bytes(fold_file(files))
    folds = read_folds(table, recognised)
    assert len(folds.folds) == 46
    assert set(folds.folds.values()) == {"0", "1"}
    assert folds.contradicting == ()
    folds.write(tmp_path / "folds.csv", recognised)
    rows = list(csv.DictReader((tmp_path / "folds.csv").read_text().splitlines()))
    assert {(row["path"], row["label"], row["fold"]) for row in rows} == {
        (file.path, file.label, folds.folds[file.path]) for file in recognised.listing.files
    }


def test_another_class_than_the_folder_is_found(hyper, tmp_path):
    files, recognised = hyper
    table = tmp_path / "folds.csv"
    table.write_bytes(fold_file(files).replace(b";polyp;0", b";normal-cecum;0"))
    (path,) = read_folds(table, recognised).contradicting
    assert "/polyps/" in path


def test_a_fold_file_of_another_release_is_refused(hyper, tmp_path):
    table = tmp_path / "folds.csv"
    table.write_bytes(fold_file({f"polyps/{named(n)}": b"" for n in range(5000, 5100)}))
    with pytest.raises(DataError, match=r"another release, or the images were renamed: .* 0 of 46"):
        read_folds(table, hyper[1])


def test_renamed_images_do_not_fit_the_folds(tmp_path):
    files = kvasir_files()
    table = tmp_path / "folds.csv"
    table.write_bytes(fold_file(files))
    renamed = {f"{path.rpartition('/')[0]}/{n}.jpg": b"" for n, path in enumerate(files)}
    recognised = recognise(write(renamed, tmp_path / "d"))
    with pytest.raises(DataError, match="images were renamed"):
        read_folds(table, recognised)


def test_two_folds_of_one_image_and_missing_columns_are_refused(hyper, tmp_path):
    files, recognised = hyper
    table = tmp_path / "folds.csv"
    twice = fold_file(files).splitlines()
    table.write_bytes(b"\n".join([*twice, twice[1].replace(b";0", b";1")]))
    with pytest.raises(DataError, match="two folds, '0' and '1'"):
        read_folds(table, recognised)
    table.write_text("file-name;class-name\na.jpg;polyp\n")
    with pytest.raises(DataError, match="no column that has the fold"):
        read_folds(table, recognised)


def test_the_csv_of_labels_is_compared_with_the_folders(tmp_path):
    files = hyperkvasir_files()
    recognised = recognise(write(files, tmp_path / "d"))
    assert list(label_notes(recognised)) == []
    name = "labeled-images/image-labels.csv"
    wrong = files[name].replace(b"ileum", b"cecum", 1)
    recognised = recognise(write({**files, name: wrong}, tmp_path / "d"))
    (note,) = label_notes(recognised)
    assert "another class than the folder for 1" in note
    short = b"\r\n".join(files[name].splitlines()[:-3])
    recognised = recognise(write({**files, name: short}, tmp_path / "d"))
    assert [note.endswith("no row for 3 of 46 images.") for note in label_notes(recognised)] == [
        True
    ]


def test_folds_are_found_near_the_images(tmp_path):
    folder = tmp_path / "data" / "hyperkvasir"
    folder.mkdir(parents=True)
    assert find_folds(folder) is None
    table = tmp_path / "data" / "official_splits" / "5_fold_split.csv"
    table.parent.mkdir()
    table.write_text("")
    assert find_folds(folder) == table
    (folder / "folds.csv").write_text("")
    assert find_folds(folder) == folder / "folds.csv"
