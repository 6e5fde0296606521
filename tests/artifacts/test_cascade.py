"""Cascades as run folders: what is kept of their members, and what is refused."""

import shutil

import numpy as np
import openvino
import pytest
import torch

from cascade_runs import LARGE, SMALL, member_run
from endoexit.artifacts.bundle import is_bundle
from endoexit.artifacts.cascade import make_cascade
from endoexit.artifacts.run import open_run, write_run
from endoexit.artifacts.source import CARD, MANIFEST, WEIGHTS
from endoexit.data.manifest import copy_manifest, read_manifest, write_manifest
from endoexit.data.rows import ManifestRow
from endoexit.errors import DataError, RunError, UsageError
from endoexit.exporting.export import ExportOptions, export_run
from endoexit.files import sha256_file
from endoexit.images.sheet import Sheet
from endoexit.models.quantised import quantised, structure_of
from endoexit.runtime.session import open_session


@pytest.fixture(scope="module")
def small(tiny_manifest, tmp_path_factory):
    return member_run(tmp_path_factory.mktemp("members") / "small", tiny_manifest)


@pytest.fixture(scope="module")
def large(small, tiny_manifest):
    return member_run(small.path.parent / "large", tiny_manifest, LARGE, 1, (2,))


@pytest.fixture(scope="module")
def cascade(small, large):
    return make_cascade([small.path, large.path], small.path.parent / "cascade")


def logits(source, tmp_path, **options):
    return open_session(source, threads=1, out=tmp_path, **options).logits("test").logits


def test_it_answers_as_its_members_do_on_the_same_files(small, large, cascade, tmp_path):
    alone = [logits(run, tmp_path / run.path.name) for run in (small, large)]
    np.testing.assert_array_equal(logits(cascade, tmp_path), np.concatenate(alone))


@pytest.mark.parametrize("backend", ["openvino", "torch"])
@pytest.mark.slow
def test_an_exported_one_answers_as_its_members_do(small, large, cascade, tmp_path, backend):
    options = ExportOptions(backend, "f32")
    bundle = export_run(open_session(cascade), tmp_path / "bundle", options).bundle
    assert bundle.config.members == cascade.config.members
    alone = [logits(run, tmp_path / run.path.name) for run in (small, large)]
    got = logits(bundle, tmp_path / "of-bundle", manifest=cascade.manifest())
    for answered, expected in zip(got, np.concatenate(alone), strict=True):
        np.testing.assert_allclose(answered, expected, atol=1e-4 * np.abs(expected).max())


def for_int8(run, path):
    """A run with the ranges of int8, as a training for int8 begins."""
    images = open_session(run).images(run.manifest().cohort("train"))
    normalised = torch.from_numpy(run.config.preprocessing.normalise(images))
    model = quantised(run.load_model(), list(normalised[:4].split(1)))
    path.mkdir()
    copied = copy_manifest(run.manifest(), path / MANIFEST)
    changes = {"quantisation": structure_of(model), "manifest_sha256": copied.sha256}
    return write_run(path, run.config.replaced(**changes), model)


@pytest.mark.slow
def test_members_that_were_trained_for_int8_compute_in_int8(small, large, tmp_path):
    members = [for_int8(run, tmp_path / f"{run.path.name}-int8") for run in (small, large)]
    paths = [member.path for member in members]
    cascade = make_cascade(paths, tmp_path / "cascade")
    alone = np.concatenate([logits(run, tmp_path / "of" / run.path.name) for run in members])
    np.testing.assert_array_equal(logits(cascade, tmp_path), alone)
    exact = np.concatenate([logits(run, tmp_path / "of" / run.path.name) for run in (small, large)])
    assert abs(alone - exact).max() > 1e-3
    options = ExportOptions("openvino", "int8", accept_drop=True)
    bundle = export_run(open_session(cascade), tmp_path / "bundle", options).bundle
    graph = openvino.Core().read_model(max(bundle.path.rglob("*.xml")))
    assert "FakeQuantize" in {node.get_type_name() for node in graph.get_ops()}
    got = logits(bundle, tmp_path / "got", manifest=cascade.manifest(), precision="f32")
    assert abs(got - alone).max() < 0.1 * abs(alone).max()
    with pytest.raises(UsageError, match="small was not, but one bundle holds all members"):
        make_cascade([small.path, paths[1]], tmp_path / "mixed")


def test_it_keeps_what_its_members_were(small, large, cascade):
    assert [(m.name, m.network, m.size, m.exits) for m in cascade.config.members] == [
        ("small", "ee_hifuse_nano", 32, (1, 2)),
        ("large", "ee_hifuse_nano", 64, (3, 4)),
    ]
    weights = [sha256_file(run.path / WEIGHTS) for run in (small, large)]
    assert [member.weights_sha256 for member in cascade.config.members] == weights
    assert cascade.config.preprocessing == Sheet.of([SMALL, LARGE])
    assert cascade.manifest().sha256 == large.manifest().sha256
    assert cascade.manifest().root == large.manifest().root
    assert open_run(cascade.path).is_complete
    card = (cascade.path / CARD).read_text()
    for fact in (*weights, "large, ee_hifuse_nano at 64×64 pixels, exits 3 to 4; seed 1"):
        assert fact in card
    assert "put together" in card
    assert "epoch 0" not in card


def split(path, tiny_manifest, role_of):
    """Write a manifest of the same images with other roles."""
    manifest = read_manifest(tiny_manifest)
    rows = [ManifestRow(row.path, row.label, row.group, role_of(row)) for row in manifest.rows]
    return write_manifest(path / "manifest.csv", rows, manifest.root).path


@pytest.mark.parametrize("role", ["calibrate", "certify", "test"])
@pytest.mark.parametrize("learnt", ["train", "val"])
def test_a_member_that_learnt_from_what_is_kept_unseen_is_refused(
    large, tiny_manifest, tmp_path, role, learnt
):
    leaked = {row.name for row in large.manifest().rows if row.role == role}

    def other(row):
        return learnt if row.name in leaked else row.role

    member = member_run(tmp_path / "leaky", split(tmp_path, tiny_manifest, other))
    with pytest.raises(DataError) as refused:
        make_cascade([member.path, large.path], tmp_path / "out")
    text = str(refused.value)
    assert f"leaky learnt from {len(leaked)} images that {large.path} keeps unseen" in text
    assert f"of the role {role}: train it again with {large.manifest_file}" in text
    assert not (tmp_path / "out").exists()


def test_copies_under_other_names_are_found_by_their_content(large, tiny_manifest, tmp_path):
    manifest = large.manifest()
    image = next(row for row in manifest.rows if row.role == "test")
    (tmp_path / "images").mkdir()
    rows = []
    for number, row in enumerate(manifest.rows[:6]):
        rows.append(ManifestRow(f"images/{number}.png", row.label, row.group, "train"))
        shutil.copy(manifest.root / row.path, tmp_path / rows[-1].path)
    shutil.copy(manifest.root / image.path, tmp_path / "images" / "0.png")
    member = member_run(
        tmp_path / "member", write_manifest(tmp_path / "m.csv", rows, tmp_path).path
    )
    with pytest.raises(DataError, match=f"learnt from 1 image that .*such as {image.path}"):
        make_cascade([member.path, large.path], tmp_path / "out")


def test_other_roles_that_leak_nothing_are_taken(large, tiny_manifest, tmp_path):
    def fewer(row):
        return "test" if row.role == "certify" else row.role

    member = member_run(tmp_path / "fair", split(tmp_path, tiny_manifest, fewer))
    made = make_cascade([member.path, large.path], tmp_path / "out")
    assert made.manifest().sha256 == large.manifest().sha256
    assert made.config.members[0].manifest_sha256 == member.config.manifest_sha256


def test_what_makes_no_cascade_is_refused(small, large, cascade, tiny_manifest, tmp_path):
    def refused(error, match, *runs, out=tmp_path / "out"):
        with pytest.raises(error, match=match):
            make_cascade(runs, out)
        assert not (tmp_path / "out").exists()

    refused(UsageError, "at least two members, got 1 run", small.path)
    refused(UsageError, "named twice", small.path, small.path / "." / "..", small.path)
    refused(UsageError, r"cascade itself: name its members \(small, large\)", small.path,
            cascade.path)  # fmt: skip
    refused(UsageError, f"GMACs and {small.path} after it .*name them as {small.path} {large.path}",
            large.path, small.path)  # fmt: skip
    refused(RunError, "there is no run folder", small.path, tmp_path / "none")
    refused(UsageError, "exists already", small.path, large.path, out=small.path)
    begun = member_run(tmp_path / "begun", tiny_manifest, recipe={"epochs": 1})
    refused(RunError, f"has not ended.*--resume {begun.path}", begun.path, large.path)
    bare = member_run(tmp_path / "bare", None)
    refused(RunError, "bare has no manifest.csv.*name a run that", bare.path, large.path)
    (bare.path / WEIGHTS).unlink()
    swapped = member_run(tmp_path / "swapped", None, classes=("blue", "red", "green"))
    refused(UsageError, "blue, red, green and .* blue, green, red: train", swapped.path, large.path)


def test_a_bundle_is_no_member(large, small, tmp_path):
    bundle = export_run(open_session(small), tmp_path / "b", ExportOptions("torch")).bundle
    assert is_bundle(bundle.path)
    with pytest.raises(RunError, match=r"is a bundle.*name the run that it was exported from"):
        make_cascade([bundle.path, large.path], tmp_path / "out")
