"""The bundle's folder: what is refused when it is opened."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from endoexit.artifacts.bundle import (
    BUNDLE,
    Bundle,
    open_bundle,
    open_source,
    write_bundle,
)
from endoexit.artifacts.bundle_document import BundleConfig, digest_of
from endoexit.artifacts.run import open_run
from endoexit.errors import RunError, UsageError
from endoexit.files import write_json
from endoexit.images.preprocessing import Preprocessing


@pytest.fixture
def bundle(tmp_path) -> Bundle:
    """A folder in the form of a bundle; its stages are never computed."""
    for name in ("stages/1.xml", "stages/1.bin", "policy.json", "model_card.md"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(f"content of {name}")
    config = BundleConfig(
        backend="openvino",
        precision="f32",
        model="ee_hifuse_nano",
        classes=("a", "b"),
        preprocessing=Preprocessing(size=32),
        exits=({"macs": 5, "parameters": 7},),
        state_shapes=((),),
        computes=("openvino-f32",),
        policies={"openvino-f32": "policy.json"},
        run_weights_sha256="0" * 64,
    )
    return write_bundle(tmp_path, config)


def rewrite(bundle: Bundle, *, seal: bool = True, **changes) -> None:
    """Write the document with some fields changed, as a user with an editor could."""
    document = bundle.config.model_dump(mode="json")
    document |= TypeAdapter(dict[str, Any]).dump_python(changes, mode="json")
    if seal:
        document["document_sha256"] = digest_of(document)
    write_json(bundle.path / BUNDLE, document)


def test_a_bundle_comes_back_as_it_was_written(bundle):
    assert open_bundle(bundle.path) == bundle
    assert open_source(bundle.path) == bundle
    assert set(bundle.config.files) == {
        "stages/1.xml", "stages/1.bin", "policy.json", "model_card.md"
    }  # fmt: skip


@pytest.mark.parametrize("name", ["stages/1.bin", "policy.json", "model_card.md"])
def test_a_changed_file_is_refused_by_name(bundle, name):
    (bundle.path / name).write_text("something else")
    with pytest.raises(RunError, match=rf"{name} was changed since.*Copy the whole bundle again"):
        open_bundle(bundle.path)


@pytest.mark.parametrize("name", ["stages/1.bin", "policy.json"])
def test_a_missing_file_is_refused_by_name(bundle, name):
    (bundle.path / name).unlink()
    with pytest.raises(RunError, match=rf"incomplete: {name} is missing"):
        open_bundle(bundle.path)


def test_a_pointer_of_git_lfs_in_place_of_a_stage_is_called_so(bundle):
    stage = bundle.stage_files().of(1)[0]
    stage.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    with pytest.raises(RunError, match=rf"{stage.name} is a pointer of git LFS.*`git lfs pull`"):
        open_bundle(bundle.path)


def test_a_changed_document_is_refused(bundle):
    rewrite(bundle, seal=False, classes=("b", "a"))
    with pytest.raises(RunError, match=rf"{BUNDLE} was changed since the bundle was made"):
        open_bundle(bundle.path)


def test_a_newer_format_is_refused(bundle):
    rewrite(bundle, format_version=3)
    with pytest.raises(RunError, match=r"newer.*format 3, this one reads up to 2.*update endoexit"):
        open_bundle(bundle.path)


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"exits": ()}, "'exits'"),
        ({"computes": ()}, "'computes'"),
        ({"classes": ()}, "'classes'"),
        ({"state_shapes": ((), ())}, "'state'.*states of 2 stages for 1 exits"),
        ({"format_version": "1"}, "'format_version'"),
        ({"format_version": "2"}, "'format_version'"),
        ({"format_version": 0}, "'format_version'"),
    ],
)
@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")  # of what it is made to hold
def test_a_document_that_could_not_predict_is_refused_though_its_hash_is_right(
    bundle, changes, place
):
    rewrite(bundle, **changes)
    with pytest.raises(RunError, match=rf"damaged at {place}.*Export the run again"):
        open_bundle(bundle.path)


@pytest.mark.parametrize("name", ["stages/1.xml", "stages/1.bin"])
def test_a_stage_without_hash_is_refused(bundle, name):
    files = {file: digest for file, digest in bundle.config.files.items() if file != name}
    rewrite(bundle, files=files)
    with pytest.raises(RunError, match=rf"lists no hash of {name}: export the run again"):
        open_bundle(bundle.path)


@pytest.mark.parametrize(
    ("backend", "missing"), [("onnx", r"stages/1\.onnx"), ("torch", r"stages/weights\.safetensors")]
)
def test_every_backend_s_stages_need_a_hash(bundle, backend, missing):
    rewrite(bundle, backend=backend)
    with pytest.raises(RunError, match=f"lists no hash of {missing}"):
        open_bundle(bundle.path)


def test_a_damaged_document_is_refused_with_the_place(bundle):
    document = json.loads((bundle.path / BUNDLE).read_text())
    write_json(bundle.path / BUNDLE, document | {"precision": "fp8"})
    with pytest.raises(RunError, match=r"damaged at 'precision'.*Export the run again"):
        open_bundle(bundle.path)


def test_a_file_outside_the_folder_is_refused(bundle, tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside") / "file"
    outside.write_text("x")
    rewrite(bundle, files=bundle.config.files | {f"../{outside.parent.name}/file": "0" * 64})
    with pytest.raises(RunError, match="outside its folder"):
        open_bundle(bundle.path)


def test_a_policy_without_hash_is_refused(bundle):
    shutil.copy(bundle.path / "policy.json", bundle.path / "other.json")
    rewrite(bundle, policies={"openvino-f32": "other.json"})
    with pytest.raises(RunError, match=r"no hash of other\.json"):
        open_bundle(bundle.path)


def test_files_that_came_later_do_not_matter(bundle):
    (bundle.path / "evaluation.json").write_text("{}")
    assert open_bundle(bundle.path) == bundle


def test_what_is_found_out_about_a_bundle_lies_beside_it(bundle, monkeypatch):
    beside = bundle.path.with_name(f"{bundle.path.name}-evaluation")
    assert bundle.results() == beside
    monkeypatch.chdir(bundle.path)
    for path in (Path(), Path("stages/..")):
        assert Bundle(path, bundle.config).results() == beside
    assert bundle.results(Path("../other")) == Path("../other")
    for inside in (bundle.path, Path("stages"), bundle.path / "new" / "folder"):
        with pytest.raises(UsageError, match=r"is in the bundle.*name another folder"):
            bundle.results(inside)


def test_a_bundle_is_no_run(bundle):
    with pytest.raises(RunError, match=r"is a bundle.*name the run that it was exported from"):
        open_run(bundle.path)


def test_another_folder_is_no_bundle(tmp_path):
    with pytest.raises(RunError, match="`endoexit export` makes one"):
        open_bundle(tmp_path)


def test_a_bundle_has_no_list_of_images(bundle):
    with pytest.raises(RunError, match="name one with --manifest"):
        bundle.manifest()


def test_other_stages_are_other_weights(bundle):
    (bundle.path / "stages/1.bin").write_text("something else")
    assert write_bundle(bundle.path, bundle.config).weights_sha256 != bundle.weights_sha256
    (bundle.path / "model_card.md").write_text("something else")
    (bundle.path / "stages/1.bin").write_text("content of stages/1.bin")
    assert write_bundle(bundle.path, bundle.config).weights_sha256 == bundle.weights_sha256
