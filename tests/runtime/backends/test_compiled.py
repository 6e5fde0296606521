"""Compiled stages on disk: what is kept, what is made anew, what is never trusted."""

import os
import shutil

import numpy as np
import pytest

from endoexit.runtime.backends import openvino as backends
from endoexit.runtime.backends.compiled import SUFFIX, CompiledStages
from endoexit.runtime.session import open_session


@pytest.fixture
def folder(bundles, tmp_path, monkeypatch):
    bundles.make("openvino", "f32")  # compiles for checks of its own
    monkeypatch.setenv("ENDOEXIT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "compiled"


def kept(folder):
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def test_what_is_written_is_read_and_what_is_damaged_is_not(tmp_path):
    stages = CompiledStages(tmp_path / "compiled")
    assert stages.read("a") is None
    stages.write("a", b"stage")
    assert stages.read("a") == b"stage"
    file = tmp_path / "compiled" / f"a{SUFFIX}"
    file.write_bytes(file.read_bytes()[:-1])
    assert stages.read("a") is None
    file.write_bytes(b"")
    assert stages.read("a") is None
    stages.write("a", b"again")
    assert stages.read("a") == b"again"


def test_what_was_not_used_for_longest_makes_room(tmp_path):
    stages = CompiledStages(tmp_path, most_bytes=3 * (32 + 10))
    for age, key in ((30, "a"), (20, "b"), (10, "c")):
        stages.write(key, bytes(10))
        file = tmp_path / f"{key}{SUFFIX}"
        os.utime(file, times=(file.stat().st_mtime - age,) * 2)
    assert stages.read("a") == bytes(10)  # it is used now
    stages.write("d", bytes(10))
    assert [stages.read(key) is not None for key in "abcd"] == [True, False, True, True]
    stages.write("e", bytes(1000))  # larger than all room
    assert stages.read("e") is None


def test_a_folder_that_others_can_write_to_is_not_used(tmp_path):
    stages = CompiledStages(tmp_path / "compiled")
    stages.write("a", b"stage")
    (tmp_path / "compiled").chmod(0o777)
    assert stages.read("a") is None
    stages.write("b", b"stage")
    assert not (tmp_path / "compiled" / f"b{SUFFIX}").exists()


def test_a_folder_that_cannot_be_made_keeps_nothing(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    stages = CompiledStages(tmp_path / "file" / "compiled")
    stages.write("a", b"stage")
    assert stages.read("a") is None


def logits(path):
    backend = open_session(path, threads=1).engine.backend
    side = open_session(path, threads=1).preprocessing.size
    images = np.random.default_rng(0).normal(size=(1, 3, side, side)).astype(np.float32)
    state, answers = backend.start(images), []
    for number in range(1, backend.num_stages + 1):
        state, stage = backend.run(number, state)
        answers.append(stage)
    return np.stack(answers)


def test_the_next_process_compiles_nothing_and_answers_alike(bundles, folder, monkeypatch):
    path = bundles.make("openvino", "f32").path
    first = logits(path)
    files = kept(folder)
    assert len(files) == len(first)

    def compile_model(*arguments):
        raise AssertionError("compiled again")

    monkeypatch.setattr(backends.ov.Core, "compile_model", compile_model)
    np.testing.assert_array_equal(logits(path), first)
    assert kept(folder) == files


@pytest.mark.parametrize("change", ["version", "processor", "threads"])
def test_another_machine_or_version_compiles_anew(bundles, folder, monkeypatch, change):
    path = bundles.make("openvino", "f32").path
    first = logits(path)
    files = kept(folder)
    if change == "version":
        monkeypatch.setattr(backends.ov, "get_version", lambda: "another")
    elif change == "processor":
        monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "another")
    else:
        open_session(path, threads=2).engine.warm_up()
        assert len(kept(folder)) == 2 * len(files)
        return
    np.testing.assert_array_equal(logits(path), first)
    assert len(kept(folder)) == 2 * len(files)


def test_a_file_that_the_library_refuses_is_made_anew(bundles, folder):
    path = bundles.make("openvino", "f32").path
    first = logits(path)
    stages = CompiledStages(folder)
    for name in kept(folder):
        stages.write(name.removesuffix(SUFFIX), b"of another build")
    np.testing.assert_array_equal(logits(path), first)
    assert all(len(content) > 1000 for content in kept(folder).values())


def test_a_changed_stage_is_refused_although_its_compiled_form_is_kept(bundles, folder, tmp_path):
    path = shutil.copytree(bundles.make("openvino", "f32").path, tmp_path / "bundle")
    session = open_session(path, threads=1)
    logits(path)
    (path / "stages" / "1.bin").write_bytes(b"changed")
    with pytest.raises(Exception, match=r"1\.bin was changed since the bundle was made"):
        session.engine.warm_up()
