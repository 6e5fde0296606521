"""Logits of a role: right, computed once, and computed again when anything changes."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from bundle_makers import require_bf16
from endoexit.artifacts.run import Run, open_run
from endoexit.data.manifest import read_manifest, write_manifest
from endoexit.data.rows import ManifestRow
from endoexit.errors import DataError, ModelError, RunError, UsageError
from endoexit.files import read_json
from endoexit.models.weights import save_weights
from endoexit.runtime.session import open_session
from evaluation_runs import copy_run


@pytest.fixture
def run(tiny_run, tmp_path):
    """A copy of the tiny run: tests may change it."""
    return copy_run(tiny_run, tmp_path / "run")


def spoil(run: Run, change) -> Run:
    """Save changed weights into the run."""
    model = run.load_model()
    with torch.no_grad():
        change(model.stages[-1].head.classify.bias)
    save_weights(model, run.path / "weights.safetensors")
    return open_run(run.path)


def test_they_are_what_the_network_answers_image_by_image(run):
    kept = open_session(run).logits("train")
    cohort, model = run.manifest().cohort("train"), run.load_model()
    preprocessing = run.config.preprocessing
    assert kept.logits.shape == (4, len(cohort), 3)
    assert kept.logits.dtype == np.float32
    for index in (0, 17, 38):  # in both batches of 32
        image = preprocessing.normalise(preprocessing.load(cohort.images[index])[None])
        with torch.inference_mode():
            alone = torch.stack(model(torch.from_numpy(image)))[:, 0].numpy()
        np.testing.assert_allclose(kept.logits[:, index], alone, atol=1e-4)
    assert kept.labels.tolist() == cohort.labels.tolist()
    assert kept.groups.tolist() == cohort.groups.tolist()
    assert kept.paths[0] == "images/blue/000.png"
    assert kept.as_set().final_accuracy == (kept.logits[-1].argmax(1) == kept.labels).mean()


def test_they_are_kept_with_all_that_belongs_to_them(run):
    kept = open_session(run).logits("certify")
    assert kept.file.parent == run.path / "logits"
    with np.load(kept.file, allow_pickle=False) as archive:
        np.testing.assert_array_equal(archive["logits"], kept.logits)
        assert archive["labels"].tolist() == kept.labels.tolist()
        assert archive["groups"].tolist() == kept.groups.tolist()
        assert tuple(archive["paths"]) == kept.paths
    facts = read_json(kept.file.with_suffix(".json"))
    assert facts["weights_sha256"] == run.weights_sha256
    assert facts["precision"] == str(kept.precision) == "torch-f32"
    assert facts["classes"] == ["blue", "green", "red"]


def rewrite(file, **changes) -> None:
    with np.load(file) as archive:
        content = dict(archive) | changes
    np.savez(file, **content)


def test_they_are_computed_once(run, monkeypatch):
    first = open_session(run).logits("test")
    monkeypatch.setattr(Run, "load_model", lambda _: pytest.fail("computed again"))
    again = open_session(run).logits("test")
    np.testing.assert_array_equal(again.logits, first.logits)
    with pytest.raises(pytest.fail.Exception, match="computed again"):
        open_session(run).logits("certify")


def test_other_weights_mean_other_logits(run):
    before = open_session(run).logits("test")
    run = spoil(run, lambda bias: bias.add_(1.0))
    after = open_session(run).logits("test")
    assert after.file != before.file
    np.testing.assert_allclose(after.logits[-1], before.logits[-1] + 1, rtol=1e-5)


def test_another_preprocessing_means_other_logits(run):
    before = open_session(run).logits("test")
    shifted = run.config.preprocessing.model_copy(update={"mean": (0.2, 0.5, 0.5)})
    run_with_shift = replace(run, config=run.config.model_copy(update={"preprocessing": shifted}))
    after = open_session(run_with_shift).logits("test")
    assert after.file != before.file
    assert not np.array_equal(after.logits, before.logits)


def test_another_manifest_means_other_logits(run, tmp_path):
    manifest = run.manifest()
    rows = [
        ManifestRow(
            row.path, row.label, row.group, {"test": "val", "val": "test"}.get(row.role, row.role)
        )
        for row in manifest.rows
    ]
    rewritten = write_manifest(tmp_path / "other.csv", rows, manifest.root)
    before = open_session(run).logits("test")
    after = open_session(run, manifest=rewritten).logits("test")
    assert after.file != before.file
    assert after.paths != before.paths


@pytest.mark.precision
def test_another_precision_means_other_logits(run):
    require_bf16("torch")
    fine, coarse = (
        open_session(run).logits("test"),
        open_session(run, precision="bf16").logits("test"),
    )
    assert (str(fine.precision), str(coarse.precision)) == ("torch-f32", "torch-bf16")
    assert coarse.file != fine.file
    assert not np.array_equal(coarse.logits, fine.logits)
    np.testing.assert_allclose(coarse.logits, fine.logits, atol=0.1)


@pytest.mark.parametrize("damage", ["text", "cut", "flipped", "pickled", "other"])
def test_a_damaged_file_is_made_again(run, damage):
    kept = open_session(run).logits("test")
    content = kept.file.read_bytes()
    if damage == "pickled":
        rewrite(kept.file, logits=np.array([{"a": 1}], dtype=object))
    elif damage == "other":
        np.savez(kept.file, weights=np.zeros(3))
    else:
        middle = len(content) // 2
        kept.file.write_bytes(
            {
                "text": b"not an archive",
                "cut": content[:middle],
                "flipped": content[:60] + bytes(255 - b for b in content[60:90]) + content[90:],
            }[damage]
        )
    again = open_session(run).logits("test")
    np.testing.assert_array_equal(again.logits, kept.logits)
    with np.load(kept.file, allow_pickle=False) as archive:
        np.testing.assert_array_equal(archive["logits"], kept.logits)


def test_logits_that_are_not_finite_are_refused_and_not_kept(run):
    run = spoil(run, lambda bias: bias[1].fill_(float("nan")))
    with pytest.raises(ModelError, match="not finite: its weights are damaged"):
        open_session(run).logits("test")
    assert not (run.path / "logits").exists()


def test_a_role_that_does_not_exist_is_refused_with_the_nearest(run):
    with pytest.raises(UsageError, match="unknown role 'tset': did you mean 'test'"):
        open_session(run).logits("tset")


def test_a_role_without_images_is_refused_with_the_remedy(run, tmp_path):
    manifest = run.manifest()
    rows = [row for row in manifest.rows if row.role != "test"]
    without = write_manifest(tmp_path / "without.csv", rows, manifest.root)
    with pytest.raises(DataError, match=r"no image with the role 'test' .*endoexit split --roles"):
        open_session(run, manifest=without).logits("test")


def test_a_manifest_of_other_classes_is_refused(run, tmp_path):
    manifest = run.manifest()
    rows = [row for row in manifest.rows if row.label != "red"]
    two_classes = write_manifest(tmp_path / "two.csv", rows, manifest.root)
    with pytest.raises(UsageError, match=r"classes blue, green, but .* knows blue, green, red"):
        open_session(run, manifest=two_classes).logits("test")


def test_a_run_without_weights_is_refused_with_the_remedy(run):
    (run.path / "weights.safetensors").unlink()
    with pytest.raises(RunError, match=r"has no weights.safetensors.*endoexit train --resume"):
        open_session(run).logits("test")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_refused(run):
    with pytest.raises(UsageError, match="no GPU here"):
        open_session(run, device="cuda").logits("test")


def test_images_that_were_replaced_under_their_names_are_computed_again(run, tmp_path):
    original = run.manifest()
    copied = shutil.copytree(original.root / "images", tmp_path / "data" / "images")
    manifest = read_manifest(original.path, copied.parent, classes=run.classes)
    before = open_session(run, manifest=manifest).logits("certify")
    assert open_session(run, manifest=manifest).logits("certify").file == before.file
    replaced = manifest.cohort("certify").images[0].path
    Image.new("RGB", (72, 80)).save(replaced)
    after = open_session(run, manifest=manifest).logits("certify")
    assert after.file != before.file
    assert (after.logits[:, 0] != before.logits[:, 0]).all()
    np.testing.assert_array_equal(after.logits[:, 1:], before.logits[:, 1:])
    assert after.contents_sha256 != before.contents_sha256
