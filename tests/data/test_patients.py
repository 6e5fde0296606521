"""The key of patients: made once, for one user, and then always the same."""

from pathlib import Path

import pytest

from dicom_makers import content, dataset, picture
from endoexit.data.facts import look_into
from endoexit.data.folders import list_images
from endoexit.data.grouping import GroupRules, gather
from endoexit.data.patients import KEY_VARIABLE, key_file, patient_key
from endoexit.errors import DataError


def test_the_key_is_made_once_and_only_its_user_reads_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    key = patient_key()
    assert key == patient_key() == key_file().read_bytes()
    assert len(key) == 32
    assert key_file().stat().st_mode & 0o777 == 0o600
    assert list(key_file().parent.iterdir()) == [key_file()]


def test_a_key_that_is_named_must_be_there_and_long_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(KEY_VARIABLE, str(tmp_path / "none"))
    with pytest.raises(DataError, match="name a file of 16 random bytes"):
        patient_key()
    (tmp_path / "short").write_bytes(b"short")
    monkeypatch.setenv(KEY_VARIABLE, str(tmp_path / "short"))
    with pytest.raises(DataError, match="has 5 bytes, fewer than 16"):
        patient_key()


def test_images_of_a_patient_are_one_group_across_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = tmp_path / "key"
    key.write_bytes(b"k" * 32)
    monkeypatch.setenv(KEY_VARIABLE, str(key))
    for seed, (path, patient) in enumerate(
        {"a/1": "P1", "a/2": "P2", "b/3": "P1", "b/4": "P3"}.items()
    ):
        file = tmp_path / "images" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content(dataset(picture(seed=seed)[None], PatientID=patient)))
    listing = list_images(tmp_path / "images")
    images, broken = look_into(listing)
    assert broken == []
    assert [image.patient for image in images].count(images[0].patient) == 2
    pool = gather(listing, GroupRules(threshold=0))
    first, second, third, fourth = pool.groups
    assert first == third
    assert len({first, second, fourth}) == 3
    assert not any(patient in name for name in pool.groups for patient in ("P1", "P2", "P3"))
