"""An audit finds what was put there, and the figures that are known of the real folders."""

import csv
from collections import Counter
from pathlib import Path

import pytest

from endoexit.auditing import findings as audit_module
from endoexit.auditing.findings import Audit, audit_images
from endoexit.data.facts import hashes
from endoexit.data.folders import list_images
from endoexit.errors import DataError, UsageError
from pictures import group_near_copies, near_copy, save


def audited(folder: Path, threshold: int = 15, folds: Path | None = None) -> Audit:
    return audit_images(list_images(folder), threshold=threshold, folds=folds)


def test_copies_leaks_and_contradicting_labels(folder: Path) -> None:
    findings = audited(folder)
    paths = [image.file.path for image in findings.images]
    assert [[paths[i] for i in same] for same in findings.copies] == [
        ["test/a/other-label.png", "train/b/1.png"],
        ["test/a/same.png", "train/a/0.png"],
        ["train/a/1.png", "train/a/same-again.png"],
    ]
    assert findings.distinct == len(paths) - 3
    assert findings.copies_across_parts() == 2
    assert findings.copies_across_labels() == 1
    assert findings.mixed_labels == {("a", "b"): 1}
    assert int(findings.near.sum()) == 8
    assert len(findings.mixed_groups()) == 1
    assert findings.parts is not None
    assert findings.parts.within("test", "train", 0) == 2
    assert findings.parts.within("test", "train", 15) == 3
    assert findings.groups.max() + 1 == len(paths) - 4


def test_one_folder_alone_has_no_parts_and_no_folds(folder: Path) -> None:
    findings = audited(folder / "train")
    assert findings.parts is None
    assert findings.folds is None


def test_folds_are_matched_and_their_leak_is_counted(folder: Path, tmp_path: Path) -> None:
    table = tmp_path / "folds.csv"
    rows = [("train/a/0.png", 0), ("same.png", 1), ("train/a/2.png", 0), ("near.png", 0)]
    lines = "".join(f"{name};a;{fold}\n" for name, fold in rows)
    table.write_text("file;class;fold\n" + lines)
    findings = audited(folder, folds=table)
    assert findings.folds is not None
    assert findings.folds.crossing.names == ("0", "1")
    assert findings.folds.share(15) == 0.5  # the pair within fold 0 is no leak
    assert findings.folds.classes() == ["a"]
    assert findings.folds.without() == len(findings.images) - 4


def test_broken_files_are_told_and_the_rest_is_audited(folder: Path) -> None:
    (folder / "train" / "a" / "broken.jpg").write_text("text")
    findings = audited(folder)
    assert [broken.file.path for broken in findings.broken] == ["train/a/broken.jpg"]
    assert len(findings.images) == 18


def test_a_folder_without_one_readable_image_is_refused(tmp_path: Path) -> None:
    for label in "ab":
        (tmp_path / label).mkdir()
        (tmp_path / label / "1.jpg").write_bytes(b"")
    with pytest.raises(DataError, match=r"none of 2 files .* a/1.jpg, is empty"):
        audited(tmp_path)
    with pytest.raises(UsageError, match="--near-bits 99"):
        audited(tmp_path, threshold=99)


def test_only_the_closest_contradicting_pairs_are_kept(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for rows in (6, 1, 3):
        save(near_copy(6, rows), folder / "train" / "a" / f"near-6-{rows}.png")
    every = audited(folder, threshold=40).mixed_pairs.bits.tolist()
    assert len(every) == 4
    assert every == sorted(every)
    monkeypatch.setattr(audit_module, "LISTED_PAIRS", 2)
    findings = audited(folder, threshold=40)
    assert findings.mixed_pairs.bits.tolist() == every[:2]
    assert findings.mixed_labels == {("a", "b"): 4}


def test_levels_are_thirds_of_the_threshold(folder: Path) -> None:
    for threshold, levels in (
        (15, (0, 5, 10, 15)),
        (30, (0, 10, 20, 30)),
        (0, (0,)),
        (2, (0, 1, 2)),
    ):
        assert audited(folder, threshold).levels == levels


def test_nothing_in_the_folder_is_changed(folder: Path) -> None:
    def state() -> list[tuple[str, int, bytes]]:
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        return [(str(path), path.stat().st_mtime_ns, path.read_bytes()) for path in files]

    before = state()
    audited(folder)
    assert state() == before


@pytest.fixture(scope="module")
def colonoscopy(real_data: Path) -> Audit:
    folder = real_data / "colonoscopy"
    return audited(folder, folds=folder / "folds.csv")


@pytest.fixture(scope="module")
def otoscopy(real_data: Path) -> Audit:
    return audited(real_data / "otoscopy", threshold=30)


def test_colonoscopy_folder(colonoscopy: Audit) -> None:
    counts = Counter(image.file.label for image in colonoscopy.images)
    assert counts == {"polyp": 1000, "normal-cecum": 400, "bbps-2-3": 319, "bbps-0-1": 300,
                      "impacted-stool": 131}  # fmt: skip
    assert colonoscopy.listing.beside_images == ("masks",)
    assert colonoscopy.broken == ()
    assert colonoscopy.copies == ()
    sizes = {(image.width, image.height) for image in colonoscopy.images}
    assert sizes == {(304, 256)}
    assert colonoscopy.shortcuts == ()


def test_colonoscopy_official_folds_leak(colonoscopy: Audit) -> None:
    folds = colonoscopy.folds
    assert folds is not None
    assert colonoscopy.levels == (0, 5, 10, 15)
    whole = [round(100 * folds.share(bits), 1) for bits in (5, 10, 15)]
    stool = [round(100 * folds.share(bits, "impacted-stool")) for bits in (5, 10, 15)]
    assert whole == [6.7, 14.5, 20.7]
    assert stool == [36, 61, 84]
    assert folds.without() == 0
    assert folds.table.rows_without_image == 0
    assert folds.table.other_label == ()


def test_colonoscopy_groups_and_label_noise(colonoscopy: Audit) -> None:
    assert sum(colonoscopy.mixed_labels.values()) == 26
    assert len(colonoscopy.mixed_pairs) == 26
    assert len(colonoscopy.members()) == 1804
    assert len(colonoscopy.mixed_groups()) == 9
    wider = group_near_copies(hashes(colonoscopy.images), 20)
    labels = [image.file.label for image in colonoscopy.images]
    by_group = Counter(group for group, _ in set(zip(wider.tolist(), labels, strict=True)))
    assert len(by_group) == 1696
    assert sum(count > 1 for count in by_group.values()) == 13


def test_colonoscopy_groups_are_those_of_the_prototypes(
    colonoscopy: Audit, prototype_splits: Path
) -> None:
    with (prototype_splits / "colonoscopy_prototype_split.csv").open() as stream:
        groups = {row["path"]: row["group"] for row in csv.DictReader(stream)}
    ours = {
        image.file.path: int(number)
        for image, number in zip(colonoscopy.images, colonoscopy.groups, strict=True)
    }
    pairs = {(ours[path], groups[path]) for path in groups}
    assert len(pairs) == len(set(ours.values())) == len(set(groups.values()))


def test_otoscopy_published_split_leaks(otoscopy: Audit) -> None:
    parts = otoscopy.parts
    assert parts is not None
    assert len(otoscopy.images) == 880
    assert otoscopy.distinct == 811
    assert otoscopy.copies_across_parts() == 65
    assert otoscopy.copies_across_labels() == 0
    assert parts.size("test") == 160
    assert [parts.within("test", "train", bits) for bits in (0, 10, 30)] == [77, 82, 86]
    assert len(otoscopy.members()) == 339
    assert otoscopy.mixed_groups() == []
    assert otoscopy.shortcuts == ()


def test_an_inset_in_one_real_class_is_flagged(
    otoscopy: Audit, real_data: Path, tmp_path: Path
) -> None:
    """Paint the green inset onto some images of one class: the audit must call it a shortcut."""
    from PIL import Image, ImageDraw

    chosen = [image.file for image in otoscopy.images if image.file.part == "test"]
    for number, file in enumerate(chosen):
        with Image.open(real_data / "otoscopy" / file.path) as image:
            painted = image.convert("RGB")
        if file.label == "Normal" and number % 4 == 0:
            box = (0, painted.height - 110, 120, painted.height)
            ImageDraw.Draw(painted).rectangle(box, fill=(30, 130, 80))
        save(painted, tmp_path / file.label / Path(file.path).name)
    (shortcut,) = audited(tmp_path).shortcuts
    assert (shortcut.feature, shortcut.label) == ("position inset", "Normal")
    assert shortcut.text.startswith(
        "position inset: 25% of Normal have one, and no other class does"
    )
