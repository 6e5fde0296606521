"""From a run to a bundle."""

import json

import pytest
import torch

from bundle_makers import COMBINATIONS, GOAL
from endoexit.artifacts.bundle import open_bundle
from endoexit.artifacts.source import MANIFEST
from endoexit.data.manifest import read_manifest
from endoexit.errors import (
    DataError,
    EndoexitError,
    ModelError,
    RunError,
    UsageError,
)
from endoexit.evaluation.document import Evaluation
from endoexit.evaluation.study import Options, evaluate_run
from endoexit.exporting import export as exporting
from endoexit.exporting.export import ExportOptions, export_run
from endoexit.exporting.graphs import stage_graphs, write_onnx
from endoexit.models import create_model
from endoexit.models.hifuse.branches import shift_mask
from endoexit.models.spec import NetworkSpec
from endoexit.policy import ExitPolicy
from endoexit.policy.goal_options import make_goal
from endoexit.runtime.session import Session, open_session
from tiny import CLASSES, SETTINGS, SIDE, lenet_run

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("bundles")]


def files_of(folder):
    """Every file below a folder, with its time."""
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


@pytest.mark.parametrize(("backend", "precision"), COMBINATIONS)
def test_a_bundle_holds_what_inference_needs(bundles, backend, precision):
    bundle = open_bundle(bundles.make(backend, precision).path)
    config, run = bundle.config, bundles.run
    assert (config.backend, config.precision) == (backend, precision)
    assert config.classes == run.classes
    assert config.preprocessing == run.config.preprocessing
    assert config.run_weights_sha256 == run.weights_sha256
    cost = NetworkSpec(run.config.model, 3, config.preprocessing.size, config.overrides).complexity
    assert tuple(exit_.macs for exit_ in config.exits) == cost.macs
    labels = run.manifest().cohort("calibrate").labels
    logits = open_session(run).logits("calibrate").logits
    before = (logits.argmax(axis=-1) == labels).mean(axis=1)
    assert [exit_.accuracy_before for exit_ in config.exits] == pytest.approx(before)
    assert set(config.policies) == set(map(str, config.computes))
    for name, file in config.policies.items():
        policy = ExitPolicy.read(bundle.path / file)
        assert policy.provenance.precision == name
        assert policy.provenance.weights_sha256 == bundle.weights_sha256
        assert policy.request.goal == make_goal(**GOAL)
    assert sorted(path.name for path in bundle.path.iterdir()) == sorted(
        {"bundle.json", "stages", "model_card.md", *config.policies.values()}
    ), "and nothing else, such as names of images"
    card = (bundle.path / "model_card.md").read_text()
    assert "Not a medical device" in card
    assert f"{config.exits[0].macs / 1e9:.3f}" in card


def test_a_bundle_is_evaluated_with_a_manifest(bundles):
    bundle, run = bundles.make("openvino", "f32"), bundles.run
    with pytest.raises(RunError, match="name one with --manifest"):
        evaluate_run(open_session(bundle))
    before = files_of(bundle.path)
    manifest = read_manifest(run.path / MANIFEST, classes=run.classes)
    evaluation = evaluate_run(
        open_session(bundle, manifest=manifest), Options(rounds=2, resamples=20)
    )
    of_run = evaluate_run(open_session(run), Options(timing=False, resamples=20))
    assert [row.scores.accuracy.value for row in evaluation.rows[:4]] == [
        row.scores.accuracy.value for row in of_run.rows[:4]
    ]
    assert evaluation.run.precision == evaluation.timing.precision == "openvino-f32"
    assert files_of(bundle.path) == before, "nothing is written into the bundle"
    assert open_bundle(bundle.path) == bundle
    beside = bundle.results()
    assert Evaluation.read(beside / "evaluation.json") == evaluation
    assert (beside / evaluation.run.logits).is_file()


def test_an_evaluation_of_a_bundle_goes_where_it_is_asked_to(bundles, tmp_path):
    bundle, run = bundles.make("torch", "f32"), bundles.run
    before = files_of(bundle.path.parent)
    manifest = read_manifest(run.path / MANIFEST, classes=run.classes)
    out = tmp_path / "out"
    options = Options(timing=False, resamples=20)
    session = open_session(bundle, manifest=manifest, out=out)
    evaluation = evaluate_run(session, options)
    assert files_of(bundle.path.parent) == before
    assert Evaluation.read(out / "evaluation.json") == evaluation
    assert (out / evaluation.run.logits).is_file()
    with pytest.raises(UsageError, match="has early exits, so it shows nothing of what they cost"):
        evaluate_run(session, options, twin=open_session(bundle, manifest=manifest, out=out))
    with pytest.raises(UsageError, match="is in the bundle"):
        evaluate_run(
            open_session(bundle, out=bundle.path, manifest=manifest), Options(timing=False)
        )


def test_a_loss_of_more_than_a_point_must_be_accepted(run, tmp_path, monkeypatch):
    real = Session.logits

    def worse(session, role):
        logits = real(session, role)
        if session.source is not run:
            logits.logits[1] = -logits.logits[1]  # exit 2 answers something else
        return logits

    monkeypatch.setattr(Session, "logits", worse)
    options = ExportOptions("torch", "f32")
    with pytest.raises(ModelError, match=r"exit 2 is right on .*--accept-drop"):
        export_run(open_session(run), tmp_path / "bundle", options)
    assert [path.name for path in tmp_path.iterdir()] == ["run"], "nothing is left behind"
    accepted = export_run(
        open_session(run), tmp_path / "bundle", ExportOptions("torch", accept_drop=True)
    )
    second = accepted.bundle.config.exits[1]
    assert second.accuracy < second.accuracy_before - 0.01


def test_a_bound_that_no_mixture_of_int8_and_floating_point_keeps(run, tmp_path, monkeypatch):
    real = Session.logits

    def worse(session, role):
        logits = real(session, role)
        if session.source is not run:
            logits.logits[1] = -logits.logits[1]  # exit 2 answers something else
        return logits

    monkeypatch.setattr(Session, "logits", worse)
    options = ExportOptions("openvino", "int8", max_drop=0.1, range_images=4)
    with pytest.raises(ModelError, match=r"at int8 at best, exit 2 is right on .*--max-drop"):
        export_run(open_session(run), tmp_path / "bundle", options)
    assert [path.name for path in tmp_path.iterdir()] == ["run"], "nothing is left behind"


def test_the_document_says_what_int8_loses(bundles, tmp_path):
    run = bundles.run
    options = ExportOptions("openvino", "int8", max_drop=0.5, range_images=4)
    with bundles.graphs_once():
        bundle = export_run(open_session(run), tmp_path / "bundle", options).bundle
    manifest = read_manifest(run.path / MANIFEST, classes=run.classes)
    for source, name in ((run, "accuracy_before"), (bundle, "accuracy")):
        session = open_session(source, manifest=manifest, out=tmp_path / name)
        logits = session.logits("calibrate")
        right = (logits.logits.argmax(axis=2) == logits.labels).mean(axis=1)
        assert [getattr(exit_, name) for exit_ in bundle.config.exits] == pytest.approx(right)
    drops = [exit_.accuracy_before - exit_.accuracy for exit_ in bundle.config.exits]
    assert max(drops) <= 0.5
    assert open_bundle(bundle.path).config.float_layers == bundle.config.float_layers


def test_images_for_ranges_are_for_int8(run, tmp_path):
    options = ExportOptions("torch", "f32", range_images=4)
    with pytest.raises(UsageError, match=r"--range-images is for int8.*--precision int8"):
        export_run(open_session(run), tmp_path / "bundle", options)


def test_imported_weights_are_exported_without_policy_and_accuracy(tmp_path):
    run = lenet_run(tmp_path / "run")
    exported = export_run(open_session(run), tmp_path / "bundle", ExportOptions("openvino", "f32"))
    assert exported.policies == {}
    assert exported.bundle.config.exits[0].accuracy is None
    assert "accuracy at this precision is unknown" in exported.without
    assert "every image will go to the last exit" in exported.without
    with pytest.raises(RunError, match="int8 needs images of the role train"):
        export_run(open_session(run), tmp_path / "int8", ExportOptions("openvino", "int8"))


def test_a_folder_that_cannot_be_written_is_named(run, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(EndoexitError, match=r"cannot write .*file/bundle: .*another folder"):
        export_run(open_session(run), tmp_path / "file" / "bundle", ExportOptions("torch"))


def test_a_fault_of_the_work_is_not_called_a_folder_that_cannot_be_written(
    run, tmp_path, monkeypatch
):
    def broken(*arguments, **options):
        raise OSError("a library that cannot be loaded")

    monkeypatch.setattr(exporting, "write_stages", broken)
    with pytest.raises(OSError, match="a library that cannot be loaded"):
        export_run(open_session(run), tmp_path / "bundle", ExportOptions("torch"))
    assert [path.name for path in tmp_path.iterdir()] == ["run"], "nothing is left behind"


def test_threads_without_times_to_measure_are_refused(run, tmp_path):
    with pytest.raises(UsageError, match=r"--threads is for measuring times.*leave it out"):
        export_run(open_session(run, threads=1), tmp_path / "bundle", ExportOptions("torch"))
    (run.path / "policy.json").unlink()
    with pytest.raises(UsageError, match=rf"and {run.path} has none"):
        export_run(open_session(run, threads=1), tmp_path / "bundle", ExportOptions("torch"))


def test_a_folder_with_content_is_left_alone(run, tmp_path):
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle" / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match="exists already: name a new folder"):
        export_run(open_session(run), tmp_path / "bundle", ExportOptions("torch"))
    assert (tmp_path / "bundle" / "notes.txt").read_text() == "mine"


def test_images_that_are_gone_are_named(run, tmp_path):
    sidecar = run.path / f"{MANIFEST}.json"
    document = json.loads(sidecar.read_text())
    sidecar.write_text(json.dumps(document | {"root": str(tmp_path / "gone")}))
    with pytest.raises(DataError, match="gone"):
        export_run(open_session(run), tmp_path / "bundle", ExportOptions("torch"))


def test_an_onnx_graph_leaves_the_network_as_it_was(tmp_path):
    """What a network keeps of its first run (masks of windows) must not be the exporter's."""
    shift_mask.cache_clear()
    model = create_model("ee_hifuse_nano", len(CLASSES), **SETTINGS).eval()
    first = next(stage_graphs(model, SIDE))  # the stage that shifts its windows
    write_onnx(first.graph, first.example, tmp_path / "1.onnx", first.names)
    with torch.no_grad():
        answers = model(torch.rand(2, 3, SIDE, SIDE))
    assert all(type(logits) is torch.Tensor and logits.isfinite().all() for logits in answers)
