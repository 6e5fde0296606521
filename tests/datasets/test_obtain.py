"""From an address or an archive to images in a folder."""

import dataclasses
import json

import pytest

from endoexit.datasets.catalog import RELEASES
from endoexit.datasets.obtain import obtain, refuse_without_terms
from endoexit.errors import DataError, UsageError
from kvasir_folders import as_zip, fold_file, hyperkvasir_files, kvasir_files
from loopback import serving

V1, HYPER = RELEASES["kvasir-v1"], RELEASES["hyperkvasir"]


@pytest.fixture(autouse=True)
def state(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@pytest.mark.parametrize(
    ("release", "files"),
    [
        (V1, kvasir_files()),
        (RELEASES["kvasir-v2"], kvasir_files("kvasir-dataset-v2/")),
        (HYPER, hyperkvasir_files()),
    ],
    ids=["kvasir-v1", "kvasir-v2", "hyperkvasir"],
)
def test_an_archive_becomes_a_folder_with_its_facts(tmp_path, release, files):
    archive = tmp_path / "mine.zip"
    archive.write_bytes(as_zip({**files, "__MACOSX/._x": b""}))
    obtained = obtain(release, tmp_path / "out", file=archive)
    assert {p.relative_to(obtained.folder).as_posix() for p in obtained.folder.rglob("*")
            if p.is_file()} == set(files)  # fmt: skip
    document = json.loads(obtained.record.read_text())
    assert document["citation"] == release.citation
    assert sum(document["images_by_class"].values()) == sum(p.endswith("jpg") for p in files)
    assert set(document["facts"]["classes"]) == {fact.name for fact in release.classes}
    assert document["archive"]["first_seen_now"] is True
    assert obtain(release, tmp_path / "out", file=archive).already


def test_a_download_brings_the_folds_too(tmp_path):
    files = hyperkvasir_files()
    with serving({"/h.zip": as_zip(files), "/2_fold_split.csv": fold_file(files)}) as server:
        folds = tuple(
            dataclasses.replace(table, urls=(server.url(f"/{table.name}"),))
            for table in HYPER.folds
        )
        release = dataclasses.replace(HYPER, folds=folds)
        obtained = obtain(release, tmp_path / "out", urls=[server.url("/h.zip")])
    splits = tmp_path / "out" / "official_splits"
    assert (splits / "2_fold_split.csv").read_bytes() == fold_file(files)
    assert any(note.startswith("without 5_fold_split.csv") for note in obtained.notes)
    assert (tmp_path / "out" / HYPER.archive.name).is_file()


def test_the_archive_of_another_data_set_is_refused_and_taken_away(tmp_path):
    archive = tmp_path / "mine.zip"
    archive.write_bytes(as_zip(hyperkvasir_files()))
    with pytest.raises(DataError, match="holds HyperKvasir, labelled images, not Kvasir"):
        obtain(V1, tmp_path / "out", file=archive)
    archive.write_bytes(as_zip({"cats/1.jpg": b"", "dogs/1.jpg": b""}))
    with pytest.raises(DataError, match="another file than"):  # the first one was trusted
        obtain(V1, tmp_path / "out", file=archive)
    with pytest.raises(DataError, match="no folder of Kvasir"):
        obtain(RELEASES["kvasir-v2"], tmp_path / "out", file=archive)
    assert not [path for path in (tmp_path / "out").iterdir() if path.is_dir()]


def test_what_a_kill_left_is_cleared_or_continued(tmp_path):
    archive, out = tmp_path / "mine.zip", tmp_path / "out"
    archive.write_bytes(as_zip(kvasir_files()))
    left = out / ".kvasir-v1.abc.part" / "x"
    left.mkdir(parents=True)
    obtained = obtain(V1, out, file=archive)
    assert not left.exists()
    obtained.record.unlink()  # killed before the last file was written
    assert not obtain(V1, out, file=archive).already
    obtained.record.unlink()
    next(obtained.folder.rglob("*.jpg")).write_bytes(b"changed")
    with pytest.raises(DataError, match="is not what is in"):
        obtain(V1, out, file=archive)


def test_what_is_no_archive_is_called_so(tmp_path):
    with pytest.raises(DataError, match=r"does not exist; name the archive kvasir-dataset\.zip"):
        obtain(V1, tmp_path / "out", file=tmp_path / "none.zip")
    with pytest.raises(DataError, match="is a folder: it needs no unpacking"):
        obtain(V1, tmp_path / "out", file=tmp_path)


def test_terms_come_with_what_to_cite_and_to_type():
    with pytest.raises(UsageError, match="research and education") as refused:
        refuse_without_terms(V1, accepted=False, command="endoexit data kvasir-v1 --out d")
    assert V1.citation in str(refused.value)
    assert str(refused.value).endswith("run: endoexit data kvasir-v1 --out d --accept-terms")
    refuse_without_terms(V1, accepted=True, command="")
