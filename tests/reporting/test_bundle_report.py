"""The report of a bundle, and its answers to single images."""

import shutil

import pytest

from endoexit.artifacts.bundle import open_bundle
from endoexit.artifacts.source import MANIFEST
from endoexit.data.manifest import read_manifest
from endoexit.errors import RunError
from endoexit.evaluation.study import Options, evaluate_run
from endoexit.reporting.explain import explain
from endoexit.reporting.material import Absent
from endoexit.reporting.opening import open_material
from endoexit.reporting.write import write_report
from endoexit.runtime.session import open_session

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("bundles")]


@pytest.fixture
def bundle(request, bundles, tmp_path):
    """An evaluated bundle in OpenVINO, or in what the test asks for."""
    backend = getattr(request, "param", "openvino")
    shutil.copytree(bundles.make(backend, "f32").path, tmp_path / "bundle")
    copied = open_bundle(tmp_path / "bundle")
    manifest = read_manifest(bundles.run.path / MANIFEST, classes=bundles.run.classes)
    evaluate_run(open_session(copied, manifest=manifest), Options(timing=False, resamples=20))
    return copied


def test_a_bundle_is_reported_without_what_it_cannot_know(bundle, bundles, tmp_path):
    images = bundles.run.manifest().root
    material = open_material(bundle.path, images=images)
    assert "A bundle keeps no list of images" in open_material(bundle.path).images.reason
    for part in (material.history, material.split, material.attention):
        assert isinstance(part, Absent)
    assert "run in openvino, which cannot be asked where it looks" in material.attention.reason
    assert ("exported by", "endoexit export …") in material.facts
    assert not material.policy_changed
    written = write_report(material, tmp_path / "report")
    page = written.page.read_text(encoding="utf-8")
    assert "which cannot be asked where it looks" in page
    assert "openvino-f32" in page
    assert f"endoexit evaluate {bundle.path} --manifest MANIFEST --no-timing" in page
    assert "endoexit calibrate" not in page, "the export found the policy of the bundle"
    assert page.count("<article") > 0, "the gallery shows the images"


@pytest.mark.parametrize("bundle", ["torch"], indirect=True)
def test_a_bundle_in_pytorch_can_be_asked_where_it_looks(bundle, bundles):
    material = open_material(bundle.path, images=bundles.run.manifest().root)
    assert not isinstance(material.attention, Absent)


def test_a_bundle_without_evaluation_names_the_command(bundle):
    (bundle.results() / "evaluation.json").unlink()
    with pytest.raises(RunError, match=rf"endoexit evaluate {bundle.path} --manifest MANIFEST"):
        open_material(bundle.path)


def test_a_bundle_answers_single_images_without_attention(bundle, bundles, tmp_path):
    paths = list(bundles.run.manifest().cohort("test").images)
    explained = explain(open_session(bundle.path, out=tmp_path / "out"), paths)
    beside = explain(open_session(bundles.run.path, out=tmp_path / "beside"), paths)
    for card, of_the_run in zip(explained.cards, beside.cards, strict=True):
        assert card.title == of_the_run.title
        assert card.probabilities == pytest.approx(of_the_run.probabilities, abs=1e-3)
        assert [view.name for view in card.views] == ["image"]
    page = explained.page.read_text(encoding="utf-8")
    assert "There is no attention to show. These stages run in openvino" in page
    assert "Colours show" not in page
