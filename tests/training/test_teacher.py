"""Another run as the teacher: the same view at its own size, what is kept, what is refused."""

import json
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import safetensors.torch
import torch
from torch.nn import functional

import tiny_project
from cascade_runs import LARGE, member_run
from endoexit.artifacts.cascade import make_cascade
from endoexit.artifacts.run import open_run, write_config
from endoexit.artifacts.source import CARD, WEIGHTS
from endoexit.data.manifest import read_manifest, write_manifest
from endoexit.data.rows import ManifestRow
from endoexit.errors import DataError, RunError, UsageError
from endoexit.images.preprocessing import Preprocessing
from endoexit.models.weights import save_weights
from endoexit.training import fit as fitting
from endoexit.training.checkpoint import SafetensorsCheckpointIO
from endoexit.training.module import ExitTraining
from endoexit.training.recipe import read_recipe
from endoexit.training.start import create_run
from endoexit.training.teacher import Teacher

HERE = fitting.Machine(accelerator="cpu", threads=1)
AT_32 = ("image={size: 32, canvas: 40}", "epochs=2")


@pytest.fixture(scope="module")
def teacher(tiny_manifest, tmp_path_factory):
    """A run at 64 pixels with a normalisation of its own."""
    return member_run(tmp_path_factory.mktemp("teacher") / "large", tiny_manifest, LARGE, 1, (2,))


def prepared(manifest, path, teacher, *changes):
    recipe = tiny_project.write_recipe(manifest.parent)
    taught = f"strategy={{name: distil, teacher: '{teacher}'}}"
    settings = read_recipe(str(recipe), [*AT_32, taught, *changes])
    return create_run(path, manifest, "ee_hifuse_nano", settings, seed=0, root=None)


def weights(run):
    return safetensors.torch.load_file(run.path / WEIGHTS)


def test_the_teacher_sees_the_same_view_at_its_own_size_with_its_own_numbers(teacher):
    recipe = read_recipe("fine-tune", ["image={size: 32, canvas: 32}"])
    known = Teacher(teacher.load_model(), teacher.config.preprocessing)
    model = teacher.load_model()
    made = ExitTraining(
        model, recipe, Preprocessing(size=32, mean=(0, 0, 0), std=(1, 1, 1)), 7, known
    )
    made._trainer = SimpleNamespace(training=True, global_step=5, global_rank=0, current_epoch=0)
    coarse = torch.rand(6, 3, 5, 5, generator=torch.Generator().manual_seed(0))
    small, large = (
        (255 * functional.interpolate(coarse, size=side, mode="bilinear")).byte()
        for side in (32, 64)
    )
    seen, labels, taught = made.on_after_batch_transfer((small, torch.arange(6), large), 0)
    assert (seen.shape, taught.shape) == ((6, 3, 32, 32), (6, 3, 64, 64))
    shrunk = functional.interpolate(taught, size=32, mode="bilinear", antialias=True)
    assert (shrunk - seen).abs().mean() < 0.03
    assert (shrunk.roll(1, 0) - seen).abs().mean() > 0.1, "views of other images differ far more"
    torch.manual_seed(0)
    alone = ExitTraining(model, recipe, Preprocessing(size=32, mean=(0, 0, 0), std=(1, 1, 1)), 7)
    alone._trainer = made.trainer
    assert torch.equal(alone.on_after_batch_transfer((small, labels), 0)[0], seen)
    exact = np.ascontiguousarray(large.permute(0, 2, 3, 1).numpy())
    expected = teacher.load_model()(torch.from_numpy(LARGE.normalise(exact)))[-1]
    answers = known.answers(large.float() / 255)
    torch.testing.assert_close(answers[-1], expected, rtol=1e-4, atol=1e-4)


@pytest.fixture(scope="module")
def taught(tiny_manifest, teacher, tmp_path_factory):
    """A run that was taught at half the teacher's size, with mixup and averaged weights."""
    path = tmp_path_factory.mktemp("taught") / "run"
    return fitting.fit(prepared(tiny_manifest, path, teacher.path, "augment.mixup=0.2"), HERE)


def test_a_training_keeps_who_taught_it_and_nothing_of_its_weights(taught, teacher):
    facts = open_run(taught.path).config.teacher
    assert facts == teacher.facts((1, 2))
    assert taught.config.recipe["strategy"]["teacher"] == str(teacher.path.resolve())
    card = (taught.path / CARD).read_text()
    assert "large, ee_hifuse_nano at 64×64 pixels, exits 1 to 2; seed 1" in card
    assert teacher.weights_sha256 in card
    state = SafetensorsCheckpointIO().load_checkpoint(taught.path / fitting.LAST)["state_dict"]
    assert not [name for name in state if "teacher" in name]
    assert sum("head.classify.weight" in name for name in state) == 4


def test_stopped_and_resumed_is_the_same_as_never_stopped(
    taught, tiny_manifest, teacher, tmp_path, monkeypatch
):
    run = prepared(tiny_manifest, tmp_path / "run", teacher.path, "augment.mixup=0.2")
    step = fitting.ExitTraining.training_step

    def stopped(self, batch, batch_idx):
        if self.current_epoch == 1:
            raise KeyboardInterrupt
        return step(self, batch, batch_idx)

    monkeypatch.setattr(fitting.ExitTraining, "training_step", stopped)
    with pytest.raises(KeyboardInterrupt):
        fitting.fit(run, HERE)
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    resumed = weights(fitting.fit(fitting.resume(run.path), HERE))
    assert all(torch.equal(value, resumed[name]) for name, value in weights(taught).items())


def test_a_teacher_that_changed_since_is_refused(tiny_manifest, teacher, tmp_path):
    copy = tmp_path / "large"
    shutil.copytree(teacher.path, copy)
    run = prepared(tiny_manifest, tmp_path / "run", copy)
    model = teacher.load_model()
    torch.nn.init.zeros_(model.stages[0].head.classify.weight)
    save_weights(model, copy / WEIGHTS)
    with pytest.raises(RunError, match=r"are not those that .*run began with: restore them"):
        fitting.fit(run, HERE)
    shutil.rmtree(copy)
    with pytest.raises(RunError, match="there is no run folder"):
        fitting.fit(run, HERE)


@pytest.mark.parametrize("role", ["calibrate", "certify", "test"])
def test_a_teacher_that_learnt_from_what_is_kept_unseen_is_refused(tiny_manifest, tmp_path, role):
    manifest = read_manifest(tiny_manifest)
    rows = [
        ManifestRow(row.path, row.label, row.group, "train" if row.role == role else row.role)
        for row in manifest.rows
    ]
    leaking = write_manifest(tmp_path / "manifest.csv", rows, manifest.root).path
    leaky = member_run(tmp_path / "leaky", leaking)
    with pytest.raises(DataError, match=r"leaky learnt from \d+ images that .* keeps unseen") as no:
        prepared(tiny_manifest, tmp_path / "run", leaky.path)
    assert f"of the role {role}: train it again with {tiny_manifest}" in str(no.value)
    assert not (tmp_path / "run").exists()


def test_what_taught_the_teacher_counts_and_so_do_starting_weights(tiny_manifest, tmp_path):
    manifest = read_manifest(tiny_manifest)
    rows = [
        ManifestRow(row.path, row.label, row.group, "train" if row.role == "test" else row.role)
        for row in manifest.rows
    ]
    leaking = write_manifest(tmp_path / "manifest.csv", rows, manifest.root).path
    leaky = member_run(tmp_path / "leaky", leaking)
    taught = member_run(tmp_path / "taught", tiny_manifest)
    recipe = taught.config.recipe | {"strategy": {"name": "distil", "teacher": str(leaky.path)}}
    write_config(taught.path, taught.config.replaced(recipe=recipe))
    (taught.path / CARD).touch()
    match = r"leaky learnt from \d+ images that .* keeps unseen"
    with pytest.raises(DataError, match=match):
        prepared(tiny_manifest, tmp_path / "run", taught.path)
    like = f"model={json.dumps(leaky.config.overrides)}"
    settings = read_recipe(str(tiny_project.write_recipe(manifest.root)), [*AT_32, like])
    with pytest.raises(DataError, match=match):
        create_run(tmp_path / "run", tiny_manifest, "ee_hifuse_nano", settings, seed=0, root=None,
                   weights=str(leaky.path / WEIGHTS))  # fmt: skip
    assert not (tmp_path / "run").exists()


def test_what_cannot_teach_is_refused(tiny_manifest, teacher, tmp_path):
    def refused(error, match, path):
        with pytest.raises(error, match=match):
            prepared(tiny_manifest, tmp_path / "run", path)
        assert not (tmp_path / "run").exists()

    refused(RunError, "there is no run folder", tmp_path / "none")
    swapped = member_run(tmp_path / "swapped", tiny_manifest, classes=("blue", "red", "green"))
    refused(
        UsageError, "knows blue, red, green and .* has blue, green, red: train the", swapped.path
    )
    begun = member_run(tmp_path / "begun", tiny_manifest, recipe={"epochs": 1})
    refused(RunError, f"has not ended: .*--resume {begun.path}`, then let it teach", begun.path)
    bare = member_run(tmp_path / "bare", None)
    refused(RunError, "bare has no manifest.csv.*name a run that", bare.path)
    small = member_run(tmp_path / "small", tiny_manifest)
    cascade = make_cascade([small.path, teacher.path], tmp_path / "cascade")
    refused(UsageError, r"is a cascade, .*: name one of them .*\(small, large\)", cascade.path)
