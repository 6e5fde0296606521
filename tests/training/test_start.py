"""The folder of a training: what may start, and what a start that was killed leaves behind."""

import pytest
import torch

import tiny_project
from endoexit.artifacts.run import Run, open_run
from endoexit.data.manifest import read_manifest, write_manifest
from endoexit.errors import EndoexitError, RunError, UsageError
from endoexit.training import start
from endoexit.training.recipe import read_recipe
from endoexit.training.start import create_run, resolve_precision


def begin(manifest, path) -> Run:
    recipe = read_recipe(str(tiny_project.write_recipe(manifest.parent)))
    return create_run(path, manifest, "ee_hifuse_nano", recipe, seed=3, root=None)


def test_the_folder_says_how_it_was_made(tiny_manifest, tmp_path):
    config = open_run(begin(tiny_manifest, tmp_path / "run").path).config
    assert config.classes == ("blue", "green", "red")
    assert config.seed == 3
    assert config.recipe["epochs"] == 2
    assert config.preprocessing.size == 64
    assert {"torch", "lightning", "endoexit"} <= set(config.versions)
    assert config.machine["processor"]
    assert config.manifest_sha256 == open_run(tmp_path / "run").manifest().sha256
    assert open_run(tmp_path / "run").manifest().rows == read_manifest(tiny_manifest).rows


def test_a_start_that_was_killed_is_started_again(tiny_manifest, tmp_path, monkeypatch):
    def killed(path, config):
        (path / ".config.json.abc.part").touch()
        raise SystemExit

    monkeypatch.setattr(start, "write_config", killed)
    with pytest.raises(SystemExit):
        begin(tiny_manifest, tmp_path / "run")
    monkeypatch.undo()
    assert (tmp_path / "run" / "manifest.csv").is_file()
    with pytest.raises(RunError, match=r"has no config.json.*is started again, not resumed"):
        open_run(tmp_path / "run")
    assert begin(tiny_manifest, tmp_path / "run").manifest().has("train")


def test_a_folder_of_something_else_and_a_file_are_refused(tiny_manifest, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    for path in (tmp_path, tmp_path / "notes.txt"):
        with pytest.raises(UsageError, match="exists already and is not a run: choose another"):
            begin(tiny_manifest, path)
    assert (tmp_path / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize(
    ("out", "why"),
    [("notes/x/run", "notes is a file, not a folder"), ("/proc/x/run", "can be made in /proc")],
)
def test_a_folder_that_cannot_be_made_is_refused(tiny_manifest, tmp_path, out, why):
    (tmp_path / "notes").write_text("mine")
    with pytest.raises(EndoexitError, match=f"cannot write .*{out}: .*{why}.* choose another"):
        begin(tiny_manifest, tmp_path / out)


def with_rows(manifest, path, keep) -> None:
    known = read_manifest(manifest)
    write_manifest(path, [row for row in known.rows if keep(row)], known.root)


@pytest.mark.parametrize(
    ("keep", "message"),
    [
        (lambda row: row.label == "red", "has one class only, 'red': a classifier needs at least"),
        (
            lambda row: row.label != "red" or row.role != "train",
            "no training image of class 'red'; give the train role a larger share",
        ),
    ],
)
def test_images_that_cannot_be_trained_on_are_refused(tiny_manifest, tmp_path, keep, message):
    with_rows(tiny_manifest, tmp_path / "m.csv", keep)
    with pytest.raises(UsageError, match=message):
        begin(tmp_path / "m.csv", tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.precision
@pytest.mark.parametrize(
    ("instructions", "expected"),
    [(["avx2", "avx512_bf16"], "bf16-mixed"), (["amx_bf16"], "bf16-mixed"), (["avx2"], "32-true")],
)
def test_the_precision_follows_the_processor_where_there_is_no_gpu(
    monkeypatch, instructions, expected
):
    monkeypatch.setattr(start, "describe_machine", lambda: {"instructions": instructions})
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert resolve_precision("auto", "cpu") == expected
    with pytest.raises(UsageError, match="16-mixed needs a GPU: take bf16-mixed or"):
        resolve_precision("16-mixed", "cpu")
    assert resolve_precision("32-true", "cpu") == "32-true"
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: False)
    assert resolve_precision("auto") == "16-mixed"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert resolve_precision("auto") == expected
